"""Where the models run and with which numbers: a pure choice from what the machine can do."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.errors import DeviceError


@dataclass(frozen=True)
class Capabilities:
    """What the machine offers. `cuda_bf16`, `cpu_bf16`: bfloat16 products in hardware (avx512_bf16 or AMX)."""

    cuda: bool
    cuda_bf16: bool
    cpu_bf16: bool


@dataclass(frozen=True)
class Placement:
    """The choice made: `device` is cpu or cuda, `precision` is fp32 or bf16."""

    device: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and activations in the backbone."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


def capabilities() -> Capabilities:
    """Ask the machine."""
    cuda = torch.cuda.is_available()
    cpu = torch.cpu.get_capabilities()
    return Capabilities(
        cuda=cuda,
        cuda_bf16=cuda and torch.cuda.is_bf16_supported(including_emulation=False),
        cpu_bf16=bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16")),
    )


def choose(device: str, precision: str, machine: Capabilities) -> Placement:
    """Turn `auto` into a decision. bf16 is chosen only where the hardware multiplies it.

    Args:
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16; bf16 by name is obeyed on any CPU, however slow.

    Raises:
        DeviceError: CUDA (or bf16 on CUDA) was asked for and is not there, or a name is unknown.
    """
    if device not in {"auto", "cpu", "cuda"} or precision not in {"auto", "fp32", "bf16"}:
        raise DeviceError(
            "enrich.device is auto, cpu or cuda and enrich.precision is auto, fp32 or bf16, "
            f"not {device!r} and {precision!r}"
        )
    if device == "cuda" and not machine.cuda:
        raise DeviceError("enrich.device is cuda, but PyTorch finds no CUDA device here; set it to auto or cpu")
    chosen = ("cuda" if machine.cuda else "cpu") if device == "auto" else device
    native = machine.cuda_bf16 if chosen == "cuda" else machine.cpu_bf16
    if precision == "bf16" and chosen == "cuda" and not native:
        raise DeviceError("enrich.precision is bf16, which this CUDA device can't multiply; set it to auto or fp32")
    if precision == "auto":
        precision = "bf16" if native else "fp32"
    return Placement(chosen, precision)
