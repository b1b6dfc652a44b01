"""The files of one shard: trained and filled, or added to, or as they were."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from pipeline.index import shards
from pipeline.index.choose import training_size
from pipeline.index.files import Files, file_sha256
from pipeline.index.layout import Task, Work
from pipeline.index.manifest import FileEntry, ShardEntry
from pipeline.index.spill import Spill
from pipeline.index.truth import Queries, nearest_in
from pipeline.settings import IndexSettings

TUNING_QUERIES = 100
KEPT_OUT = 16
"""Of so many vectors one is never trained on, to be a query, and one more to tune by; told by their ids' bits."""


@dataclass(frozen=True)
class Built:
    """A shard's files on this machine, before they have a place in the store; `fresh` maps file names to them."""

    entry: ShardEntry
    fresh: dict[str, Path]


def make_shard(task: Task, spill: Spill, folder: Path, files: Files, settings: IndexSettings) -> Built:
    """The files of one shard: as they were, added to, or new."""
    plan, before = task.rows.plan, task.before
    if task.work is Work.REUSE and before is not None:
        return Built(before.model_copy(update={"live": int(task.live.sum())}), {})
    stem = f"shard-{quote(plan.name, safe='')}"
    path = folder / f"{stem}.faiss"
    fresh = {path.name: path}
    vectors: FileEntry | None = None
    if task.work is Work.EXTEND and before is not None:
        index = shards.read(files.path(before.file), mapped=False)
        shards.add(index, spill.vectors)
        probes, choice_name, lists, trained = before.probes, before.index_type, before.lists, before.trained_rows
    else:
        dim = spill.vectors.shape[1]
        index = shards.train(plan.choice, dim, _sample(task, spill))
        shards.add(index, spill.vectors)
        choice_name, lists, trained = plan.choice.name, plan.choice.lists, len(task.ids)
        probes = 0 if plan.choice.exact else _tune(index, task, spill, settings.target_recall)
    shards.write(index, path)
    if plan.choice.rerank:
        old = files.path(before.vectors) if before is not None and before.vectors is not None else None
        fresh[f"{stem}.f16"] = _join(old, spill, folder / f"{stem}.f16")
        vectors = file_entry(fresh[f"{stem}.f16"])
    entry = ShardEntry(
        name=plan.name,
        group=plan.group,
        index_type=choice_name,
        codec=plan.choice.codec,
        lists=lists,
        rerank=plan.choice.rerank,
        probes=probes,
        rows=len(task.ids),
        live=int(task.live.sum()),
        first=0,
        trained_rows=trained,
        file=file_entry(path),
        vectors=vectors,
    )
    return Built(entry, fresh)


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
    own = np.flatnonzero(kept_out(task.ids, 1))[:TUNING_QUERIES]
    if not len(own):
        return task.rows.plan.choice.lists
    queries = Queries(own, task.ids[own], spill.vectors[own].astype(np.float32))
    nearest = nearest_in(queries, spill.vectors)
    shard = shards.Shard(index, task.rows.plan.choice, 1, spill.vectors if task.rows.plan.choice.rerank else None)
    return shards.tune_probes(shard, queries.vectors, own, [nearest.right(n, 10)[0] for n in range(len(own))], target)


def _join(old: Path | None, spill: Spill, path: Path) -> Path:
    """The vectors of a shard that ranks again: the old ones, then the new."""
    with path.open("wb") as out:
        for part in [old] if old else []:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out, 4 << 20)
        for first in range(0, len(spill.vectors), 65_536):
            out.write(np.ascontiguousarray(spill.vectors[first : first + 65_536]).data)
    return path


def file_entry(path: Path) -> FileEntry:
    """A file that has no key yet; its name stands for it."""
    return FileEntry(key=path.name, bytes=path.stat().st_size, sha256=file_sha256(path))
