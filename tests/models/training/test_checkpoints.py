"""Checkpoints name the run they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DataError
from models.training.checkpoints import digest_of, forget, read_checkpoint, write_checkpoint


def test_a_checkpoint_is_read_by_its_own_run_only(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "one", {"epoch": 3, "weights": torch.ones(2)})
    assert read_checkpoint(tmp_path / "checkpoint.pt", "one")["epoch"] == 3
    with pytest.raises(DataError, match="another training run"):
        read_checkpoint(tmp_path / "checkpoint.pt", "two")
    forget(tmp_path)
    forget(tmp_path)
    with pytest.raises(DataError, match="nothing to resume"):
        read_checkpoint(tmp_path / "checkpoint.pt", "one")


def test_whatever_is_different_makes_another_digest() -> None:
    parts = np.array([0, 1, 2, 0], np.int8)
    made = [
        digest_of(of)
        for of in (
            [parts, "type"],
            [parts, "color"],
            [parts[::-1], "type"],
            [parts.astype(np.int32), "type"],
            [parts.reshape(2, 2), "type"],
            [parts, "ty", "pe"],
            ["type", parts],
        )
    ]
    assert len(set(made)) == len(made)
    assert digest_of([parts.copy(), "type"]) == made[0]
