"""Build an index version from a snapshot: rows, vectors, shards, judgement, upload, manifest last.

The folder of a version is named by the snapshot and the content of its files, so the same content always goes to the
same name and two builds at once can't spoil each other's files. Nothing is live before `publish`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SettingError, StaleError, TransientError
from pipeline.index import judge, shards
from pipeline.index.choose import GIB, plan_shards, training_size
from pipeline.index.files import Files, file_sha256, incomplete
from pipeline.index.gallery import Index, load_manifest
from pipeline.index.layout import Task, Work, collect_rows, plan_tasks, write_ids
from pipeline.index.manifest import FORMAT, FileEntry, Manifest, ShardEntry, manifest_key
from pipeline.index.rows import Rows
from pipeline.index.source import Source
from pipeline.index.spill import Spill, spill_vectors
from pipeline.settings import IndexSettings
from pipeline.storage.base import ObjectStore

TUNING_QUERIES = 100
KEPT_OUT = 16
"""Of so many vectors one is never trained on, to be a query, and one more to tune by; told by their ids' bits."""

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Built:
    """A shard's files on this machine, before they have a place in the store; `fresh` maps file names to them."""

    entry: ShardEntry
    fresh: dict[str, Path]


def build_index(
    source: Source,
    store: ObjectStore,
    settings: IndexSettings,
    *,
    base: str | None = None,
    full: bool = False,
    advance: Advance = lambda count: None,
) -> Manifest:
    """Build, judge and store a version; one that was built from the same before is returned as it is.

    Args:
        source: vectors and rows of a snapshot.
        store: the index root.
        settings: sizes, recall, memory.
        base: version whose shards may be used again.
        full: build every shard anew, whatever exists.
        advance: told how many vectors have been read.

    Raises:
        SettingError: more memory or disk would be needed than there is; nothing has been started.
        InputError: the tables hold vectors that can't be indexed.
    """
    inputs = inputs_hash(source, settings)
    found = None if full else find_version(store, source.origin.snapshot, inputs)
    if found is not None:
        return found
    started = time.monotonic()
    shards.use_threads(settings.threads)
    plans = plan_shards(
        source.counts(),
        source.origin.dim,
        memory_gib=settings.memory_gib,
        search_memory_gib=settings.search_memory_gib,
        exact_below=settings.exact_below,
        target=settings.target_recall,
    )
    with work_folder(Path(settings.cache)) as folder:
        rows = collect_rows(source, plans, folder)
        files = Files(store, Path(settings.cache))
        tasks = plan_tasks(rows, {} if full else reusable(store, files, base, source, settings))
        _check_disk(tasks, source.origin.dim, folder)
        spills = spill_vectors(source, tasks, folder, advance)
        built = [_make_shard(task, spills[task.rows.plan.name], folder, files, settings) for task in tasks]
        manifest, fresh = _assemble(source, tasks, built, folder, inputs, base)
        manifest = _judged(manifest, Files(store, Path(settings.cache), fresh), source, settings)
        manifest = manifest.model_copy(update={"build_seconds": time.monotonic() - started})
        return _store(manifest, fresh, store)


def inputs_hash(source: Source, settings: IndexSettings) -> str:
    """What a build depends on, as one hash."""
    origin = source.origin
    parts = {
        "format": FORMAT,
        "snapshot": origin.snapshot,
        "release": origin.release_id,
        "tables": origin.table_versions,
        "kinds": origin.kinds,
        "exact_below": settings.exact_below,
        "memory_gib": settings.memory_gib,
        "search_memory_gib": settings.search_memory_gib,
        "target_recall": settings.target_recall,
        "held_out": settings.held_out,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_version(store: ObjectStore, snapshot: int, inputs: str) -> Manifest | None:
    """A finished version of a snapshot that was built from the same inputs, if its files are there."""
    for info in store.list(f"versions/{snapshot:08d}-"):
        if info.key.endswith("/manifest.json"):
            manifest = load_manifest(store, info.key.split("/")[1])
            if manifest.inputs == inputs and incomplete(store, manifest) is None:
                return manifest
    return None


def reusable(
    store: ObjectStore, files: Files, base: str | None, source: Source, settings: IndexSettings
) -> dict[str, tuple[ShardEntry, np.ndarray]]:
    """Shards of version `base` that may be built upon, with the ids of their vectors, by name."""
    if base is None:
        return {}
    manifest = load_manifest(store, base)
    origin = source.origin
    if (manifest.feature_id, manifest.dim, manifest.kinds) != (origin.feature_id, origin.dim, origin.kinds):
        return {}
    rows = Rows(files.path(manifest.ids), manifest)
    low = {
        name
        for name, recall in (manifest.judgement.shards.items() if manifest.judgement else ())
        if recall.at_10 < min(settings.target_recall, settings.min_recall)
    }
    return {
        entry.name: (entry, rows.ids(np.arange(entry.first, entry.first + entry.rows)))
        for entry in manifest.shards
        if entry.name not in low
    }


@contextmanager
def work_folder(cache: Path) -> Iterator[Path]:
    """A folder for a build's own files, gone afterwards.

    Raises:
        SettingError: index.cache can't be written to.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=cache))
    except OSError as error:
        raise SettingError(f"index.cache ({cache}) can't be written to: {error.strerror}") from None
    try:
        yield folder
    except OSError as error:
        raise TransientError(f"building in index.cache ({cache}) failed: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_disk(tasks: Sequence[Task], dim: int, folder: Path) -> None:
    """Refuse before the work starts what would fill the disk: vectors once, shard files once."""
    need = sum(2 * dim * task.new + 2 * dim * (len(task.ids) if task.work is not Work.REUSE else 0) for task in tasks)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingError(
            f"building needs up to {need / GIB:.2f} GiB in index.cache ({folder.parent}), "
            f"there are {free / GIB:.2f} GiB free"
        )


def _make_shard(task: Task, spill: Spill, folder: Path, files: Files, settings: IndexSettings) -> Built:
    """The files of one shard: as they were, added to, or new."""
    plan, before = task.rows.plan, task.before
    if task.work is Work.REUSE and before is not None:
        return Built(before.model_copy(update={"live": int(task.live.sum())}), {})
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", f"shard-{plan.name}")
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
        vectors = _entry(fresh[f"{stem}.f16"])
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
        file=_entry(path),
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
    queries = judge.Queries(own, task.ids[own], spill.vectors[own].astype(np.float32))
    nearest = judge.nearest_in(queries, spill.vectors)
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


def _entry(path: Path) -> FileEntry:
    """A file that has no key yet; its name stands for it."""
    return FileEntry(key=path.name, bytes=path.stat().st_size, sha256=file_sha256(path))


def _assemble(
    source: Source, tasks: Sequence[Task], built: Sequence[Built], folder: Path, inputs: str, base: str | None
) -> tuple[Manifest, dict[str, Path]]:
    """The manifest (not judged yet) and the new files by key."""
    ids_path = folder / "ids.parquet"
    write_ids(tasks, ids_path)
    ids = _entry(ids_path)
    digest = hashlib.sha256(inputs.encode())
    for piece in (ids, *(item.entry.file for item in built)):
        digest.update(piece.sha256.encode())
    version = f"{source.origin.snapshot:08d}-{digest.hexdigest()[:12]}"
    fresh = {f"versions/{version}/ids.parquet": ids_path}
    entries, first = [], 0
    for item in built:
        fresh |= {f"versions/{version}/{name}": path for name, path in item.fresh.items()}
        update: dict[str, object] = {"first": first}
        for field in ("file", "vectors"):
            file = getattr(item.entry, field)
            if file is not None and file.key in item.fresh:
                update[field] = file.model_copy(update={"key": f"versions/{version}/{file.key}"})
        entries.append(item.entry.model_copy(update=update))
        first += item.entry.rows
    manifest = Manifest(
        version=version,
        inputs=inputs,
        snapshot=source.origin.snapshot,
        table_versions=source.origin.table_versions,
        release_id=source.origin.release_id,
        feature_id=source.origin.feature_id,
        dim=source.origin.dim,
        kinds=source.origin.kinds,
        vectors=sum(entry.live for entry in entries),
        products=0,
        bytes=sum(f.bytes for e in entries for f in (e.file, e.vectors) if f is not None),
        ids=ids.model_copy(update={"key": f"versions/{version}/ids.parquet"}),
        shards=tuple(entries),
        judgement=None,
        built_on=base if any(task.work is not Work.BUILD for task in tasks) else None,
        build_seconds=0.0,
        built_at=datetime.now(UTC),
    )
    return manifest, fresh


def held_out_queries(index: Index, source: Source, held_out: int, seed: int = 0) -> judge.Queries:
    """Queries that were kept out of every training, with their vectors from the table."""
    by_shard = {}
    for entry in index.manifest.shards:
        rows = np.arange(entry.first, entry.first + entry.rows)
        rows = rows[index.rows.live[rows]]
        by_shard[entry.name] = rows if not entry.lists else rows[kept_out(index.rows.ids(rows), 0)]
    sizes = {entry.name: entry.live for entry in index.manifest.shards}
    picked = judge.pick_queries(by_shard, sizes, held_out, seed)
    ids = index.rows.ids(picked)
    vectors = np.empty((len(picked), index.manifest.dim), np.float32)
    for block_ids, block in source.vectors(ids) if len(ids) else ():
        rows = index.rows.of_ids(block_ids)
        mine = np.isin(rows, picked)
        vectors[np.searchsorted(picked, rows[mine])] = block[mine]
    return judge.Queries(picked, ids, vectors)


def _judged(manifest: Manifest, files: Files, source: Source, settings: IndexSettings) -> Manifest:
    index = Index(manifest, files, settings.threads)
    queries = held_out_queries(index, source, settings.held_out)
    judgement = judge.judge(index, queries, source.vectors(None))
    products = len(np.unique(index.rows.product_codes()[index.rows.live]))
    return manifest.model_copy(update={"judgement": judgement, "products": products})


def _store(manifest: Manifest, fresh: dict[str, Path], store: ObjectStore) -> Manifest:
    """Upload what is new, the manifest last; a manifest that another build put meanwhile is taken as it is.

    The same name means the same bytes, so writing a file that is there harms no reader and repairs an altered one.
    """
    for key, path in fresh.items():
        store.put_file(key, path)
    try:
        store.put_if(manifest_key(manifest.version), manifest.to_json(), etag=None)
    except StaleError:
        return load_manifest(store, manifest.version)
    return manifest
