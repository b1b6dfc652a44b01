"""The state of a training run on disk, whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.errors import DataError

CHECKPOINT = "checkpoint.pt"
"""File in a run's folder from which it can go on."""


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Put a state down: the old one stays until the new one is whole."""
    partial = path.with_name(f"{path.name}.partial")
    torch.save(state, partial)
    partial.replace(path)


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """The state that a training put down.

    Raises:
        DataError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise DataError(f"there is nothing to resume: no {path}")
    if not zipfile.is_zipfile(
        path
    ):  # cut off or overwritten: PyTorch's reader fails in as many ways as there are bytes
        raise DataError(f"{path} is damaged; start the run anew in another folder")
    try:
        return torch.load(path, weights_only=True, map_location=device)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} is damaged; start the run anew in another folder: {error}") from None
