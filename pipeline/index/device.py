"""The GPU of a build, if there is one that works.

A GPU trains the centers and tells which list a vector belongs to, which is nearly all of a build's arithmetic; the
shards themselves are the same as a CPU builds. FAISS says it has a GPU also where searching on it fails (another
driver, another architecture), so one is used only after a real trial search that agrees with the CPU's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import SettingError
from pipeline.index.shards import faiss

log = logging.getLogger(__name__)

FlatMaker = Callable[[int], Any]
"""Makes an empty flat inner-product index for vectors of that many numbers."""


@dataclass(frozen=True)
class BuildDevice:
    """Where the arithmetic of a build is done; `note` says why a GPU is not used though one was found."""

    name: Literal["cpu", "cuda"]
    flat: FlatMaker | None = None
    note: str = ""


def build_device(wanted: Literal["auto", "cpu", "cuda"]) -> BuildDevice:
    """The device for a build.

    Raises:
        SettingError: index.device is cuda and no GPU works; the message says why.
    """
    if wanted == "cpu":
        return BuildDevice("cpu")
    found = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if not found:
        note = "this FAISS sees no GPU (requirements-gpu.txt has the one that can)"
        if wanted == "cuda":
            raise SettingError(f"index.device is cuda, but {note}")
        return BuildDevice("cpu")
    note = trial(_gpu_flat)
    if not note:
        return BuildDevice("cuda", _gpu_flat)
    if wanted == "cuda":
        raise SettingError(f"index.device is cuda, but {note}")
    log.warning("building on the CPU: %s", note)
    return BuildDevice("cpu", note=note)


def trial(make: FlatMaker) -> str:
    """Search a little with an index that `make` gives; what is wrong with it, empty if nothing is."""
    vectors = np.random.default_rng(0).normal(size=(2_000, 64)).astype(np.float32)
    try:
        tried = make(64)
        tried.add(vectors)
        found = tried.search(vectors[:50], 1)[1].ravel()
    except Exception as error:  # noqa: BLE001 - FAISS raises many kinds, and any of them means: not usable
        return f"a trial search on the GPU failed: {str(error).strip().splitlines()[-1]}"
    true = np.argmax(vectors[:50] @ vectors.T, axis=1)
    return "" if (found == true).mean() > 0.95 else "a trial search on the GPU gave wrong neighbors"


def _gpu_flat(dim: int) -> Any:
    options = faiss.GpuIndexFlatConfig()
    options.useFloat16 = False
    resources = faiss.StandardGpuResources()
    index = faiss.GpuIndexFlatIP(resources, dim, options)
    index.referenced_objects = [resources]  # FAISS holds a bare pointer
    return index
