"""FAISS indexes on disk: trained, filled, written, read, joined. With `searching` the only module that knows FAISS.

A shard is one such file, or several: what is added later lies in segments of its own, with the same centers, so that
a small change writes a small file. Vectors are numbered from 0 in the order they were added; whose they are is known to
ids.parquet. All scores are inner products of L2-normalized vectors, that is cosines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
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
    for first in range(0, len(vectors), BLOCK_VECTORS):
        block = np.ascontiguousarray(vectors[first : first + BLOCK_VECTORS], np.float32)
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
        return new_index(Choice("fp16"), index.d)  # emptying a mapped index aborts the process
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
