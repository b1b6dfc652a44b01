"""The retrieval study: how well search finds what shares labels, for features and search methods side by side.

Protocol of the iFashion experiments: queries are drawn without replacement, the gallery is what is left; an item is
relevant to a query if the intersection of their labels is at least half of their union; precision, recall and F1 at k
are averaged over the queries that have anything relevant. Three levels of search are compared: brute force, k-means
lists (the query looks into the lists of the nearest centers), and categories (the query looks only at items that are
predicted to be of its own predicted category; predicted, as nobody labels queries).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.index import shards
from pipeline.index.choose import Choice, list_count
from pipeline.index.searching import Segment, Shard

SAME = 0.5
"""Intersection over union of labels from which on an item is relevant."""
CHUNK = 50
"""Queries whose relevance to the gallery is held at once."""


@dataclass(frozen=True)
class Extractor:
    """Features to be compared: float32 (n, dim), and for each row the category a head predicts (None: none at all)."""

    name: str
    features: np.ndarray
    predicted: list[str | None] | None = None


@dataclass(frozen=True)
class Curve:
    """How one extractor did with one method: figures at each k; scanned is the share of the gallery looked at."""

    extractor: str
    method: str
    ks: tuple[int, ...]
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    scanned: float
    query_ms: float


@dataclass(frozen=True)
class Study:
    """All curves over one split; `without` queries had nothing relevant and do not count."""

    curves: list[Curve]
    queries: int
    without: int
    gallery: int
    labels: int


Method = Callable[[np.ndarray, int], tuple[np.ndarray, float]]
"""(queries (n, dim), k) -> rows int64 (n, k) with -1 for none, and the share of the gallery that was looked at."""


def label_matrix(rows: pd.DataFrame, heads: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """bool (n, labels) of who has which label `head=value`, and their names; `A|B` are two values.

    Raises:
        InputError: a head is no column, or nobody has any label.
    """
    missing = [head for head in heads if head not in rows]
    if missing:
        raise InputError(f"there is no label column {missing[0]!r}; there are {', '.join(map(str, rows.columns))}")
    pairs = [
        (number, f"{head}={label}")
        for head in heads
        for number, value in enumerate(rows[head])
        if isinstance(value, str)
        for label in value.split("|")
        if label
    ]
    names = sorted({name for _, name in pairs})
    if not names:
        raise InputError(f"no row has a label in {', '.join(heads)}")
    at = {name: column for column, name in enumerate(names)}
    matrix = np.zeros((len(rows), len(names)), bool)
    for number, name in pairs:
        matrix[number, at[name]] = True
    return matrix, names


def relevant(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """bool (q, n): whether labels (bool (q, L) and (n, L)) overlap by at least `SAME`."""
    both = queries.astype(np.float32) @ gallery.astype(np.float32).T
    either = queries.sum(axis=1)[:, None] + gallery.sum(axis=1)[None, :] - both
    return (both > 0) & (both >= SAME * either)


def split(
    n: int, queries: int, gallery: int | None, seed: int, askable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to ask by and rows to search, disjoint, without replacement, ascending.

    Args:
        n: rows there are.
        queries: rows to ask by.
        gallery: rows to search at the most; None: all others.
        seed: of the draw.
        askable: bool (n,), rows that may ask; None: all.

    Raises:
        InputError: too few rows may ask, or none is left to search.
    """
    order = np.random.default_rng(seed).permutation(n)
    may_ask = order if askable is None else order[askable[order]]
    if len(may_ask) < queries or n <= queries:
        raise InputError(f"{len(may_ask)} labelled pictures are too few for {queries} queries: set --queries lower")
    asked = may_ask[:queries]
    rest = order[~np.isin(order, asked)]
    return np.sort(asked), np.sort(rest[:gallery])


def run_study(
    extractors: Sequence[Extractor],
    labels: np.ndarray,
    *,
    queries: int,
    gallery: int | None,
    probes: Sequence[int],
    ks: Sequence[int],
    seed: int,
    askable: np.ndarray | None = None,
) -> Study:
    """Compare extractors and methods on one split.

    Args:
        extractors: features of the same rows, in the same order.
        labels: bool (n, L), see `label_matrix`.
        queries: how many to draw.
        gallery: rows to search at the most; None: all others.
        probes: lists to look at, one method each.
        ks: results to cut at, ascending.
        seed: of the split.
        askable: bool (n,), rows that may be queries; None: all.
    """
    asked, searched = split(len(labels), queries, gallery, seed, askable)
    totals = _totals(labels[asked], labels[searched])
    curves = []
    for extractor in extractors:
        vectors = _normalized(extractor.features)
        for name, method in _methods(vectors[searched], extractor, asked, searched, probes).items():
            method(vectors[asked][:1], min(10, ks[-1]))  # warm up
            started = time.perf_counter()
            rows, scanned = method(vectors[asked], min(ks[-1], len(searched)))
            seconds = time.perf_counter() - started
            figures = _figures(rows, labels[asked], labels[searched], totals, ks)
            curves.append(Curve(extractor.name, name, tuple(ks), *figures, scanned, seconds * 1e3 / len(asked)))
    return Study(curves, len(asked), int((totals == 0).sum()), len(searched), labels.shape[1])


def _methods(
    gallery: np.ndarray, extractor: Extractor, asked: np.ndarray, searched: np.ndarray, probes: Sequence[int]
) -> dict[str, Method]:
    """Ways to search one gallery, float32 (n, dim), by name."""
    exact = _shard(Choice("fp16"), gallery)
    methods: dict[str, Method] = {"brute force": lambda queries, k: (exact.search(queries, k)[1], 1.0)}
    lists = min(list_count(len(gallery)), max(1, len(gallery) // 8))
    clustered = _shard(Choice("fp16", lists), gallery)
    for number in sorted({min(probe, lists) for probe in probes}):
        methods[f"k-means, {number} of {lists} lists"] = _lists_method(clustered, number)
    if extractor.predicted is not None:
        categories = np.array([value or "" for value in extractor.predicted])
        methods["predicted category"] = _category_method(exact, categories[asked], categories[searched])
    return methods


def _lists_method(shard: Shard, probes: int) -> Method:
    index = shard.segments[0].index
    sizes = np.array([index.invlists.list_size(number) for number in range(index.nlist)])

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        looked = index.quantizer.search(queries, probes)[1]
        rows = shard.segments[0].search(queries, k, None, probes)[1]
        return rows, float(sizes[looked].sum(axis=1).mean() / sizes.sum())

    return search


def _category_method(shard: Shard, of_queries: np.ndarray, of_gallery: np.ndarray) -> Method:
    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        rows = np.full((len(queries), k), -1, np.int64)
        looked = 0
        for category in np.unique(of_queries[: len(queries)]):
            mine = np.flatnonzero(of_queries[: len(queries)] == category)
            keep = (
                of_gallery == category if category else np.ones(len(of_gallery), bool)
            )  # no category: look everywhere
            looked += len(mine) * int(keep.sum())
            if keep.any():
                rows[mine] = shard.search(queries[mine], k, keep)[1]
        return rows, looked / (len(queries) * len(of_gallery))

    return search


def _shard(choice: Choice, vectors: np.ndarray) -> Shard:
    index = shards.train(choice, vectors.shape[1], vectors)
    shards.add(index, vectors)
    return Shard((Segment(index),), choice, choice.lists)


def _normalized(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    return np.ascontiguousarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


def _totals(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Relevant items of each query in the whole gallery, int64 (q,)."""
    chunks = [relevant(queries[i : i + CHUNK], gallery).sum(axis=1) for i in range(0, len(queries), CHUNK)]
    return np.concatenate(chunks)


def _figures(
    rows: np.ndarray, queries: np.ndarray, gallery: np.ndarray, totals: np.ndarray, ks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean precision, recall and F1 at each k over the queries with anything relevant, float64 (len(ks),)."""
    precision, recall, f1 = [], [], []
    for first in range(0, len(rows), CHUNK):
        chunk = slice(first, first + CHUNK)
        right = relevant(queries[chunk], gallery)
        hit = np.take_along_axis(right, np.maximum(rows[chunk], 0), 1) & (rows[chunk] >= 0)
        found = np.cumsum(hit, axis=1)[:, [min(k, rows.shape[1]) - 1 for k in ks]][totals[chunk] > 0]
        precision.append(found / np.array(ks))
        recall.append(found / totals[chunk][totals[chunk] > 0][:, None])
        both = precision[-1] + recall[-1]
        f1.append(np.divide(2 * precision[-1] * recall[-1], both, out=np.zeros_like(both), where=both > 0))
    return tuple(np.concatenate(values).mean(axis=0) for values in (precision, recall, f1))  # type: ignore[return-value]
