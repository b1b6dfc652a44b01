"""The training log: one JSON object a line, so that a run can be watched, plotted, and gone on with after a crash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import DataError

FILE = "metrics.jsonl"


class TrainingLog:
    """Appends lines to `metrics.jsonl` in a run's folder; a resumed run drops the lines behind its checkpoint."""

    def __init__(self, folder: Path, *, after_epoch: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        kept = [line for line in read_log(folder) if line["epoch"] <= after_epoch] if self.path.exists() else []
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def add(self, epoch: int, **numbers: Any) -> None:
        """Write one line for `epoch` (from 1)."""
        with self.path.open("a") as file:
            file.write(json.dumps({"epoch": epoch, **numbers}) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """All lines of a run's log in order; a last line cut off by a crash is left out.

    Raises:
        DataError: there is no log in `folder`.
    """
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"{folder} is no training run: it has no {FILE}")
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def series(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Epochs and values of one number, where it was logged."""
    there = [(line["epoch"], line[name]) for line in lines if name in line]
    return [epoch for epoch, _ in there], [value for _, value in there]
