"""Recall against exact search over the table's own vectors, and latency.

The truth is computed from the table, not from the index, so that a vector that was lost or put under another's id on
the way costs recall. Vectors that score the same as the k-th (the same photo under two keys) count as right, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.errors import GateError
from pipeline.index.choose import BLOCK_VECTORS
from pipeline.index.gallery import Index
from pipeline.index.manifest import Judgement, Manifest, Recall
from pipeline.settings import IndexSettings

AT = (1, 10, 100)
KEPT = 150
"""Truth kept a query: the 100 nearest and those that tie with the last."""
SAME_SCORE = 1e-5
FILTERED = ("type", "color")
TIMED_QUERIES = 100
SHARD_QUERIES = 20
"""Queries a shard is judged by at the least, as far as it has as many vectors."""


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

    def offer(self, scores: np.ndarray, rows: np.ndarray, allowed: np.ndarray | None) -> None:
        """Take in a block: scores float32 (queries, n), rows int64 (n,), allowed bool (queries, n) or None for all."""
        better = scores > self.scores[:, -1:]
        if allowed is not None:
            better &= allowed
        for query in np.flatnonzero(better.any(axis=1)):
            columns = np.flatnonzero(better[query])
            all_scores = np.concatenate([self.scores[query], scores[query, columns]])
            all_rows = np.concatenate([self.rows[query], rows[columns]])
            best = np.argsort(-all_scores, kind="stable")[:KEPT]
            self.scores[query], self.rows[query] = all_scores[best], all_rows[best]

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


def exact_truth(index: Index, queries: Queries, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, Nearest]:
    """The nearest rows by scope (`all`, `shard`, and each of `FILTERED`), by brute force over streamed blocks.

    A query itself is left out. Within `shard`, `type` and `color` only rows with the query's own value count; queries
    without one have nothing to find there.
    """
    codes = {"all": None, "shard": index.rows.shard_codes()} | {name: index.rows.codes(name)[0] for name in FILTERED}
    truth = {scope: Nearest(len(queries.rows)) for scope in codes}
    for ids, vectors in blocks:
        rows = index.rows.of_ids(ids)
        known = rows >= 0
        rows = rows[known]
        scores = queries.vectors @ vectors[known].astype(np.float32).T
        scores[queries.rows[:, None] == rows[None, :]] = -np.inf
        for scope, values in codes.items():
            if values is None:
                truth[scope].offer(scores, rows, None)
                continue
            own = values[queries.rows]
            truth[scope].offer(scores, rows, (own[:, None] == values[rows][None, :]) & (own >= 0)[:, None])
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


def judge(index: Index, queries: Queries, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> Judgement:
    """Measure `index` (opened, of any version) with held-out queries.

    Args:
        index: what is judged.
        queries: none of which was trained on.
        blocks: (ids int64 (n,), vectors float16 (n, dim)) of all of the gallery, in any order.
    """
    started = time.monotonic()
    truth = exact_truth(index, queries, blocks)
    found = index.search_rows(queries.vectors, AT[-1] + 1)
    shares = _recalls(truth["all"], found, queries.rows)
    filtered = {name: _filtered(index, queries, truth[name], name) for name in FILTERED}
    return Judgement(
        overall=_mean(shares, _weights(index, queries)),
        shards=_by_shard(index, queries, truth["shard"]),
        filtered={name: recall for name, recall in filtered.items() if recall.queries},
        latency_ms=_latency(index, queries.vectors[:TIMED_QUERIES]),
        seconds=time.monotonic() - started,
    )


def _weights(index: Index, queries: Queries) -> np.ndarray:
    """Vectors of the gallery that each query stands for: small shards give more queries than their share."""
    codes = index.rows.shard_codes()[queries.rows]
    live = np.array([entry.live for entry in index.manifest.shards], np.float64)
    asked = np.bincount(codes, minlength=len(live))
    return live[codes] / asked[codes]


def _by_shard(index: Index, queries: Queries, truth: Nearest) -> dict[str, Recall]:
    """Recall of each shard's own queries, searched in that shard alone."""
    codes = index.rows.shard_codes()[queries.rows]
    recalls = {}
    for number, entry in enumerate(index.manifest.shards):
        asked = np.flatnonzero(codes == number)
        found = index.search_rows(queries.vectors[asked], AT[-1] + 1, shards=[entry.name])
        shares = _recalls(truth, found, queries.rows, asked)
        if len(asked):
            recalls[entry.name] = _mean(shares)
    return recalls


def _filtered(index: Index, queries: Queries, truth: Nearest, column: str) -> Recall:
    """Recall of searches with where = the query's own value of `column`."""
    values = index.rows.values(column, queries.rows)
    shares = []
    for value in sorted({value for value in values if value is not None}):
        asked = np.array([i for i, own in enumerate(values) if own == value])
        found = index.search_rows(queries.vectors[asked], AT[-1] + 1, where={column: value})
        shares.append(_recalls(truth, found, queries.rows, asked))
    return _mean(np.concatenate(shares) if shares else np.empty((0, len(AT))))


def _recalls(truth: Nearest, found: np.ndarray, own: np.ndarray, asked: np.ndarray | None = None) -> np.ndarray:
    """Recall at each of `AT` for each asked query: (n, 3); NaN where there is nothing to find."""
    asked = np.arange(len(own)) if asked is None else asked
    shares = np.full((len(asked), len(AT)), np.nan)
    for number, (query, rows) in enumerate(zip(asked.tolist(), found.tolist(), strict=True)):
        hits = [row for row in rows if row >= 0 and row != own[query]]
        for column, k in enumerate(AT):
            right, n = truth.right(query, k)
            if n:
                shares[number, column] = min(len(right.intersection(hits[:k])), n) / n
    return shares


def _mean(shares: np.ndarray, weights: np.ndarray | None = None) -> Recall:
    """Averages over the queries that have something to find; where none has, nothing was missed."""
    real = ~np.isnan(shares[:, 0])
    if not real.any():
        return Recall(queries=0, at_1=1.0, at_10=1.0, at_100=1.0)
    mean = np.average(shares[real], axis=0, weights=None if weights is None else weights[real])
    at = [round(float(value), 6) for value in mean]
    return Recall(queries=int(real.sum()), at_1=at[0], at_10=at[1], at_100=at[2])


def _latency(index: Index, vectors: np.ndarray) -> dict[str, float]:
    """Milliseconds of single queries (k=10), after one for warming up."""
    times: list[float] = []
    for number in range(-1, len(vectors)) if len(vectors) else ():
        started = time.perf_counter()
        index.search_rows(vectors[max(number, 0)][None], 10)
        times.append((time.perf_counter() - started) * 1e3)
    if len(times) < 2:
        return {}
    return {f"p{p}": round(float(np.percentile(times[1:], p)), 3) for p in (50, 95, 99)}


def gate(manifest: Manifest, settings: IndexSettings) -> None:
    """Say no unless the index earned it.

    Raises:
        GateError: it was not judged, or a recall@10 is below index.min_recall (overall) or index.min_shard_recall
            (each shard and filter); the message lists every one.
    """
    judged = manifest.judgement
    if judged is None:
        raise GateError(f"index {manifest.version} was never judged; build it again")
    low = []
    if judged.overall.at_10 < settings.min_recall:
        low.append(f"overall {judged.overall.at_10:.3f} is below index.min_recall {settings.min_recall:g}")
    for what, recalls in (("shard", judged.shards), ("filter by", judged.filtered)):
        low += [
            f"{what} {name} {recall.at_10:.3f} is below index.min_shard_recall {settings.min_shard_recall:g}"
            for name, recall in sorted(recalls.items())
            if recall.at_10 < settings.min_shard_recall
        ]
    if low:
        raise GateError(f"index {manifest.version} stays unpublished, recall@10: " + "; ".join(low))
