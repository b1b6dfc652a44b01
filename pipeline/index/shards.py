"""FAISS indexes on disk: trained, filled, written, read, joined. With `searching` the only module that knows FAISS.

A shard is one such file, or several: what is added later lies in segments of its own, with the same centers, so that
a small change writes a small file. Vectors are numbered from 0 in the order they were added; whose they are is known to
ids.parquet. All scores are inner products of L2-normalized vectors, that is cosines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.index.choose import BLOCK_VECTORS, Choice, Ranker

logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it logs which build it tries to load, line by line
faiss: Any = import_module("faiss")  # its type stubs do not know what its Python layer adds

SEED = 20_240
ITERATIONS = 6
_QUANTIZERS = {"fp16": faiss.ScalarQuantizer.QT_fp16, "sq8": faiss.ScalarQuantizer.QT_8bit}


class Widener:
    """Copies blocks of vectors to float32 in memory that is used again: fresh memory costs more than the copy."""

    def __init__(self, dim: int) -> None:
        self._block = np.empty((BLOCK_VECTORS, dim), np.float32)

    def wide(self, vectors: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of vectors (n, dim); up to `BLOCK_VECTORS` of them hold until the next call."""
        block = self._block[: len(vectors)] if len(vectors) <= len(self._block) else np.empty(vectors.shape, np.float32)
        np.copyto(block, vectors)
        return block

    def blocks(self, vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float32 (n, dim)) of all vectors; each block holds until the next."""
        for first in range(0, len(vectors), BLOCK_VECTORS):
            yield first, self.wide(vectors[first : first + BLOCK_VECTORS])


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
        index = faiss.IndexIVFScalarQuantizer(centers, dim, choice.lists, _QUANTIZERS["fp16"], metric)
    index.own_fields = True
    centers.this.disown()
    index.cp.seed = SEED
    index.cp.niter = ITERATIONS
    index.cp.spherical = True
    index.cp.max_points_per_centroid = 256
    index.cp.min_points_per_centroid = 1
    return index


def new_ranker(kind: Ranker, dim: int, sample: np.ndarray) -> Any:
    """An empty index of plain codes that ranks candidates again; `sample` float32 (n, dim) gives their range."""
    index = faiss.IndexScalarQuantizer(dim, _QUANTIZERS[kind], faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    return index


def train(choice: Choice, dim: int, sample: np.ndarray, flat: Callable[[int], Any] | None = None) -> Any:
    """A trained, empty index.

    Args:
        choice: its kind.
        dim: numbers a vector.
        sample: float32 (n, dim); unused where `choice` is exact.
        flat: makes a flat index that finds centers faster than the CPU's own; None: the CPU's.
    """
    index = new_index(choice, dim)
    if choice.exact:
        return index
    finder = flat(dim) if flat else None
    if finder is not None:
        index.clustering_index = finder
    index.train(np.ascontiguousarray(sample, np.float32))
    index.clustering_index = None
    return index


def add(index: Any, vectors: np.ndarray, flat: Callable[[int], Any] | None = None) -> None:
    """Append vectors (n, dim), float16 or float32, a block at a time; `flat` as for `train`."""
    finder = None
    if flat and hasattr(index, "invlists"):
        finder = flat(index.d)
        finder.add(index.quantizer.reconstruct_n(0, index.nlist))
    for _, block in Widener(index.d).blocks(vectors):
        if finder is None:
            index.add(block)
            continue
        lists = np.ascontiguousarray(finder.search(block, 1)[1].ravel())
        index.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists))


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


def empty_like(path: Path) -> Any:
    """An empty index trained as the one in the file; its vectors are not read."""
    index = read(path, mapped=True)
    if not hasattr(index, "invlists"):
        empty = faiss.IndexScalarQuantizer(index.d, index.sq.qtype, index.metric_type)
        faiss.copy_array_to_vector(faiss.vector_to_array(index.sq.trained), empty.sq.trained)
        empty.is_trained = True
        return empty  # emptying a mapped index aborts the process
    lists = faiss.ArrayInvertedLists(index.nlist, index.code_size)
    lists.this.disown()
    index.replace_invlists(lists, True)
    index.ntotal = 0
    return index


def joined(paths: Sequence[Path]) -> Any:
    """One index, in memory, of the vectors of several that were trained the same, in their order."""
    whole = read(paths[0], mapped=False)
    for path in paths[1:]:
        other = read(path, mapped=False)
        whole.merge_from(other, whole.ntotal if hasattr(whole, "invlists") else 0)
    return whole
