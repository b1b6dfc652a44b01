"""The files of one shard: trained and filled, or added to, or as they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from pipeline.index import shards
from pipeline.index.choose import training_size
from pipeline.index.device import BuildDevice
from pipeline.index.files import Files, file_sha256
from pipeline.index.layout import Task, Work
from pipeline.index.manifest import FileEntry, SegmentEntry, ShardEntry
from pipeline.index.searching import Segment, Shard, tune
from pipeline.index.spill import Spill
from pipeline.index.truth import Queries, nearest_in
from pipeline.settings import IndexSettings

RANKER = ".ranker.faiss"
"""How the files end that hold the finer codes."""
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
    last = before.segments[0]
    pieces = Pieces(
        shards.empty_like(files.path(last.file)), shards.empty_like(files.path(last.ranker)) if last.ranker else None
    )
    pieces.add(spill.vectors, device)
    fresh, segment = _segment(pieces, folder / f"{stem}.{len(before.segments)}")
    segments = (*before.segments, segment)
    if len(segments) > MAX_SEGMENTS:
        fresh, segment = _join(before, files, folder / stem, fresh)
        segments = (segment,)
    update = {"segments": segments, "rows": len(task.ids), "live": live}
    return Built(before.model_copy(update=update), fresh)


@dataclass(frozen=True)
class Pieces:
    """The indexes of one segment in memory: codes, and finer codes that rank again where there are any."""

    index: Any
    ranker: Any = None

    def add(self, vectors: np.ndarray, device: BuildDevice) -> None:
        """Append vectors (n, dim) float16."""
        shards.add(self.index, vectors, device.flat)
        if self.ranker is not None:
            shards.add(self.ranker, vectors)


def _anew(task: Task, spill: Spill, folder: Path, target: float, device: BuildDevice) -> Built:
    """Train, add, tune, write."""
    plan, dim = task.rows.plan, spill.vectors.shape[1]
    choice = plan.choice
    sample = _sample(task, spill)
    ranker = shards.new_ranker(choice.ranker, dim, sample) if choice.ranker else None
    pieces = Pieces(shards.train(choice, dim, sample, device.flat), ranker)
    pieces.add(spill.vectors, device)
    fresh, segment = _segment(pieces, folder / _stem(task))
    tuned = _tuned(pieces, task, spill, target)
    entry = ShardEntry(
        name=plan.name,
        group=plan.group,
        index_type=choice.name,
        codec=choice.codec,
        lists=choice.lists,
        ranker=choice.ranker,
        probes=tuned.probes,
        candidates=tuned.factor,
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


def _segment(pieces: Pieces, stem: Path) -> tuple[dict[str, Path], SegmentEntry]:
    """Write the files of a segment."""
    path = stem.with_name(f"{stem.name}.faiss")
    shards.write(pieces.index, path)
    fresh = {path.name: path}
    ranker = None
    if pieces.ranker is not None:
        ranker = stem.with_name(f"{stem.name}{RANKER}")
        shards.write(pieces.ranker, ranker)
        fresh[ranker.name] = ranker
    entry = SegmentEntry(rows=pieces.index.ntotal, file=file_entry(path), ranker=file_entry(ranker) if ranker else None)
    return fresh, entry


def _join(before: ShardEntry, files: Files, stem: Path, added: dict[str, Path]) -> tuple[dict[str, Path], SegmentEntry]:
    """One segment of all that a shard had and of what was just added."""
    new = {path.name.endswith(RANKER): path for path in added.values()}
    index = shards.joined([*(files.path(segment.file) for segment in before.segments), new[False]])
    old = [files.path(segment.ranker) for segment in before.segments if segment.ranker is not None]
    return _segment(Pieces(index, shards.joined([*old, new[True]]) if old else None), stem)


def kept_out(ids: np.ndarray, residue: int) -> np.ndarray:
    """Which ids (int64) are never trained on: bool; residue 0 for judging, 1 for tuning."""
    return (ids >> 40) % KEPT_OUT == residue


def _sample(task: Task, spill: Spill) -> np.ndarray:
    """Vectors to train on, float32, without those that are kept out; evenly spread over the shard."""
    allowed = np.flatnonzero(~kept_out(task.ids, 0) & ~kept_out(task.ids, 1))
    size = min(training_size(task.rows.plan.choice, len(task.ids)), len(allowed))
    picked = allowed[np.linspace(0, len(allowed) - 1, size).astype(np.int64)] if size else allowed[:0]
    return spill.vectors[picked].astype(np.float32)


def _tuned(pieces: Pieces, task: Task, spill: Spill, target: float) -> Shard:
    """Lists to look at and candidates to rank, by queries that are neither trained on nor judged by."""
    choice = task.rows.plan.choice
    own = np.flatnonzero(kept_out(task.ids, 1))
    if choice.exact or not len(own):
        return Shard((), choice, choice.lists)
    own = own[np.unique(np.linspace(0, len(own) - 1, TUNING_QUERIES).astype(np.int64))]
    queries = Queries(own, task.ids[own], spill.vectors[own].astype(np.float32))
    nearest = nearest_in(queries, spill.vectors)
    shard = Shard((Segment(pieces.index, pieces.ranker),), choice, 1)
    return tune(shard, queries.vectors, own, [nearest.right(n, 10)[0] for n in range(len(own))], target)


def file_entry(path: Path) -> FileEntry:
    """A file that has no key yet; its name stands for it."""
    return FileEntry(key=path.name, bytes=path.stat().st_size, sha256=file_sha256(path))
