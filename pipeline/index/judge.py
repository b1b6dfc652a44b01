"""Recall against the truth, overall, by shard and under filters; latency; the gate.

Vectors that score the same as the k-th (the same photo under two keys) count as right, too.

What a version answers is stored with it. A version that only adds files to the one before is judged by the answers of
the old files, which the next build takes over without those that are gone, together with what the new files answer: the
same candidates from the same codes. That this holds is tried with `TIMED_QUERIES` searches of the new version itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.errors import GateError
from pipeline.index.gallery import Index, Where
from pipeline.index.manifest import Judgement, Manifest, Recall
from pipeline.index.truth import FILTERED, SCOPES, Nearest, Queries, Truth
from pipeline.settings import IndexSettings

AT = (1, 10, 100)
TIMED_QUERIES = 100
ANSWERS_KEPT = 120
"""Answers kept a query: the 100 best, the query itself, and some to spare for those that go."""
AGREEMENT = 0.99
"""Share of the ten best that carried answers and the version itself have to have in common."""


@dataclass(frozen=True)
class Carried:
    """Answers of the version before, without what is gone; `fresh` (bool, a gallery row each) is what they lack."""

    answers: Mapping[str, Nearest]
    fresh: np.ndarray


def judge(index: Index, truth: Truth, carried: Carried | None = None) -> tuple[Judgement, dict[str, Nearest]]:
    """Measure `index` (opened, of any version) with held-out queries, none of which was trained on.

    Returns:
        the judgement, and the answers by scope (`truth.SCOPES`) for the next version.
    """
    started = time.monotonic()
    queries = truth.queries
    timed, latency = _timed(index, queries)
    answers = None if carried is None else {scope: _more(index, queries, scope, carried) for scope in SCOPES}
    if answers is None or _agreement(answers["all"], timed) < AGREEMENT:
        answers = {scope: _answers(index, queries, scope) for scope in SCOPES}
    shares = _recalls(truth.nearest["all"], answers["all"], queries.rows)
    overall = _mean(shares, _weights(index, queries))
    alone = len(index.manifest.shards) == 1
    filtered = {name: _mean(_recalls(truth.nearest[name], answers[name], queries.rows)) for name in FILTERED}
    by_shard = {index.manifest.shards[0].name: overall} if alone else _by_shard(index, truth, answers["shard"])
    judgement = Judgement(
        overall=overall,
        shards=by_shard,
        filtered={name: recall for name, recall in filtered.items() if recall.queries},
        latency_ms=latency,
        seconds=time.monotonic() - started,
    )
    return judgement, answers


def _askings(index: Index, queries: Queries, scope: str) -> Iterator[tuple[np.ndarray, Where | None, list[str] | None]]:
    """What to ask for a scope: queries (int64), filter, shards."""
    if scope == "all":
        yield np.arange(len(queries.rows)), None, None
    elif scope == "shard":
        codes = index.rows.shard_codes()[queries.rows]
        for number, entry in enumerate(index.manifest.shards):
            if (codes == number).any():
                yield np.flatnonzero(codes == number), None, [entry.name]
    else:
        values = index.rows.values(scope, queries.rows)
        for value in sorted({value for value in values if value is not None}):
            yield np.array([i for i, own in enumerate(values) if own == value]), {scope: value}, None


def _answers(index: Index, queries: Queries, scope: str) -> Nearest:
    """What the index answers in a scope."""
    answers = Nearest(len(queries.rows), ANSWERS_KEPT)
    if scope == "shard" and len(index.manifest.shards) == 1:
        return answers  # the same as overall, and not asked again
    for asked, where, names in _askings(index, queries, scope):
        answers.offer_own(asked, *index.search_scored(queries.vectors[asked], ANSWERS_KEPT, where, names))
    return answers


def _more(index: Index, queries: Queries, scope: str, carried: Carried) -> Nearest:
    """Carried answers with those among what is fresh."""
    answers = carried.answers[scope]
    if carried.fresh.any() and not (scope == "shard" and len(index.manifest.shards) == 1):
        for asked, where, names in _askings(index, queries, scope):
            vectors = queries.vectors[asked]
            found = index.search_scored(vectors, ANSWERS_KEPT, where, names, among=carried.fresh)
            answers.offer_own(asked, *found)
    return answers


def _agreement(answers: Nearest, timed: np.ndarray) -> float:
    """Share of the results of real searches, int64 (n, 10), that are among the ten best of the carried answers."""
    shares = [
        len(set(real[real >= 0]) & set(own)) / max(1, (real >= 0).sum())
        for own, real in zip(answers.rows[:, : timed.shape[1]], timed, strict=False)
    ]
    return float(np.mean(shares)) if shares else 1.0


def _weights(index: Index, queries: Queries) -> np.ndarray:
    """Vectors of the gallery that each query stands for: small shards give more queries than their share."""
    codes = index.rows.shard_codes()[queries.rows]
    live = np.array([entry.live for entry in index.manifest.shards], np.float64)
    asked = np.bincount(codes, minlength=len(live))
    return live[codes] / asked[codes]


def _by_shard(index: Index, truth: Truth, answers: Nearest) -> dict[str, Recall]:
    """Recall of each shard's own queries, searched in that shard alone."""
    codes = index.rows.shard_codes()[truth.queries.rows]
    shares = _recalls(truth.nearest["shard"], answers, truth.queries.rows)
    return {
        entry.name: _mean(shares[codes == number])
        for number, entry in enumerate(index.manifest.shards)
        if (codes == number).any()
    }


def _recalls(truth: Nearest, answers: Nearest, own: np.ndarray) -> np.ndarray:
    """Recall at each of `AT` for each query: (n, 3); NaN where there is nothing to find."""
    shares = np.full((len(own), len(AT)), np.nan)
    for query, rows in enumerate(answers.rows.tolist()):
        hits = [row for row in rows if row >= 0 and row != own[query]]
        for column, k in enumerate(AT):
            right, n = truth.right(query, k)
            if n:
                shares[query, column] = min(len(right.intersection(hits[:k])), n) / n
    return shares


def _mean(shares: np.ndarray, weights: np.ndarray | None = None) -> Recall:
    """Averages over the queries that have something to find; where none has, nothing was missed."""
    real = ~np.isnan(shares[:, 0])
    if not real.any():
        return Recall(queries=0, at_1=1.0, at_10=1.0, at_100=1.0)
    mean = np.average(shares[real], axis=0, weights=None if weights is None else weights[real])
    at = [round(float(value), 6) for value in mean]
    return Recall(queries=int(real.sum()), at_1=at[0], at_10=at[1], at_100=at[2])


def _timed(index: Index, queries: Queries) -> tuple[np.ndarray, dict[str, float]]:
    """Rows int64 (n, 10) found by single queries, and milliseconds a query, after one for warming up."""
    found, times = [], []
    for number in range(-1, min(TIMED_QUERIES, len(queries.rows))) if len(queries.rows) else ():
        started = time.perf_counter()
        rows = index.search_rows(queries.vectors[max(number, 0)][None], 10)
        if number >= 0:
            times.append((time.perf_counter() - started) * 1e3)
            found.append(rows[0])
    if not found:
        return np.empty((0, 10), np.int64), {}
    return np.stack(found), {f"p{p}": round(float(np.percentile(times, p)), 3) for p in (50, 95, 99)}


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
