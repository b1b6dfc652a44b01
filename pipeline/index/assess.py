"""Which queries a version is judged by, and where their truth comes from: all of the table, or an earlier version's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.index.choose import BLOCK_VECTORS
from pipeline.index.files import Files
from pipeline.index.gallery import Index
from pipeline.index.judge import Carried, judge
from pipeline.index.layout import Task, Work
from pipeline.index.making import file_entry, kept_out
from pipeline.index.manifest import Manifest
from pipeline.index.rows import Rows
from pipeline.index.source import Source
from pipeline.index.spill import Spill
from pipeline.index.truth import FILTERED, Nearest, Queries, Truth, pick_queries
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
        truth, answers, added = carried
        drawn = base.judgement.drawn_for
    else:
        queries = held_out_queries(index, source, settings.held_out)
        truth, answers, added, drawn = Truth.of(queries, index.rows, source.vectors(None)), None, 0, manifest.version
    judgement, answered = judge(index, truth, answers)
    judgement = judgement.model_copy(update={"drawn_for": drawn, "added_since": added})
    manifest = manifest.model_copy(update={"judgement": judgement})
    return _save(manifest, truth, answered, folder)


def _carried(
    base: Manifest, files: Files, rows: Rows, new: Sequence[tuple[Task, Spill]]
) -> tuple[Truth, Carried, int] | None:
    """Truth and answers of the base, brought up to date, and the vectors added since; None if they can't be used.

    They can't where a vector has another label or shard than before, where a shard may have been trained on the
    queries, where vectors came back that had been masked, or where too much is new for the old queries to stand for it.
    """
    if base.truth is None or base.judgement is None:
        return None
    known = {entry.name for entry in base.shards}
    if any(task.rows.plan.name not in known for task, _ in new):
        return None
    if any(task.work is Work.BUILD and not task.rows.plan.choice.exact for task, _ in new):
        return None
    before = Rows(files.path(base.ids), base)
    now = _rows_now(before, rows, new)
    if now is None:
        return None
    fresh = rows.live.copy()
    fresh[now[now >= 0]] = False
    added = base.judgement.added_since + int(fresh.sum())
    if added > MAX_ADDED * rows.manifest.vectors or _labelled_anew(before, rows, now):
        return None
    # an id that was there before, in another shard or masked, is no new vector
    if _any_known(before.ids(np.arange(len(before))), rows.ids(np.flatnonzero(fresh))):
        return None
    loaded = Truth.load(files.path(base.truth), now)
    if loaded is None:
        return None
    truth, answers = loaded
    truth.offer(rows, _fresh_blocks(rows, new, fresh))
    return truth, Carried(answers, fresh), added


def _any_known(many: np.ndarray, few: np.ndarray) -> bool:
    """Whether any of `few` ids (int64) is among `many`."""
    if not len(few):
        return False
    few = np.sort(few)
    return bool((few[np.minimum(np.searchsorted(few, many), len(few) - 1)] == many).any())


def _rows_now(before: Rows, rows: Rows, new: Sequence[tuple[Task, Spill]]) -> np.ndarray | None:
    """The row now of each row of the base, int64, -1 for those that are gone; None if a masked one came back."""
    entries = {entry.name: entry for entry in rows.manifest.shards}
    built = {task.rows.plan.name for task, _ in new if task.work is Work.BUILD}
    now = np.full(len(before), -1, np.int64)
    for old in before.manifest.shards:
        entry = entries.get(old.name)
        if entry is None:
            continue
        here = slice(old.first, old.first + old.rows)
        if old.name in built:
            ids = rows.ids(np.arange(entry.first, entry.first + entry.rows))
            places = pc.index_in(pa.array(before.ids(np.arange(old.first, old.first + old.rows))), pa.array(ids))
            found = places.fill_null(-1).to_numpy().astype(np.int64)
        else:
            found = np.arange(old.rows)
        places_now = np.where(found >= 0, found + entry.first, -1)
        alive = (found >= 0) & rows.live[np.maximum(places_now, 0)]
        if (alive & ~before.live[here]).any():
            return None
        now[here] = np.where(alive, places_now, -1)
    return now


def _labelled_anew(before: Rows, rows: Rows, now: np.ndarray) -> bool:
    """Whether a vector that was there before has another label by which queries are filtered."""
    stayed = np.flatnonzero(now >= 0)
    for column in FILTERED:
        (old_codes, old_numbers), (codes, numbers) = before.codes(column), rows.codes(column)
        translated = np.array([*(numbers.get(value, -2) for value in old_numbers), -1], np.int32)
        if not np.array_equal(translated[old_codes[stayed]], codes[now[stayed]]):
            return True
    return False


def _fresh_blocks(
    rows: Rows, new: Sequence[tuple[Task, Spill]], fresh: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks (gallery rows, vectors) of what is fresh."""
    entries = {entry.name: entry for entry in rows.manifest.shards}
    for task, spill in new:
        first = entries[task.rows.plan.name].first + len(task.ids) - task.new if task.new else 0
        for start in range(0, task.new, BLOCK_VECTORS):
            at = np.arange(first + start, first + min(start + BLOCK_VECTORS, task.new))
            wanted = fresh[at]
            if wanted.any():
                yield at[wanted], spill.vectors[start : start + BLOCK_VECTORS][wanted]


def _save(
    manifest: Manifest, truth: Truth, answers: Mapping[str, Nearest], folder: Path
) -> tuple[Manifest, dict[str, Path]]:
    """Write truth and answers to a file of the version, named by its content, as two builds may round differently."""
    path = folder / "queries.npz"
    truth.save(path, answers)
    entry = file_entry(path)
    key = f"versions/{manifest.version}/queries-{entry.sha256[:12]}.npz"
    return manifest.model_copy(update={"truth": entry.model_copy(update={"key": key})}), {key: path}
