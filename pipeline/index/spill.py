"""Vectors on their way from the table into shards: one float16 file a shard, each vector at its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.index.layout import Task
from pipeline.index.source import Source

NORM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Spill:
    """The new vectors of one shard, float16 (new, dim), mapped, in the order of `Task.new_ids`."""

    path: Path
    vectors: np.ndarray


def spill_vectors(
    source: Source, tasks: Sequence[Task], folder: Path, advance: Callable[[int], object]
) -> dict[str, Spill]:
    """Stream the vectors that `tasks` need into files, by shard name.

    Vectors come in the table's order; each is put where its shard wants it, so no more than a block is in memory.

    Raises:
        InputError: a vector is missing, twice, not finite or not of length 1.
    """
    spills = {
        task.rows.plan.name: _empty(task, source.origin.dim, folder / f"new-{n}.f16") for n, task in enumerate(tasks)
    }
    targets = [spills[task.rows.plan.name].vectors for task in tasks]
    ids = np.concatenate([np.empty(0, np.int64), *(task.new_ids for task in tasks)])
    if not len(ids):
        return spills
    shard = np.repeat(np.arange(len(tasks), dtype=np.int32), [task.new for task in tasks])
    first = np.concatenate([[0], np.cumsum([task.new for task in tasks])])
    order = np.argsort(ids, kind="stable")
    known = ids[order]
    seen = np.zeros(len(ids), bool)
    everything = all(task.new == len(task.ids) for task in tasks)
    for block_ids, vectors in source.vectors(None if everything else known):
        at = np.minimum(np.searchsorted(known, block_ids), len(known) - 1)
        mine = known[at] == block_ids
        places, new = order[at[mine]], vectors[mine]
        _check(block_ids[mine], new)
        if seen[places].any():
            raise InputError(f"table embeddings holds the vector {known[at[mine]][seen[places]][0]} twice")
        seen[places] = True
        for number in np.unique(shard[places]):
            here = shard[places] == number
            targets[number][places[here] - first[number]] = new[here]
        advance(len(places))
    if not seen.all():
        raise InputError(f"table embeddings lacks {int((~seen).sum())} vectors that its own rows name")
    return spills


def _empty(task: Task, dim: int, path: Path) -> Spill:
    if not task.new:
        return Spill(path, np.empty((0, dim), np.float16))
    return Spill(path, np.memmap(path, "<f2", "w+", shape=(task.new, dim)))


def _check(ids: np.ndarray, vectors: np.ndarray) -> None:
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
    bad = ~(np.abs(lengths - 1) < NORM_TOLERANCE)  # NaN is bad, too
    if bad.any():
        raise InputError(
            f"table embeddings: {int(bad.sum())} vectors are not finite or not of length 1, {ids[bad][0]} for one "
            f"(length {lengths[bad][0]:g})"
        )
