"""The true neighbors of held-out queries, by brute force over the table's own vectors.

The truth never comes from the index, so that a vector that was lost or put under another's id on the way costs
recall. It is stored with a version, next to what the version answered: the next one, if little has changed, drops from
both what is gone, offers them what is new, and has the exact truth without reading every vector again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.index.choose import BLOCK_VECTORS
from pipeline.index.rows import Rows
from pipeline.index.shards import Widener

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
    """The best gallery rows of each query within one scope, gathered over blocks of the gallery."""

    def __init__(self, queries: int, kept: int = KEPT) -> None:
        self.scores = np.full((queries, kept), -np.inf, np.float32)
        self.rows = np.full((queries, kept), -1, np.int64)
        self.floor = np.full(queries, -np.inf, np.float32)  # above it nothing is missing

    def offer(self, scores: np.ndarray, rows: np.ndarray, allowed: np.ndarray | None) -> None:
        """Take in a block: scores float32 (queries, n), rows int64 (n,), allowed bool (queries, n) or None for all."""
        better = scores > np.maximum(self.scores[:, -1], self.floor)[:, None]
        if allowed is not None:
            better &= allowed
        if not better.any():
            return
        kept, widest = self.rows.shape[1], int(np.count_nonzero(better, axis=1).max())
        if widest > 4 * kept:
            columns = np.argpartition(np.where(better, -scores, np.inf), kept, axis=1)[:, :kept]
            found = np.take_along_axis(np.where(better, scores, -np.inf), columns, 1)
        else:
            asked, hits = np.nonzero(better)
            starts = np.searchsorted(asked, np.arange(len(scores)))
            columns = np.zeros((len(scores), widest), np.int64)
            found = np.full((len(scores), widest), -np.inf, np.float32)
            place = np.arange(len(asked)) - starts[asked]
            columns[asked, place], found[asked, place] = hits, scores[asked, hits]
        self.offer_own(np.arange(len(scores)), found, np.where(np.isfinite(found), rows[columns], -1))

    def offer_own(self, asked: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> None:
        """Take in what was found for some queries: scores float32 and rows int64 (asked, n), -1 for none."""
        above = (rows >= 0) & (scores > self.floor[asked, None])
        all_scores = np.concatenate([self.scores[asked], np.where(above, scores, -np.inf)], axis=1)
        all_rows = np.concatenate([self.rows[asked], np.where(above, rows, -1)], axis=1)
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, : self.rows.shape[1]]
        self.scores[asked] = np.take_along_axis(all_scores, order, 1)
        self.rows[asked] = np.take_along_axis(all_rows, order, 1)

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
        truth.offer(rows, _located(rows, blocks))
        return truth

    def offer(self, rows: Rows, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take in blocks of vectors: gallery rows int64 (n,), vectors (n, dim)."""
        codes = {"shard": rows.shard_codes()} | {name: rows.codes(name)[0] for name in FILTERED}
        alone = len(rows.manifest.shards) < 2
        asking = {scope: values for scope, values in codes.items() if (values[self.queries.rows] >= 0).any()}
        products = Products(self.queries)
        for at, vectors in blocks:
            scores = products.with_rows(at, vectors)
            self.nearest["all"].offer(scores, at, None)
            if alone:
                self.nearest["shard"] = self.nearest["all"]
                asking.pop("shard", None)
            for scope, values in asking.items():
                own = values[self.queries.rows]
                self.nearest[scope].offer(scores, at, (own[:, None] == values[at][None, :]) & (own >= 0)[:, None])

    def save(self, path: Path, answers: Mapping[str, Nearest]) -> None:
        """Write a file with the truth and what the index answered; rows are those of its version."""
        arrays = {"rows": self.queries.rows, "ids": self.queries.ids, "vectors": self.queries.vectors}
        for what, lists in (("true", self.nearest), ("found", answers)):
            for scope, nearest in lists.items():
                arrays[f"{what}_{scope}_rows"] = nearest.rows
                arrays[f"{what}_{scope}_scores"] = nearest.scores
                arrays[f"{what}_{scope}_floor"] = nearest.floor
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, now: np.ndarray) -> tuple[Truth, dict[str, Nearest]] | None:
        """What is left of a stored truth and of the answers; None if that is too little to go on with.

        Args:
            path: the file.
            now: int64, for each row of the version it was stored with the row now, -1 for those that are gone.

        Raises:
            InputError: the file can't be read.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no stored truth: {error}") from None
        found = now[arrays["rows"]]
        alive = np.flatnonzero(found >= 0)
        if len(alive) < ALIVE * len(found):
            return None
        alive = alive[np.argsort(found[alive])]
        queries = Queries(found[alive], arrays["ids"][alive], arrays["vectors"][alive])
        lists: dict[str, dict[str, Nearest]] = {"true": {}, "found": {}}
        for what, scopes in lists.items():
            for scope in SCOPES:
                before = arrays[f"{what}_{scope}_rows"][alive]
                nearest = scopes[scope] = Nearest(len(alive), before.shape[1])
                nearest.rows = np.where(before < 0, -1, now[np.maximum(before, 0)])
                nearest.scores = arrays[f"{what}_{scope}_scores"][alive]
                nearest.floor = arrays[f"{what}_{scope}_floor"][alive]
                if not nearest.without((before >= 0) & (nearest.rows < 0)):
                    return None
        return cls(queries, lists["true"]), lists["found"]


class Products:
    """Inner products of queries with blocks of vectors, in memory that is used again."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._widener = Widener(queries.vectors.shape[1])
        self._scores = np.empty(len(queries.rows) * BLOCK_VECTORS, np.float32)

    def with_rows(self, at: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """float32 (queries, n), until the next call; a query with itself is -infinity.

        Args:
            at: rows int64 (n,), `BLOCK_VECTORS` at the most.
            vectors: (n, dim).
        """
        own = self._queries.rows
        scores = self._scores[: len(own) * len(at)].reshape(len(own), len(at))
        np.matmul(self._queries.vectors, self._widener.wide(vectors).T, out=scores)
        if len(own):
            places = np.minimum(np.searchsorted(own, at), len(own) - 1)
            columns = np.flatnonzero(own[places] == at)
            scores[places[columns], columns] = -np.inf
        return scores


def _located(rows: Rows, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks by gallery row instead of id, no larger than `BLOCK_VECTORS`; ids that are no live row do not count."""
    for ids, vectors in blocks:
        for first in range(0, len(ids), BLOCK_VECTORS):
            part = vectors[first : first + BLOCK_VECTORS]
            at = rows.of_ids(ids[first : first + BLOCK_VECTORS])
            known = at >= 0
            yield (at, part) if known.all() else (at[known], part[known])


def nearest_in(queries: Queries, vectors: np.ndarray) -> Nearest:
    """The nearest of float16 vectors (n, dim), numbered from 0, by brute force; queries themselves left out."""
    nearest, products = Nearest(len(queries.rows)), Products(queries)
    for first in range(0, len(vectors), BLOCK_VECTORS):
        rows = np.arange(first, min(first + BLOCK_VECTORS, len(vectors)))
        nearest.offer(products.with_rows(rows, vectors[first : first + BLOCK_VECTORS]), rows, None)
    return nearest
