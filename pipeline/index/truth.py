"""The true neighbors of held-out queries, by brute force over the table's own vectors.

The truth never comes from the index, so that a vector that was lost or put under another's id on the way costs
recall. It is stored with a version: the next one, if little has changed, drops from it what is gone, offers it what is
new, and has the exact truth without reading every vector again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.index.choose import BLOCK_VECTORS
from pipeline.index.rows import Rows

KEPT = 150
"""Truth kept a query: the 100 nearest, those that tie with the last, and some to spare for those that go."""
NEEDED = 110
SAME_SCORE = 1e-5
FILTERED = ("type", "color")
SCOPES = ("all", "shard", *FILTERED)
SHARD_QUERIES = 20
"""Queries a shard is judged by at the least, as far as it has as many vectors."""
ALIVE = 0.9
"""A stored truth is used as long as so many of its queries can still be found."""


@dataclass(frozen=True)
class Queries:
    """Held-out queries: gallery rows (ascending int64), their ids, and their vectors float32 (n, dim)."""

    rows: np.ndarray
    ids: np.ndarray
    vectors: np.ndarray


class Nearest:
    """The best `KEPT` gallery rows of each query within one scope, gathered over blocks of the gallery."""

    def __init__(self, queries: int) -> None:
        self.scores = np.full((queries, KEPT), -np.inf, np.float32)
        self.rows = np.full((queries, KEPT), -1, np.int64)
        self.floor = np.full(queries, -np.inf, np.float32)  # above it nothing is missing

    def offer(self, scores: np.ndarray, rows: np.ndarray, allowed: np.ndarray | None) -> None:
        """Take in a block: scores float32 (queries, n), rows int64 (n,), allowed bool (queries, n) or None for all."""
        better = scores > np.maximum(self.scores[:, -1], self.floor)[:, None]
        if allowed is not None:
            better &= allowed
        for query in np.flatnonzero(better.any(axis=1)):
            columns = np.flatnonzero(better[query])
            all_scores = np.concatenate([self.scores[query], scores[query, columns]])
            all_rows = np.concatenate([self.rows[query], rows[columns]])
            if len(all_scores) > 4 * KEPT:
                top = np.argpartition(-all_scores, KEPT)[:KEPT]
                all_scores, all_rows = all_scores[top], all_rows[top]
            best = np.argsort(-all_scores, kind="stable")[:KEPT]
            self.scores[query], self.rows[query] = all_scores[best], all_rows[best]

    def without(self, gone: np.ndarray) -> bool:
        """Drop entries (bool, as `rows`); False if too few are left of a list that was cut."""
        self.floor = np.maximum(self.floor, np.where(self.rows[:, -1] >= 0, self.scores[:, -1], -np.inf))
        self.scores[gone], self.rows[gone] = -np.inf, -1
        order = np.argsort(-self.scores, axis=1, kind="stable")
        self.scores, self.rows = np.take_along_axis(self.scores, order, 1), np.take_along_axis(self.rows, order, 1)
        return not ((self.rows[:, NEEDED - 1] < 0) & np.isfinite(self.floor)).any()

    def right(self, query: int, k: int) -> tuple[set[int], int]:
        """Rows that count as one of the k nearest of a query, and how many there are to find (at most k)."""
        real = self.rows[query] >= 0
        scores, rows = self.scores[query][real], self.rows[query][real]
        if len(rows) <= k:
            return set(rows.tolist()), len(rows)
        return set(rows[scores >= scores[k - 1] - SAME_SCORE].tolist()), k


def pick_queries(
    candidates: Mapping[str, np.ndarray], sizes: Mapping[str, int], held_out: int, seed: int
) -> np.ndarray:
    """Rows (ascending int64) to ask for: each shard's share of `held_out` by size, at least `SHARD_QUERIES`.

    Args:
        candidates: by shard, rows (int64) that were not trained on.
        sizes: by shard, vectors that can be found.
        held_out: queries in all, about.
        seed: another one picks other queries.
    """
    total = sum(sizes.values())
    random = np.random.default_rng(seed)
    picked = [np.empty(0, np.int64)]
    for name, rows in sorted(candidates.items()):
        share = max(SHARD_QUERIES, round(held_out * sizes[name] / total)) if total else 0
        picked.append(random.choice(rows, min(len(rows), share), replace=False))
    return np.sort(np.concatenate(picked))


@dataclass(frozen=True)
class Truth:
    """Held-out queries and their nearest by scope: anywhere, in their shard, among those of their type or color.

    A query itself is left out. Queries without a type have nothing to find in that scope.
    """

    queries: Queries
    nearest: dict[str, Nearest]

    @classmethod
    def of(cls, queries: Queries, rows: Rows, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> Truth:
        """By brute force over blocks (ids int64 (n,), vectors float16 (n, dim)) of all of the gallery, in any order."""
        truth = cls(queries, {scope: Nearest(len(queries.rows)) for scope in SCOPES})
        truth.offer(rows, blocks)
        return truth

    def offer(self, rows: Rows, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take in blocks of vectors; ids that are no live row do not count."""
        codes = {"shard": rows.shard_codes()} | {name: rows.codes(name)[0] for name in FILTERED}
        alone = len(rows.manifest.shards) < 2
        asking = {scope: values for scope, values in codes.items() if (values[self.queries.rows] >= 0).any()}
        for ids, vectors in blocks:
            at = rows.of_ids(ids)
            scores = self.queries.vectors @ vectors[at >= 0].astype(np.float32).T
            at = at[at >= 0]
            scores[self.queries.rows[:, None] == at[None, :]] = -np.inf
            self.nearest["all"].offer(scores, at, None)
            if alone:
                self.nearest["shard"] = self.nearest["all"]
                asking.pop("shard", None)
            for scope, values in asking.items():
                own = values[self.queries.rows]
                self.nearest[scope].offer(scores, at, (own[:, None] == values[at][None, :]) & (own >= 0)[:, None])

    def save(self, path: Path, rows: Rows) -> None:
        """Write a file that names vectors by their ids, as rows are another version's affair."""
        arrays = {"ids": self.queries.ids, "vectors": self.queries.vectors}
        for scope, nearest in self.nearest.items():
            arrays |= {f"{scope}_ids": np.where(nearest.rows < 0, -1, rows.ids(np.maximum(nearest.rows, 0)))}
            arrays |= {f"{scope}_scores": nearest.scores, f"{scope}_floor": nearest.floor}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, rows: Rows) -> Truth | None:
        """What is left of a stored truth among live `rows`; None if that is too little to go on with.

        Raises:
            InputError: the file can't be read.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no stored truth: {error}") from None
        found = rows.of_ids(arrays["ids"])
        alive = np.flatnonzero(found >= 0)
        if len(alive) < ALIVE * len(found):
            return None
        alive = alive[np.argsort(found[alive])]
        truth = cls(Queries(found[alive], arrays["ids"][alive], arrays["vectors"][alive]), {})
        for scope in SCOPES:
            nearest = truth.nearest[scope] = Nearest(len(alive))
            ids = arrays[f"{scope}_ids"][alive]
            nearest.rows = np.where(ids < 0, -1, rows.of_ids(ids.ravel()).reshape(ids.shape))
            nearest.scores, nearest.floor = arrays[f"{scope}_scores"][alive], arrays[f"{scope}_floor"][alive]
            if not nearest.without((ids >= 0) & (nearest.rows < 0)):
                return None
        return truth


def nearest_in(queries: Queries, vectors: np.ndarray) -> Nearest:
    """The nearest of float16 vectors (n, dim), numbered from 0, by brute force; queries themselves left out."""
    nearest = Nearest(len(queries.rows))
    for first in range(0, len(vectors), BLOCK_VECTORS):
        rows = np.arange(first, min(first + BLOCK_VECTORS, len(vectors)))
        scores = queries.vectors @ vectors[rows[0] : rows[-1] + 1].astype(np.float32).T
        scores[queries.rows[:, None] == rows[None, :]] = -np.inf
        nearest.offer(scores, rows, None)
    return nearest
