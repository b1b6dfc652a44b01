"""Checkpoints: the state of a training run after an epoch, and of which run it is.

A checkpoint names its run by a digest of what was trained on. Going on from it with other labels, another split or
other features would test on what was trained on, and nothing else would notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.errors import DataError

CHECKPOINT = "checkpoint.pt"
"""File in a run's folder from which it can go on."""

RUN = "run"


def digest_of(parts: Iterable[np.ndarray | str | None]) -> str:
    """sha256 over arrays (type, shape and content) and texts, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(f"{part}\0".encode())
    return digest.hexdigest()


def write_checkpoint(folder: Path, run: str, state: Mapping[str, Any]) -> None:
    """Write the state of a run to `folder`; a crash leaves the file before or the file after, never half a file."""
    partial = folder / f"{CHECKPOINT}.partial"
    torch.save({**state, RUN: run}, partial)
    partial.replace(folder / CHECKPOINT)


def read_checkpoint(path: Path, run: str, device: str = "cpu") -> dict[str, Any]:
    """Read the state of a run.

    Raises:
        DataError: there is no checkpoint, or it is of a run with other data, labels, split or recipe.
    """
    if not path.is_file():
        raise DataError(f"there is nothing to resume: no {path}")
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    if state.get(RUN) != run:
        raise DataError(
            f"{path} is of another training run: other features, labels, split or recipe; "
            "name those of that run, or start again without --resume"
        )
    return state


def forget(folder: Path) -> None:
    """Delete the checkpoint of an earlier run, so that this one, killed before its first epoch, can't go on from it."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
