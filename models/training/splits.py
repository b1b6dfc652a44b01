"""Which rows train, validate and test: a hash of the product decides, so no product is ever on two sides.

Nothing is drawn at random and nothing can drift: the same product falls on the same side in every run, on every
machine, whatever else is in the catalog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.errors import DataError

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


@dataclass(frozen=True)
class Split:
    """The rule.

    Args:
        seed: another seed is another split.
        validation: share of the products, in (0, 1).
        test: share of the products, in (0, 1).
    """

    seed: int = 0
    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise DataError(f"shares of validation and test lie in (0, 1) and leave some to train on, not {self}")

    def part_of(self, product: str) -> int:
        """TRAIN, VALIDATION or TEST."""
        digest = hashlib.sha256(f"{self.seed}\0{product}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        if share < self.test:
            return TEST
        return VALIDATION if share < self.test + self.validation else TRAIN

    def parts(self, products: Iterable[str]) -> np.ndarray:
        """Part of each row, int8 (N,)."""
        known: dict[str, int] = {}
        parts = [known.setdefault(p, self.part_of(p)) if p not in known else known[p] for p in products]
        return np.array(parts, np.int8)

    def words(self) -> str:
        """What a model card says of it."""
        return (
            f"by sha256 of the product, seed {self.seed}: "
            f"{self.test:.0%} test, {self.validation:.0%} validation, the rest training"
        )


def near_duplicates(features: np.ndarray, parts: np.ndarray, cosine: float = 0.985, limit: int = 4000) -> int:
    """How many test rows have a training row that looks the same (cosine of the features above `cosine`).

    Args:
        features: (N, D).
        parts: int8 (N,).
        limit: test rows looked at, evenly spaced, at the most.
    """
    test, train = np.flatnonzero(parts == TEST), np.flatnonzero(parts == TRAIN)
    test = test[np.unique(np.linspace(0, len(test) - 1, min(limit, len(test))).astype(int))] if len(test) else test
    queries = _unit(features[test])
    best = np.full(len(test), -1.0, np.float32)
    for begin in range(0, len(train), 4096):
        block = _unit(features[train[begin : begin + 4096]])
        best = np.maximum(best, (queries @ block.T).max(axis=1))
    return int((best > cosine).sum())


def _unit(features: np.ndarray) -> np.ndarray:
    rows = np.asarray(features, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
