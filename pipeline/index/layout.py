"""Which vector lies where: the rows of each shard, and how much of an earlier version's shards can stay.

Vectors are only ever appended to a shard's file; those that are gone keep their number and are masked. So a shard
whose vectors did not change, or of which some went, is used as it is, and one that grew is read, added to and written.
It is built anew when too much of it is dead, when it has outgrown its training, when its kind of index is no longer
the one that would be chosen, or when it was judged too low.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.index.choose import ShardPlan
from pipeline.index.manifest import ShardEntry
from pipeline.index.source import ROW_SCHEMA, Source

MAX_DEAD = 0.2
"""A shard with a larger share of masked vectors is built anew."""
MAX_GROWTH = 0.5
"""A shard that has grown by more since it was trained is trained anew."""

IDS_SCHEMA = ROW_SCHEMA.insert(1, pa.field("live", pa.bool_(), nullable=False))
"""ids.parquet: row n of a shard's rows is vector n of its file. Rows that are not live have an id and nothing else."""


class Work(StrEnum):
    """What a shard needs."""

    BUILD = "build"
    EXTEND = "extend"
    REUSE = "reuse"


@dataclass(frozen=True)
class ShardRows:
    """The current rows of one shard: ids int64 in order, and a file with all their columns."""

    plan: ShardPlan
    ids: np.ndarray
    path: Path


@dataclass(frozen=True)
class Task:
    """What is to be done for one shard.

    `ids` (int64) are its file's vectors in order, of which the last `new` are to come; `places` (int64) says which of
    `rows` each one is, -1 for those that are gone.
    """

    rows: ShardRows
    work: Work
    ids: np.ndarray
    places: np.ndarray
    new: int
    before: ShardEntry | None = None

    @property
    def live(self) -> np.ndarray:
        """Which vectors can be found: bool."""
        return self.places >= 0

    @property
    def new_ids(self) -> np.ndarray:
        """Vectors that have to be read from the table."""
        return self.ids[len(self.ids) - self.new :]


def collect_rows(source: Source, plans: Sequence[ShardPlan], folder: Path) -> list[ShardRows]:
    """Read the gallery's rows once and part them by shard, each into a file of its own.

    Raises:
        InputError: two vectors have one id (a key twice in the table, or two names with the same 63-bit hash).
    """
    parts = {plan.group: plan.parts for plan in plans}
    by_place = {(plan.group, plan.part): plan for plan in plans}
    shards: list[ShardRows] = []
    for place, batches in _by_shard(source.rows(parts), parts):
        path = folder / f"rows-{len(shards)}.arrow"
        ids: list[np.ndarray] = []
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, ROW_SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)
                ids.append(batch.column("id").to_numpy())
        shards.append(ShardRows(by_place[place], np.concatenate(ids), path))
    _check_unique(shards)
    return sorted(shards, key=lambda shard: shard.plan.name)


def _by_shard(
    batches: Iterator[pa.RecordBatch], parts: dict[str, int]
) -> Iterator[tuple[tuple[str, int], Iterator[pa.RecordBatch]]]:
    """Part sorted batches where group or part changes."""
    pieces = _pieces(batches, parts)
    piece = next(pieces, None)

    def of_shard(place: tuple[str, int]) -> Iterator[pa.RecordBatch]:
        nonlocal piece
        while piece is not None and piece[0] == place:
            yield piece[1]
            piece = next(pieces, None)

    while piece is not None:
        place = piece[0]
        yield place, of_shard(place)


def _pieces(
    batches: Iterator[pa.RecordBatch], parts: dict[str, int]
) -> Iterator[tuple[tuple[str, int], pa.RecordBatch]]:
    for batch in batches:
        groups = batch.column("group").dictionary_encode()
        names = groups.dictionary.to_pylist()
        codes = groups.indices.to_numpy()
        part = batch.column("id").to_numpy() % np.array([parts[name] for name in names], np.int64)[codes]
        edges = np.flatnonzero((np.diff(codes) != 0) | (np.diff(part) != 0)) + 1
        bounds = [0, *edges.tolist(), len(codes)]
        for first, last in pairwise(bounds):
            if last > first:
                yield (names[codes[first]], int(part[first])), batch.slice(first, last - first)


def _check_unique(shards: list[ShardRows]) -> None:
    ids = np.sort(np.concatenate([shard.ids for shard in shards])) if shards else np.empty(0, np.int64)
    twice = ids[1:][np.diff(ids) == 0]
    if len(twice):
        raise InputError(
            f"{len(twice)} vectors have the id of another, {twice[0]} for one: table embeddings or catalog holds a "
            "key twice (see `atelier check`), or two names share a 63-bit hash"
        )


def plan_tasks(shards: Sequence[ShardRows], before: dict[str, tuple[ShardEntry, np.ndarray]]) -> list[Task]:
    """What each shard needs; `before` holds, by shard name, an earlier version's entry and its file's ids.

    Entries that must not be built upon (another kind, judged too low) are not handed in.
    """
    return [_task(shard, before.get(shard.plan.name)) for shard in shards]


def _task(shard: ShardRows, before: tuple[ShardEntry, np.ndarray] | None) -> Task:
    n = len(shard.ids)
    anew = Task(shard, Work.BUILD, shard.ids, np.arange(n), n)
    if before is None or not _same_family(before[0], shard.plan):
        return anew
    entry, old = before
    places = pc.index_in(pa.array(old), value_set=pa.array(shard.ids)).fill_null(-1).to_numpy().astype(np.int64)
    known = np.zeros(n, bool)
    known[places[places >= 0]] = True
    added = np.flatnonzero(~known)
    dead = int((places < 0).sum())
    if dead > MAX_DEAD * (len(old) + len(added)) or (entry.lists and n > (1 + MAX_GROWTH) * entry.trained_rows):
        return anew
    work = Work.EXTEND if len(added) else Work.REUSE
    ids = np.concatenate([old, shard.ids[added]])
    return Task(shard, work, ids, np.concatenate([places, added]), len(added), entry)


def _same_family(entry: ShardEntry, plan: ShardPlan) -> bool:
    choice = plan.choice  # the number of lists may differ: growth decides when they no longer fit
    return (entry.codec, entry.lists > 0, entry.ranker) == (choice.codec, choice.lists > 0, choice.ranker)


def write_ids(tasks: Sequence[Task], path: Path) -> None:
    """Write ids.parquet: one row group a shard, in the order of `tasks`."""
    repeated = [name for name in IDS_SCHEMA.names if name not in ("id", "image_key", "etag", "attributes")]
    repeated.append("attributes.list.element")
    with pq.ParquetWriter(path, IDS_SCHEMA, compression="lz4", use_dictionary=repeated) as writer:
        for task in tasks:
            with pa.memory_map(str(task.rows.path)) as file:
                table = pa.ipc.open_file(file).read_all()
                if len(table) != len(task.places) or not np.array_equal(task.places, np.arange(len(table))):
                    table = table.combine_chunks().take(pa.array(task.places, mask=~task.live))
                table = table.set_column(0, IDS_SCHEMA.field("id"), pa.array(task.ids))
                table = table.add_column(1, IDS_SCHEMA.field("live"), pa.array(task.live))
                writer.write_table(table, row_group_size=max(1, len(table)))
