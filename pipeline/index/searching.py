"""Searching one shard: filters, lists to look at, ranking again.

An inverted-list index answers with a vector left out of the results just as if that vector had never been added:
adding changes neither centers nor other codes. So queries that were kept out of the training and are left out of the
results are held out of the index, though the published index has to hold every product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.index.choose import Choice
from pipeline.index.shards import faiss

EXHAUSTIVE_BELOW = 60_000
"""A filter that leaves so few vectors of a shard is answered by looking at every one of them."""
PLATEAU = 0.002
FLOOR = 0.8
"""Below this recall more lists are always worth a try."""
CANDIDATES = 10
"""Vectors looked at for each that is wanted, at the least."""


@dataclass(frozen=True)
class Segment:
    """An open index file; `vectors` are its float16 vectors (rows, dim) where candidates are ranked again by them."""

    index: Any
    vectors: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Vectors in it."""
        return int(self.index.ntotal)

    def search(
        self, queries: np.ndarray, k: int, keep: np.ndarray | None, probes: int, rerank: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Shard.search`, over this file, looking at `probes` lists (0: there are none)."""
        wanted = min(k * max(1, rerank), self.rows)
        selector = None if keep is None else faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
        scores, rows = self.index.search(queries, wanted, params=_parameters(self.index, selector, probes))
        if self.vectors is not None:
            scores, rows = _ranked_again(queries, rows, self.vectors)
        rows, scores = fit_width(rows, scores, k)
        return scores, rows

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of row numbers; inverted lists can't tell where a row lies, so they are walked."""
        if self.vectors is not None:
            return self.vectors[rows].astype(np.float32)
        if hasattr(self.index, "invlists"):
            return _from_lists(self.index, rows)
        return np.stack([self.index.reconstruct(int(row)) for row in rows])


@dataclass(frozen=True)
class Shard:
    """An open shard, of one segment or more. Safe for several threads: searching changes nothing."""

    segments: tuple[Segment, ...]
    choice: Choice
    probes: int

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
        looked_at = min(self.choice.lists, probes or self._probes_for(kept, k * max(1, self.choice.rerank)))
        scores, rows = self._look(queries, k, keep, looked_at)
        if looked_at < self.choice.lists and kept:
            short = np.flatnonzero(rows[:, min(k, kept) - 1] < 0)
            if len(short):  # the lists that were looked at held too few
                scores[short], rows[short] = self._look(queries[short], k, keep, self.choice.lists)
        return scores, rows

    def _look(self, queries: np.ndarray, k: int, keep: np.ndarray | None, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """Search every segment and put the results together."""
        found_scores, found_rows, first = [], [], 0
        for segment in self.segments:
            mask = None if keep is None else keep[first : first + segment.rows]
            scores, rows = segment.search(queries, k, mask, probes, self.choice.rerank)
            found_scores.append(np.where(rows < 0, -np.inf, scores).astype(np.float32))
            found_rows.append(np.where(rows < 0, -1, rows + first))
            first += segment.rows
        if len(found_rows) == 1:
            return found_scores[0], found_rows[0]
        return best(np.concatenate(found_scores, axis=1), np.concatenate(found_rows, axis=1), k)

    def _probes_for(self, kept: int, wanted: int) -> int:
        """Lists to look at when `kept` vectors pass the filter and `wanted` are asked for."""
        if not kept or (kept < self.rows and kept < EXHAUSTIVE_BELOW):
            return self.choice.lists
        as_many_vectors = -(-self.probes * self.rows // kept)
        enough_vectors = -(-CANDIDATES * wanted * self.choice.lists // kept)
        return max(as_many_vectors, enough_vectors)

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of row numbers: exact where float16 vectors are kept, else as the codes give them back."""
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
    parameters.nprobe, parameters.qb = probes, 8
    if selector is not None:
        parameters.sel = selector
        parameters.kept_alive = selector  # FAISS holds a bare pointer
    return parameters


def _ranked_again(queries: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order candidates (rows int64 (n, candidates), -1 for none) by their full vectors."""
    scores = np.full(rows.shape, -np.inf, np.float32)
    for query, candidates, out in zip(queries, rows, scores, strict=True):
        real = candidates >= 0
        out[real] = vectors[candidates[real]].astype(np.float32) @ query
    return best(scores, rows, rows.shape[1])


def best(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k highest of each line, best first; the earlier of equals."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _from_lists(index: Any, rows: np.ndarray) -> np.ndarray:
    """Decode rows (int64) of an inverted-list index."""
    out = np.empty((len(rows), index.d), np.float32)
    order = np.argsort(rows, kind="stable")
    wanted = rows[order]
    left = len(rows)
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if not size or not left:
            continue
        ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
        at = np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)
        for offset in np.flatnonzero(wanted[at] == ids).tolist():
            vector = np.empty(index.d, np.float32)
            index.reconstruct_from_offset(number, offset, faiss.swig_ptr(vector))
            same = wanted == ids[offset]
            out[order[same]] = vector
            left -= int(same.sum())
    return out


def fit_width(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores (n, any) cut or filled (-1, -infinity) to k columns."""
    rows, scores = rows[:, :k], scores[:, :k]
    missing = k - rows.shape[1]
    if missing > 0:
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    return rows, scores


def tune_probes(shard: Shard, queries: np.ndarray, own: np.ndarray, truth: list[set[int]], target: float) -> int:
    """Fewest lists to look at for a mean recall@10 of `target`, the queries themselves left out.

    Where the codes are too coarse for the target, looking at more lists stops helping: then it is the fewest that
    come within `PLATEAU` of what twice as many reach.

    Args:
        shard: an open shard with inverted lists.
        queries: float32 (n, dim).
        own: row number of each query.
        truth: the true 10 nearest rows of each query, itself left out.
        target: recall, 0 to 1.
    """
    lists = shard.choice.lists
    enough, before = 1, _recall_at(shard, queries, own, truth, 1)
    while before < target and enough < lists:
        more = min(2 * enough, lists)
        recall = _recall_at(shard, queries, own, truth, more)
        if before > FLOOR and recall - before < PLATEAU:
            return enough
        enough, before = more, recall
    return _between(shard, queries, own, truth, target, enough) if before >= target else lists


def _between(
    shard: Shard, queries: np.ndarray, own: np.ndarray, truth: list[set[int]], target: float, enough: int
) -> int:
    """Fewest lists between half of `enough` and `enough` that reach the target, up to an eighth."""
    low = enough // 2
    while enough - low > max(1, low // 8):
        middle = (low + enough) // 2
        if _recall_at(shard, queries, own, truth, middle) >= target:
            enough = middle
        else:
            low = middle
    return enough


def _recall_at(shard: Shard, queries: np.ndarray, own: np.ndarray, truth: list[set[int]], probes: int) -> float:
    _, rows = shard.search(queries, 11, probes=probes)
    shares = []
    for found, self_row, true in zip(rows.tolist(), own.tolist(), truth, strict=True):
        hits = [row for row in found if row not in (-1, self_row)][:10]
        shares.append(len(true.intersection(hits)) / max(1, len(true)))
    return float(np.mean(shares))
