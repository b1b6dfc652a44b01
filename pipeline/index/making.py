"""The files of one shard: trained and filled, or added to, or as they were."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from pipeline.index import shards
from pipeline.index.choose import BLOCK_VECTORS, training_size
from pipeline.index.device import BuildDevice
from pipeline.index.files import Files, file_sha256
from pipeline.index.layout import Task, Work
from pipeline.index.manifest import FileEntry, SegmentEntry, ShardEntry
from pipeline.index.searching import Segment, Shard, tune_probes
from pipeline.index.spill import Spill
from pipeline.index.truth import Queries, nearest_in
from pipeline.settings import IndexSettings

MAX_SEGMENTS = 8
"""Each costs a search the choice of its lists; with one more they are joined."""
TUNING_QUERIES = 200
KEPT_OUT = 16
"""Of so many vectors one is never trained on, to be a query, and one more to tune by; told by their ids' bits."""


@dataclass(frozen=True)
class Built:
    """A shard's files on this machine, before they have a place in the store; `fresh` maps file names to them."""

    entry: ShardEntry
    fresh: dict[str, Path]


def make_shard(
    task: Task, spill: Spill, folder: Path, files: Files, settings: IndexSettings, device: BuildDevice
) -> Built:
    """The files of one shard: as they were, with one more for what is new, joined into one, or built anew."""
    live, before = int(task.live.sum()), task.before
    if before is None:
        return _anew(task, spill, folder, settings.target_recall, device)
    if task.work is Work.REUSE:
        return Built(before.model_copy(update={"live": live}), {})
    stem = _stem(task)
    last = files.path(before.segments[0].file)
    added = shards.empty_like(last)
    shards.add(added, spill.vectors, device.flat)
    fresh, segment = _segment(added, spill.vectors, folder / f"{stem}.{len(before.segments)}", before.rerank)
    segments = (*before.segments, segment)
    if len(segments) > MAX_SEGMENTS:
        fresh, segment = _join(before, files, folder / stem, fresh)
        segments = (segment,)
    update = {"segments": segments, "rows": len(task.ids), "live": live}
    return Built(before.model_copy(update=update), fresh)


def _anew(task: Task, spill: Spill, folder: Path, target: float, device: BuildDevice) -> Built:
    """Train, add, tune, write."""
    plan = task.rows.plan
    index = shards.train(plan.choice, spill.vectors.shape[1], _sample(task, spill), device.flat)
    shards.add(index, spill.vectors, device.flat)
    fresh, segment = _segment(index, spill.vectors, folder / _stem(task), plan.choice.rerank)
    entry = ShardEntry(
        name=plan.name,
        group=plan.group,
        index_type=plan.choice.name,
        codec=plan.choice.codec,
        lists=plan.choice.lists,
        rerank=plan.choice.rerank,
        probes=0 if plan.choice.exact else _tune(index, task, spill, target),
        rows=len(task.ids),
        live=len(task.ids),
        first=0,
        trained_rows=len(task.ids),
        tuned_to=target,
        segments=(segment,),
    )
    return Built(entry, fresh)


def _stem(task: Task) -> str:
    return f"shard-{quote(task.rows.plan.name, safe='')}"


def _segment(index: Any, vectors: np.ndarray, stem: Path, rerank: int) -> tuple[dict[str, Path], SegmentEntry]:
    """Write an index, and the vectors that its candidates are ranked again by."""
    path = stem.with_name(f"{stem.name}.faiss")
    shards.write(index, path)
    fresh = {path.name: path}
    kept = None
    if rerank:
        kept = stem.with_name(f"{stem.name}.f16")
        fresh[kept.name] = kept
        with kept.open("wb") as out:
            for first in range(0, len(vectors), BLOCK_VECTORS):
                out.write(np.ascontiguousarray(vectors[first : first + BLOCK_VECTORS]).data)
    entry = SegmentEntry(rows=len(vectors), file=file_entry(path), vectors=file_entry(kept) if kept else None)
    return fresh, entry


def _join(before: ShardEntry, files: Files, stem: Path, added: dict[str, Path]) -> tuple[dict[str, Path], SegmentEntry]:
    """One segment of all that a shard had and of what was just added."""
    new = {path.suffix: path for path in added.values()}
    index = shards.joined([*(files.path(segment.file) for segment in before.segments), new[".faiss"]])
    path = stem.with_name(f"{stem.name}.faiss")
    shards.write(index, path)
    fresh, kept = {path.name: path}, None
    if before.rerank:
        kept = stem.with_name(f"{stem.name}.f16")
        fresh[kept.name] = kept
        old = [files.path(segment.vectors) for segment in before.segments if segment.vectors is not None]
        with kept.open("wb") as out:
            for part in [*old, new[".f16"]]:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, out, 4 << 20)
    return fresh, SegmentEntry(rows=index.ntotal, file=file_entry(path), vectors=file_entry(kept) if kept else None)


def kept_out(ids: np.ndarray, residue: int) -> np.ndarray:
    """Which ids (int64) are never trained on: bool; residue 0 for judging, 1 for tuning."""
    return (ids >> 40) % KEPT_OUT == residue


def _sample(task: Task, spill: Spill) -> np.ndarray:
    """Vectors to train on, float32, without those that are kept out; evenly spread over the shard."""
    allowed = np.flatnonzero(~kept_out(task.ids, 0) & ~kept_out(task.ids, 1))
    size = min(training_size(task.rows.plan.choice, len(task.ids)), len(allowed))
    picked = allowed[np.linspace(0, len(allowed) - 1, size).astype(np.int64)] if size else allowed[:0]
    return spill.vectors[picked].astype(np.float32)


def _tune(index: Any, task: Task, spill: Spill, target: float) -> int:
    """Lists to look at, by queries that are neither trained on nor judged by."""
    own = np.flatnonzero(kept_out(task.ids, 1))
    if not len(own):
        return task.rows.plan.choice.lists
    own = own[np.unique(np.linspace(0, len(own) - 1, TUNING_QUERIES).astype(np.int64))]
    queries = Queries(own, task.ids[own], spill.vectors[own].astype(np.float32))
    nearest = nearest_in(queries, spill.vectors)
    choice = task.rows.plan.choice
    shard = Shard((Segment(index, spill.vectors if choice.rerank else None),), choice, 1)
    return tune_probes(shard, queries.vectors, own, [nearest.right(n, 10)[0] for n in range(len(own))], target)


def file_entry(path: Path) -> FileEntry:
    """A file that has no key yet; its name stands for it."""
    return FileEntry(key=path.name, bytes=path.stat().st_size, sha256=file_sha256(path))
