"""Which queries a version is judged by, and where their truth comes from: all of the table, or an earlier version's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.index.choose import BLOCK_VECTORS
from pipeline.index.files import Files
from pipeline.index.gallery import Index
from pipeline.index.judge import judge
from pipeline.index.layout import Task, Work
from pipeline.index.making import file_entry, kept_out
from pipeline.index.manifest import Manifest
from pipeline.index.rows import Rows
from pipeline.index.source import Source
from pipeline.index.spill import Spill
from pipeline.index.truth import FILTERED, Queries, Truth, pick_queries
from pipeline.settings import IndexSettings

MAX_ADDED = 0.05
"""Once so large a share of the gallery came after its queries were drawn, queries are drawn and answered anew."""


def held_out_queries(index: Index, source: Source, held_out: int, seed: int = 0) -> Queries:
    """Queries that were kept out of every training, with their vectors from the table."""
    by_shard = {}
    for entry in index.manifest.shards:
        rows = np.arange(entry.first, entry.first + entry.rows)
        rows = rows[index.rows.live[rows]]
        by_shard[entry.name] = rows if not entry.lists else rows[kept_out(index.rows.ids(rows), 0)]
    sizes = {entry.name: entry.live for entry in index.manifest.shards}
    picked = pick_queries(by_shard, sizes, held_out, seed)
    ids = index.rows.ids(picked)
    vectors = np.empty((len(picked), index.manifest.dim), np.float32)
    for block_ids, block in source.vectors(ids) if len(ids) else ():
        rows = index.rows.of_ids(block_ids)
        mine = np.isin(rows, picked)
        vectors[np.searchsorted(picked, rows[mine])] = block[mine]
    return Queries(picked, ids, vectors)


def assess(
    manifest: Manifest,
    files: Files,
    source: Source,
    settings: IndexSettings,
    new: Sequence[tuple[Task, Spill]],
    base: Manifest | None,
    folder: Path,
) -> tuple[Manifest, dict[str, Path]]:
    """Judge a version that was just built; returns its manifest with the judgement, and the file to be stored.

    The file holds the truth, for the next version.
    """
    index = Index(manifest, files, settings.threads)
    carried = None if base is None else _carried(base, files, index.rows, new)
    if carried is not None and base is not None and base.judgement is not None:
        truth, added = carried
        drawn = base.judgement.drawn_for
    else:
        queries = held_out_queries(index, source, settings.held_out)
        truth, added, drawn = Truth.of(queries, index.rows, source.vectors(None)), 0, manifest.version
    judgement = judge(index, truth).model_copy(update={"drawn_for": drawn, "added_since": added})
    products = index.rows.count_products()
    manifest = manifest.model_copy(update={"judgement": judgement, "products": products})
    return _save(manifest, truth, index.rows, folder)


def _carried(base: Manifest, files: Files, rows: Rows, new: Sequence[tuple[Task, Spill]]) -> tuple[Truth, int] | None:
    """The truth of the base, brought up to date, and the vectors added since it was drawn; None if it can't be used.

    It can't where a vector has another label or shard than before, where a shard may have been trained on its queries,
    where vectors came back that had been masked, or where too much is new for the old queries to stand for it.
    """
    if base.truth is None or base.judgement is None:
        return None
    known = {entry.name for entry in base.shards}
    if any(task.rows.plan.name not in known for task, _ in new):
        return None
    if any(task.work is Work.BUILD and not task.rows.plan.choice.exact for task, _ in new):
        return None
    before = Rows(files.path(base.ids), base)
    blocks = list(_new_blocks(new, before))
    arrived = sum(len(ids) for ids, _ in blocks)
    added = base.judgement.added_since + arrived
    came_back = int((before.of_ids(rows.ids(np.flatnonzero(rows.live))) < 0).sum()) - arrived
    if came_back or added > MAX_ADDED * rows.manifest.vectors:
        return None
    if _moved(before, rows):
        return None
    truth = Truth.load(files.path(base.truth), rows)
    if truth is None:
        return None
    truth.offer(rows, blocks)
    return truth, added


def _moved(before: Rows, rows: Rows) -> bool:
    """Whether a vector that was there before has another label by which queries are filtered, or another shard."""
    old = np.flatnonzero(before.live)
    now = rows.of_ids(before.ids(old))
    old, now = old[now >= 0], now[now >= 0]
    for column in FILTERED:
        (old_codes, old_numbers), (codes, numbers) = before.codes(column), rows.codes(column)
        translated = np.array([*(numbers.get(value, -2) for value in old_numbers), -1], np.int32)
        if not np.array_equal(translated[old_codes[old]], codes[now]):
            return True
    names = [[entry.name for entry in one.manifest.shards] for one in (before, rows)]
    translated = np.array([names[1].index(name) if name in names[1] else -2 for name in names[0]], np.int32)
    return not np.array_equal(translated[before.shard_codes()[old]], rows.shard_codes()[now])


def _new_blocks(new: Sequence[tuple[Task, Spill]], before: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks (ids, vectors) that could not be found in the base."""
    for task, spill in new:
        ids, vectors = task.new_ids, spill.vectors
        for first in range(0, len(ids), BLOCK_VECTORS):
            block = slice(first, first + BLOCK_VECTORS)
            unknown = before.of_ids(ids[block]) < 0
            if unknown.any():
                yield ids[block][unknown], vectors[block][unknown]


def _save(manifest: Manifest, truth: Truth, rows: Rows, folder: Path) -> tuple[Manifest, dict[str, Path]]:
    """Write the truth to a file of the version; it is named by its content, as two builds may round differently."""
    path = folder / "queries.npz"
    truth.save(path, rows)
    entry = file_entry(path)
    key = f"versions/{manifest.version}/queries-{entry.sha256[:12]}.npz"
    return manifest.model_copy(update={"truth": entry.model_copy(update={"key": key})}), {key: path}
