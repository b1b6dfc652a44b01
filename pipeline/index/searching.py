"""Searching one shard: filters, lists to look at, ranking again.

An inverted-list index answers with a vector left out of the results just as if that vector had never been added:
adding changes neither centers nor other codes. So queries that were kept out of the training and are left out of the
results are held out of the index, though the published index has to hold every product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.index.choose import Choice
from pipeline.index.shards import faiss

EXHAUSTIVE_BELOW = 60_000
"""A filter that leaves so few vectors of a shard is answered by looking at every one of them."""
EXACT_BELOW = 2_000
"""A filter that leaves so few vectors of a file is answered without codes, by the vectors that rank candidates."""
MANY_QUERIES, EXACT_FOR_MANY = 32, 20_000
"""For so many queries at once decoding that many vectors pays, too."""
PLATEAU = 0.002
FLOOR = 0.8
"""Below this recall more lists are always worth a try."""
CANDIDATES = 10
"""Vectors looked at for each that is wanted, at the least."""
FACTORS = (5, 10, 20, 40)
"""Candidates a wanted result that 1-bit codes hand over to be ranked again: more where a shard's vectors ask for it."""
RANKED = 10
"""So many results get all of these candidates, further ones half of them, but at least as many as the least."""
QUERY_BITS = 4
"""Bits of a query's numbers against 1-bit codes: 8 find no better candidates and take a sixth longer."""


@dataclass(frozen=True)
class Segment:
    """An open index file; `ranker`, if candidates are ranked again, is an index of the same vectors in finer codes."""

    index: Any
    ranker: Any = None

    def __post_init__(self) -> None:
        """Let lists say where a vector lies, if nothing else gives vectors back."""
        if self.ranker is None and hasattr(self.index, "invlists"):
            self.index.make_direct_map(True)

    @cached_property
    def _both(self) -> Any:
        return faiss.IndexRefine(self.index, self.ranker)

    @property
    def rows(self) -> int:
        """Vectors in it."""
        return int(self.index.ntotal)

    def search(
        self, queries: np.ndarray, k: int, keep: np.ndarray | None, probes: int, factor: int = FACTORS[0]
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Shard.search`, over this file, looking at `probes` lists (0: there are none)."""
        wanted = min(k, self.rows)
        if keep is not None and self.ranker is not None:
            kept = np.flatnonzero(keep)
            if len(kept) < (EXACT_FOR_MANY if len(queries) >= MANY_QUERIES else EXACT_BELOW):
                scores = queries @ self.vectors_of(kept).T
                scores, rows = best(scores, np.broadcast_to(kept, scores.shape), k)
                rows, scores = fit_width(rows, scores, k)
                return scores, rows
        selector = None if keep is None else faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
        parameters = _parameters(self.index, selector, probes)
        if self.ranker is None:
            scores, rows = self.index.search(queries, wanted, params=parameters)
        else:
            handed = factor * min(wanted, RANKED) + max(FACTORS[0], factor // 2) * max(0, wanted - RANKED)
            ranking = faiss.IndexRefineSearchParameters(k_factor=handed / wanted)
            ranking.base_index_params = parameters
            scores, rows = self._both.search(queries, wanted, params=ranking)
        rows, scores = fit_width(rows, scores, k)
        return scores, rows

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of row numbers."""
        if not len(rows):
            return np.empty((0, self.index.d), np.float32)
        return (self.index if self.ranker is None else self.ranker).reconstruct_batch(np.asarray(rows, np.int64))


@dataclass(frozen=True)
class Shard:
    """An open shard, of one segment or more. Safe for several threads: searching changes nothing."""

    segments: tuple[Segment, ...]
    choice: Choice
    probes: int
    factor: int = FACTORS[0]

    @property
    def rows(self) -> int:
        """Vectors in it."""
        return sum(segment.rows for segment in self.segments)

    def search(
        self, queries: np.ndarray, k: int, keep: np.ndarray | None = None, probes: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best vectors for each query.

        Args:
            queries: float32 (n, dim), L2-normalized.
            k: results a query.
            keep: bool (rows,), vectors that may be found; None: all.
            probes: lists looked at; None: as tuned, more under a filter so that as many vectors are looked at.

        Returns:
            scores float32 (n, k), best first, and row numbers int64 (n, k); -1 where there are no more.
        """
        kept = self.rows if keep is None else int(np.count_nonzero(keep))
        looked_at = min(self.choice.lists, probes or self.probes_for(kept, k))
        scores, rows = self.look(queries, k, keep, looked_at)
        if looked_at < self.choice.lists and kept:
            short = np.flatnonzero(rows[:, min(k, kept) - 1] < 0)
            if len(short):  # the lists that were looked at held too few
                scores[short], rows[short] = self.look(queries[short], k, keep, self.choice.lists)
        return scores, rows

    def look(self, queries: np.ndarray, k: int, keep: np.ndarray | None, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, looking at `probes` lists of every segment that holds anything to find, and no more."""
        found_scores, found_rows, first = [], [], 0
        for segment in self.segments:
            mask = None if keep is None else keep[first : first + segment.rows]
            if mask is None or mask.any():
                mask = None if mask is None or mask.all() else mask
                scores, rows = segment.search(queries, k, mask, probes, self.factor)
                found_scores.append(np.where(rows < 0, -np.inf, scores).astype(np.float32))
                found_rows.append(np.where(rows < 0, -1, rows + first))
            first += segment.rows
        if not found_rows:
            return np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        if len(found_rows) == 1:
            return found_scores[0], found_rows[0]
        return best(np.concatenate(found_scores, axis=1), np.concatenate(found_rows, axis=1), k)

    def probes_for(self, kept: int, wanted: int) -> int:
        """Lists to look at when `kept` vectors pass the filter and `wanted` are asked for; 0 without lists."""
        if not kept or (kept < self.rows and kept < EXHAUSTIVE_BELOW):
            return self.choice.lists
        as_many_vectors = -(-self.probes * self.rows // kept)
        enough_vectors = -(-CANDIDATES * wanted * self.choice.lists // kept)
        return min(self.choice.lists, max(as_many_vectors, enough_vectors))

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of row numbers, as the finest codes there are give them back."""
        out = np.empty((len(rows), self.segments[0].index.d), np.float32)
        first = 0
        for segment in self.segments:
            here = np.flatnonzero((rows >= first) & (rows < first + segment.rows))
            if len(here):
                out[here] = segment.vectors_of(rows[here] - first)
            first += segment.rows
        return out


def _parameters(index: Any, selector: Any, probes: int) -> Any:
    if not hasattr(index, "invlists"):
        return faiss.SearchParameters(sel=selector)
    if not isinstance(index, faiss.IndexIVFRaBitQ):
        return faiss.SearchParametersIVF(nprobe=probes, sel=selector)
    parameters = faiss.IVFRaBitQSearchParameters()
    parameters.nprobe, parameters.qb = probes, QUERY_BITS
    if selector is not None:
        parameters.sel = selector
        parameters.kept_alive = selector  # FAISS holds a bare pointer
    return parameters


def best(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k highest of each line, best first; the earlier of equals."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def fit_width(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores (n, any) cut or filled (-1, -infinity) to k columns."""
    rows, scores = rows[:, :k], scores[:, :k]
    missing = k - rows.shape[1]
    if missing > 0:
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    return rows, scores


def tune(shard: Shard, queries: np.ndarray, own: np.ndarray, truth: list[set[int]], target: float) -> Shard:
    """The shard with the fewest lists to look at for a mean recall@10 of `target`, the queries themselves left out.

    Where looking at more lists stops helping before that, the codes are too coarse: then more candidates are ranked
    again, and if that does not do it, either, lists are the fewest that come within `PLATEAU` of twice as many.

    Args:
        shard: an open shard with inverted lists.
        queries: float32 (n, dim).
        own: row number of each query.
        truth: the true 10 nearest rows of each query, itself left out.
        target: recall, 0 to 1.
    """
    asked = Asked(queries, own, truth)
    best_of, reached = _fewest(shard, asked, target)
    for factor in FACTORS[1:] if shard.choice.ranker else ():
        if reached >= target:
            break
        tuned, recall = _fewest(replace(shard, factor=factor), asked, target)
        if recall > reached + PLATEAU:
            best_of, reached = tuned, recall
    return best_of


@dataclass(frozen=True)
class Asked:
    """Queries float32 (n, dim), their own rows int64 (n,), and the rows that are right for each."""

    queries: np.ndarray
    own: np.ndarray
    truth: list[set[int]]


def _fewest(shard: Shard, asked: Asked, target: float) -> tuple[Shard, float]:
    """Fewest lists for the target or up to the plateau, and the recall with them."""
    lists = shard.choice.lists
    enough, before = 1, _recall_at(shard, asked, 1)
    while before < target and enough < lists:
        more = min(2 * enough, lists)
        recall = _recall_at(shard, asked, more)
        if before > FLOOR and recall - before < PLATEAU and recall < target:
            return replace(shard, probes=enough), before
        enough, before = more, recall
    if before >= target:
        enough = _between(shard, asked, target, enough)
    return replace(shard, probes=enough), before


def _between(shard: Shard, asked: Asked, target: float, enough: int) -> int:
    """Fewest lists between half of `enough` and `enough` that reach the target, up to an eighth."""
    low = enough // 2
    while enough - low > max(1, low // 8):
        middle = (low + enough) // 2
        if _recall_at(shard, asked, middle) >= target:
            enough = middle
        else:
            low = middle
    return enough


def _recall_at(shard: Shard, asked: Asked, probes: int) -> float:
    _, rows = shard.search(asked.queries, 11, probes=probes)
    shares = []
    for found, self_row, true in zip(rows.tolist(), asked.own.tolist(), asked.truth, strict=True):
        hits = [row for row in found if row not in (-1, self_row)][:10]
        shares.append(len(true.intersection(hits)) / max(1, len(true)))
    return float(np.mean(shares))
