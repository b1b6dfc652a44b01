"""The models' files are whole, the device computes, FAISS finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.doctor.finding import Finding, fail, fine, warn
from pipeline.settings import Settings

TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2}
"""Relative error of a product of two 512 x 512 matrices against the CPU's in 64 bits; TF32 stays below the first one's
tenfold, which is allowed on a GPU."""

GPU_WARNED = 4 * 2**30
NVIDIA = Path("/proc/driver/nvidia/version")


def check_release(settings: Settings) -> Iterator[Finding]:
    """Read every card and compare every weights file with its sha256."""
    from models.release_cards import read_release
    from models.weights import random_seed, weights_path
    from pipeline.releases import release_folder

    folder = release_folder(settings)
    cards = read_release(folder)
    sized = [weights_path(card, place).stat().st_size for card, place in cards.all() if random_seed(card) is None]
    heads = ", ".join(sorted(cards.heads)) or "none"
    yield fine(
        "release", f"{cards.release_id} in {folder}: {len(sized)} weights files verified, "
        f"{sum(sized) / 2**20:.0f} MiB; heads: {heads}",
    )  # fmt: skip
    for role in ("detector", "captioner"):
        if getattr(cards, role) is None:
            yield warn("release", f"{cards.release_id} has no {role}", "release.uri")


def check_device(settings: Settings) -> Iterator[Finding]:
    """Multiply matrices where and as precisely as a job would, and tell the memory."""
    import torch

    from models.devices import capabilities, choose

    placement = choose(settings.enrich.device, settings.enrich.precision, capabilities())
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    started = time.perf_counter()
    made = (left.to(placement.device, placement.dtype) @ right.to(placement.device, placement.dtype)).double().cpu()
    seconds = time.perf_counter() - started
    error = float((made - exact).norm() / exact.norm())
    name = torch.cuda.get_device_name() if placement.device == "cuda" else "CPU"
    allowed = TOLERANCE[placement.precision] * (10 if placement.device == "cuda" else 1)
    what = (
        f"{name}, {placement.precision}: a product of matrices in {seconds * 1000:.0f} ms, relative error {error:.1e}"
    )
    if error > allowed:
        yield fail("device", f"{what}, more than {allowed:.0e}: its results can't be trusted", "enrich.device")
    else:
        yield fine("device", f"torch {version('torch')} on {what}")
    if placement.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        found = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        yield (
            warn("GPU memory", found, "enrich.model_images, or end what else runs on it")
            if free < GPU_WARNED
            else (fine("GPU memory", found))
        )
    elif settings.enrich.device == "auto" and NVIDIA.is_file():
        yield warn("device", "there is an NVIDIA driver, but PyTorch finds no GPU", "driver and torch's CUDA version")


def check_faiss(settings: Settings) -> Iterator[Finding]:
    """Search a little on the CPU, and on the GPU where index.device allows and FAISS finds one."""
    from pipeline.index.device import build_device, trial
    from pipeline.index.shards import faiss

    note = trial(faiss.IndexFlatIP)
    if note:
        yield fail("faiss", note.replace("on the GPU", "on the CPU"), "reinstall faiss-cpu (or faiss-gpu, never both)")
        return
    both = [name for name in ("faiss-cpu", "faiss-gpu") if _installed(name)]
    if len(both) > 1:
        yield fail("faiss", "faiss-cpu and faiss-gpu are both installed: they are one module", "uninstall one of them")
        return
    device = build_device(settings.index.device)
    if device.note:
        yield warn("faiss", f"builds run on the CPU: {device.note}", "index.device, or another build of FAISS")
    else:
        yield fine(
            "faiss", f"FAISS {faiss.__version__}: a trial search found the true neighbors; builds on {device.name}"
        )


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


CHECKS = {"release": check_release, "device": check_device, "faiss": check_faiss}
