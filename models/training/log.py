"""The training log: one JSON object a line, so that a run can be watched, plotted, and gone on with after a crash.

The same numbers go into TensorBoard event files beside it: `tensorboard --logdir` on the run's folder, or on a folder
of runs to compare them.
"""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import DataError

FILE = "metrics.jsonl"
EVENTS = "events.out.tfevents.*"
"""TensorBoard's name for its files."""


class TrainingLog:
    """Appends lines to `metrics.jsonl` in a run's folder and the numbers in them to a TensorBoard event file.

    A resumed run drops the lines behind its checkpoint. The event file is written anew from the lines that stay, so
    that it never says anything that `metrics.jsonl` does not.
    """

    def __init__(self, folder: Path, *, after_epoch: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second to import, and only training needs it

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        kept = [line for line in read_log(folder) if line["epoch"] <= after_epoch] if self.path.exists() else []
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        for old in folder.glob(EVENTS):
            old.unlink()
        self._events = SummaryWriter(str(folder))
        weakref.finalize(self, self._events.close)  # trainers end when they end: nobody closes a log
        for line in kept:
            self._show(line)

    def add(self, epoch: int, **numbers: Any) -> None:
        """Write one line for `epoch` (from 1)."""
        line = {"epoch": epoch, **numbers}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._show(line)

    def _show(self, line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                self._events.add_scalar(name, value, line["epoch"])
        self._events.flush()


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
