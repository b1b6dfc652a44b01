"""Shards: FAISS indexes on disk. The only module that knows FAISS.

Vectors in a shard are numbered from 0 in the order they were added; whose they are is known to ids.parquet. All
scores are inner products of L2-normalized vectors, that is cosines.

An inverted-list index answers with a vector left out of the results just as if that vector had never been added:
adding changes neither centers nor other codes. So queries that were kept out of the training and are left out of the
results are held out of the index, though the published index has to hold every product.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.index.choose import BLOCK_VECTORS, Choice

logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it logs which build it tries to load, line by line
faiss: Any = import_module("faiss")  # its type stubs do not know what its Python layer adds

SEED = 20_240
ITERATIONS = 8
EXHAUSTIVE_BELOW = 60_000
"""A filter that leaves so few vectors of a shard is answered by looking at every one of them."""
PLATEAU = 0.002
FLOOR = 0.8
"""Below this recall more lists are always worth a try."""
CANDIDATES = 10
"""Vectors looked at for each that is wanted, at the least."""

_QUANTIZERS = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit}


def use_threads(threads: int) -> int:
    """Set the threads FAISS uses in this process (0: one a core) and return them."""
    if threads:
        faiss.omp_set_num_threads(threads)
    return faiss.omp_get_max_threads()


def new_index(choice: Choice, dim: int) -> Any:
    """An empty FAISS index for `choice`, inner product."""
    metric = faiss.METRIC_INNER_PRODUCT
    if choice.exact:
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, metric)
    centers = faiss.IndexFlatIP(dim)
    if choice.codec == "rabitq":
        index = faiss.IndexIVFRaBitQ(centers, dim, choice.lists, metric)
    else:
        index = faiss.IndexIVFScalarQuantizer(centers, dim, choice.lists, _QUANTIZERS[choice.codec], metric, True)
    index.own_fields = True
    centers.this.disown()
    index.cp.seed = SEED
    index.cp.niter = ITERATIONS
    index.cp.spherical = True
    index.cp.max_points_per_centroid = 256
    index.cp.min_points_per_centroid = 1
    return index


def train(choice: Choice, dim: int, sample: np.ndarray) -> Any:
    """A trained, empty index; `sample` is float32 (n, dim) and unused where `choice` is exact."""
    index = new_index(choice, dim)
    if not choice.exact:
        index.train(np.ascontiguousarray(sample, np.float32))
    return index


def add(index: Any, vectors: np.ndarray) -> None:
    """Append vectors (n, dim), float16 or float32, a block at a time."""
    for first in range(0, len(vectors), BLOCK_VECTORS):
        index.add(np.ascontiguousarray(vectors[first : first + BLOCK_VECTORS], np.float32))


def write(index: Any, path: Path) -> None:
    """Write an index to a file."""
    faiss.write_index(index, str(path))


def read(path: Path, *, mapped: bool) -> Any:
    """Read a shard's index: mapped for searching, or into memory so that vectors can be added.

    Raises:
        InputError: FAISS can't read the file.
    """
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        raise InputError(f"{path} is not an index file: {str(error).splitlines()[-1]}") from None


def map_vectors(path: Path, rows: int, dim: int) -> np.ndarray:
    """The float16 vectors of a shard (rows, dim), mapped.

    Raises:
        InputError: the file has another size.
    """
    if path.stat().st_size != rows * dim * 2:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, {rows} vectors of {dim} numbers have {rows * dim * 2}"
        )
    return np.memmap(path, "<f2", "r", shape=(rows, dim))


@dataclass(frozen=True)
class Shard:
    """An open shard. Safe for several threads: searching changes nothing."""

    index: Any
    choice: Choice
    probes: int
    vectors: np.ndarray | None = None

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
        wanted = min(k * max(1, self.choice.rerank), self.index.ntotal)
        kept = self.index.ntotal if keep is None else int(np.count_nonzero(keep))
        selector = None if keep is None else faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
        probes = min(self.choice.lists, probes or self._probes_for(kept, wanted))
        scores, rows = self.index.search(queries, wanted, params=self._parameters(selector, probes))
        if probes < self.choice.lists and kept:
            short = np.flatnonzero(rows[:, min(wanted, kept) - 1] < 0)
            if len(short):  # the lists that were looked at held too few
                everywhere = self._parameters(selector, self.choice.lists)
                scores[short], rows[short] = self.index.search(queries[short], wanted, params=everywhere)
        if self.vectors is not None:
            scores, rows = self._rerank(queries, rows)
        rows, scores = fit_width(rows, scores, k)
        return scores, rows

    def _probes_for(self, kept: int, wanted: int) -> int:
        """Lists to look at when `kept` vectors pass the filter and `wanted` are asked for."""
        if not kept or (kept < self.index.ntotal and kept < EXHAUSTIVE_BELOW):
            return self.choice.lists
        as_many_vectors = -(-self.probes * self.index.ntotal // kept)
        enough_vectors = -(-CANDIDATES * wanted * self.choice.lists // kept)
        return max(as_many_vectors, enough_vectors)

    def _parameters(self, selector: Any, probes: int) -> Any:
        if self.choice.exact:
            return faiss.SearchParameters(sel=selector)
        if self.choice.codec != "rabitq":
            return faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        parameters = faiss.IVFRaBitQSearchParameters()
        parameters.nprobe, parameters.qb = probes, 8
        if selector is not None:
            parameters.sel = selector
            parameters.kept_alive = selector  # FAISS holds a bare pointer
        return parameters

    def _rerank(self, queries: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Order candidates by their full vectors; rows is int64 (n, candidates), -1 for none."""
        assert self.vectors is not None  # noqa: S101 - told to the type checker
        scores = np.full(rows.shape, -np.inf, np.float32)
        for query, candidates, out in zip(queries, rows, scores, strict=True):
            real = candidates >= 0
            out[real] = self.vectors[candidates[real]].astype(np.float32) @ query
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of row numbers: exact where float16 vectors are kept, else as the codes give them back.

        Inverted lists can't tell where a row lies; they are walked once and what is wanted is decoded.
        """
        if self.vectors is not None:
            return self.vectors[rows].astype(np.float32)
        if self.choice.exact:
            return np.stack([self.index.reconstruct(int(row)) for row in rows])
        return _from_lists(self.index, rows)


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
