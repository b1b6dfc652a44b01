"""How much memory a training will need, computed before it starts, so that it is refused and not killed.

The networks run once without numbers (torch's `meta` device): the very losses of the training say which maps autograd
would remember and how large they are. Nothing of size is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from models.devices import Placement
from models.errors import DeviceError
from models.translation.losses import Networks, discriminator_loss, generator_losses
from models.translation.networks import Generator, parameter_count
from models.translation.options import TranslateOptions
from models.translation.trainer import build_networks

PARAMETER_BYTES = 4 * 4
"""A parameter, its gradient and Adam's two moments, float32."""

MARGIN = 1.3
"""What gradients on their way, workspaces of convolutions and gaps of the allocator add to what is remembered."""

BASE_BYTES = 80 * 2**20
"""Code and small buffers that the first step brings in. How estimates compare: docs/translation.md."""

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Bytes.

    Args:
        states: parameters, gradients, optimizers, averages and pools: there from the first steps to the end.
        activations: what is remembered for one backward pass at the most.
    """

    states: int
    activations: int

    @property
    def total(self) -> int:
        """All together, with the margin."""
        return BASE_BYTES + self.states + round(MARGIN * self.activations)


def estimate(options: TranslateOptions, placement: Placement) -> Need:
    """What a training with these options needs beyond the process as it is."""
    with torch.device("meta"):
        networks = build_networks(options)
    counts = [parameter_count(network) for network in networks.items().values()]
    states = sum(counts) * PARAMETER_BYTES
    if options.average > 0:
        states += 4 * sum(counts[:2])
    if placement.precision == "bf16":
        states += 2 * max(sum(counts[:2]), sum(counts[2:]))  # copies of the weights while a step runs
        for network in networks.items().values():
            network.to(torch.bfloat16)
    states += 2 * options.pool * 3 * options.size**2 * 4
    x = torch.empty(options.batch, 3, options.size, options.size, dtype=placement.dtype, device="meta")
    with _remembered(networks) as kept, _part_inputs(networks, kept if options.checkpointing else {}):
        losses, fakes = generator_losses(networks, x, x, options, _unchanged, _unchanged)
    generators = sum(kept.values())
    del losses
    if options.checkpointing:
        generators += _largest_part(networks, x if options.identity == 0 else torch.cat([x, x]))
    with _remembered(networks) as kept:
        judged = [
            discriminator_loss(discriminator, x, fakes.a.detach(), options.loss, _unchanged)
            for discriminator in (networks.real_a, networks.real_b)
        ]
    discriminators = sum(kept.values())
    del judged
    return Need(states, max(generators, discriminators))


@contextmanager
def _remembered(networks: Networks) -> Iterator[dict[int, int]]:
    """Bytes by storage that autograd remembers in here, parameters left out."""
    own = {_storage(parameter) for network in networks.items().values() for parameter in network.parameters()}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a storage that is freed would give its number to another one

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


@contextmanager
def _part_inputs(networks: Networks, kept: dict[int, int]) -> Iterator[None]:
    """Add what goes into the generators' parts in here to `kept`: checkpoints hold it without autograd's knowing."""
    alive: list[torch.Tensor] = []

    def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        for tensor in inputs:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
            alive.append(tensor)

    parts = [part for generator in _generators(networks) for part in generator.parts()]
    handles = [part.register_forward_pre_hook(hook) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _largest_part(networks: Networks, x: torch.Tensor) -> int:
    """Bytes that one part remembers at the most when it is computed again for its backward pass."""
    generator, sizes = _generators(networks)[0], [0]
    generator.checkpointing = False
    with _remembered(networks) as kept:
        handles = [
            part.register_forward_hook(lambda *_: sizes.append(sum(kept.values()))) for part in generator.parts()
        ]
        generator(x)
    for handle in handles:
        handle.remove()
    generator.checkpointing = True
    return max(after - before for before, after in pairwise(sizes))


def _generators(networks: Networks) -> list[Generator]:
    return [network for network in (networks.a_to_b, networks.b_to_a) if isinstance(network, Generator)]


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x


def available(device: str) -> int | None:
    """Bytes a training may take now on `cpu` or `cuda`; None where this system does not tell.

    On a CPU that is what the kernel could hand out without swapping, or what the container's limit leaves, if less.
    """
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    found = [value for value in (_kernel_says(), _container_leaves()) if value is not None]
    return min(found) if found else None


def _kernel_says() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(values[0]) * 1024 if values else None


def _container_leaves(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Limit less use of the control group (version 2) this process is in; file caches count as free."""
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        stats = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(stats.get("inactive_file", 0)))


def check_memory(options: TranslateOptions, placement: Placement, free: int | None) -> Need:
    """Estimate and compare; nothing has been allocated yet.

    Args:
        free: bytes, as `available` says; None compares with nothing.

    Raises:
        DeviceError: more is needed; the message says how much, and what each setting that could be changed would need.
    """
    need = estimate(options, placement)
    if free is None or need.total <= free:
        return need
    others = "; ".join(f"{words}: {_gib(estimate(other, placement).total)}" for words, other in _smaller(options))
    raise DeviceError(
        f"training needs about {_gib(need.total)} of memory ({options.generator}, size {options.size}, batch "
        f"{options.batch}, width {options.width}) and {placement.device} has {_gib(free)} free. "
        f"Change one or more of these: {others}"
    )


def _smaller(options: TranslateOptions) -> Iterator[tuple[str, TranslateOptions]]:
    """Options that need less, and how they are asked for."""
    if options.batch > 1:
        yield "--batch 1", replace(options, batch=1)
    if not options.checkpointing:
        yield "--checkpointing", replace(options, checkpointing=True)
    if options.size >= 128:
        size = options.size // 32 * 16
        yield f"--size {size}", replace(options, size=size)
    yield f"--width {options.width // 4 * 2}", replace(options, width=options.width // 4 * 2 or 2)
    if options.generator != "ganilla_deconv":
        yield "--generator ganilla_deconv", replace(options, generator="ganilla_deconv")


def _gib(count: float) -> str:
    return f"{count / GIB:.1f} GiB"
