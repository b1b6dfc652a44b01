"""Leakage that no split by product sees: the same picture, or nearly, under two products on two sides of the split.

Cosines of the backbone's features, looked at pair by pair on 5,835 retail photos: above 0.985 all pairs were the same
picture filed under two products (8 of 870 test photos); from 0.96 to 0.985 it was the same person in the same pose
wearing another color or a sister product (16); below 0.95 merely the same kind of garment. The first kind flatters
every figure; the second brand and type, and is what a shop's new products look like, so it is counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.training.splits import PARTS, TEST, TRAIN, VALIDATION

SAME, ALIKE = 0.985, 0.96
LIMIT = 4000
"""Pictures of each held-out part that are looked at. Every one is compared with every training picture, block by block:
exact, and at 1 million pictures of 1280 numbers some minutes on two cores; without a limit it would be hours."""
BLOCK = 2048
FILE = "near_duplicates.csv"


@dataclass(frozen=True)
class Twins:
    """Held-out pictures with a training picture that looks the same.

    Args:
        checked: test pictures looked at (at most `LIMIT`, evenly spaced).
        same: of them, those whose twin is the same picture (cosine above `SAME`).
        alike: of them, those whose twin is the same scene with a sister product (cosine above `ALIKE`, not `SAME`).
        pairs: test and validation rows, their training rows and cosines, nearest first: row, twin, cosine.
    """

    checked: int
    same: int
    alike: int
    pairs: pd.DataFrame

    def figures(self) -> dict[str, int]:
        """What a model card says of it."""
        return {"checked": self.checked, "same_picture": self.same, "same_scene": self.alike}


def find_twins(features: np.ndarray, parts: np.ndarray, limit: int = LIMIT) -> Twins:
    """The nearest training picture of each held-out one, where it is nearer than `ALIKE`.

    Args:
        features: (N, D), may be memory-mapped.
        parts: int8 (N,).
        limit: rows of each held-out part looked at, evenly spaced, at the most.
    """
    train = np.flatnonzero(parts == TRAIN)
    test = _spread(np.flatnonzero(parts == TEST), limit)
    rows = np.concatenate([test, _spread(np.flatnonzero(parts == VALIDATION), limit)])
    queries = _unit(features[rows])
    best, twin = np.full(len(rows), -1.0, np.float32), np.zeros(len(rows), np.int64)
    for begin in range(0, len(train) if len(rows) else 0, BLOCK):
        block = train[begin : begin + BLOCK]
        cosine = queries @ _unit(features[block]).T
        place = cosine.argmax(axis=1)
        nearest = np.take_along_axis(cosine, place[:, None], axis=1)[:, 0]
        twin = np.where(nearest > best, block[place], twin)
        best = np.maximum(best, nearest)
    pairs = pd.DataFrame({"row": rows, "twin": twin, "cosine": best})[best > ALIKE]
    tested = best[: len(test)]
    same, near = int((tested > SAME).sum()), int((tested > ALIKE).sum())
    return Twins(len(test), same, near - same, pairs.sort_values("cosine", ascending=False, kind="stable"))


def write_twins(twins: Twins, rows: pd.DataFrame, parts: np.ndarray, folder: Path) -> Path:
    """Write the pairs to `near_duplicates.csv` with files and products, to be looked at.

    Args:
        rows: of the features; their `file` and `product_id` are written where they have them.
        parts: int8 (N,).
    """
    made = {"cosine": twins.pairs["cosine"].round(4).to_numpy()}
    made["looks_like"] = np.where(made["cosine"] > SAME, "same picture", "same scene")
    for name, column in (("", "row"), ("twin_", "twin")):
        at = twins.pairs[column].to_numpy()
        made[f"{name}part"] = np.array(PARTS)[parts[at]]
        for wanted in (column for column in ("file", "product_id") if column in rows):
            made[f"{name}{wanted}"] = rows[wanted].to_numpy()[at]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(made).to_csv(folder / FILE, index=False)
    return folder / FILE


def _spread(rows: np.ndarray, limit: int) -> np.ndarray:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int))] if len(rows) else rows


def _unit(features: np.ndarray) -> np.ndarray:
    rows = np.asarray(features, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
