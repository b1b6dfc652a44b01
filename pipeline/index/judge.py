"""Recall against the truth, overall, by shard and under filters; latency; the gate.

Vectors that score the same as the k-th (the same photo under two keys) count as right, too.
"""

from __future__ import annotations

import time

import numpy as np

from pipeline.errors import GateError
from pipeline.index.gallery import Index
from pipeline.index.manifest import Judgement, Manifest, Recall
from pipeline.index.truth import FILTERED, Nearest, Queries, Truth
from pipeline.settings import IndexSettings

AT = (1, 10, 100)
TIMED_QUERIES = 100


def judge(index: Index, truth: Truth) -> Judgement:
    """Measure `index` (opened, of any version) with held-out queries, none of which was trained on."""
    started = time.monotonic()
    queries = truth.queries
    shares = _recalls(truth.nearest["all"], index.search_rows(queries.vectors, AT[-1] + 1), queries.rows)
    filtered = {name: _filtered(index, queries, truth.nearest[name], name) for name in FILTERED}
    overall = _mean(shares, _weights(index, queries))
    alone = len(index.manifest.shards) == 1
    return Judgement(
        overall=overall,
        shards={index.manifest.shards[0].name: overall} if alone else _by_shard(index, queries, truth.nearest["shard"]),
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
