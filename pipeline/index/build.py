"""Build an index version from a snapshot: rows, vectors, shards, judgement, upload, manifest last.

The folder of a version is named by the snapshot and the content of its files, so the same content always goes to the
same name and two builds at once can't spoil each other's files. Nothing is live before `publish`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.errors import InputError, SettingError, StaleError, TransientError
from pipeline.index import shards
from pipeline.index.assess import assess
from pipeline.index.choose import GIB, ShardPlan, peak_bytes, plan_shards
from pipeline.index.device import build_device
from pipeline.index.files import Files, incomplete
from pipeline.index.gallery import load_manifest
from pipeline.index.layout import Task, Work, collect_rows, plan_tasks, write_ids
from pipeline.index.making import Built, file_entry, make_shard
from pipeline.index.manifest import FORMAT, Manifest, Recall, SegmentEntry, ShardEntry, manifest_key
from pipeline.index.rows import Rows
from pipeline.index.source import Source
from pipeline.index.spill import spill_vectors
from pipeline.settings import IndexSettings
from pipeline.storage.base import ObjectStore

log = logging.getLogger(__name__)

Advance = Callable[[int], object]


def build_index(
    source: Source,
    store: ObjectStore,
    settings: IndexSettings,
    *,
    base: str | None = None,
    full: bool = False,
    advance: Advance = lambda count: None,
) -> Manifest:
    """Return the version that was built from the same before; where there is none, `build_new`.

    Args:
        source: vectors and rows of a snapshot.
        store: the index root.
        settings: sizes, recall, memory.
        base: version whose shards may be used again, and the first that is looked at.
        full: build every shard anew, whatever exists.
        advance: told how many vectors have been read.
    """
    origin = source.origin
    inputs = inputs_hash(origin.release_id, origin.table_versions, origin.kinds, settings)
    found = None if full else find_version(store, inputs, first=base)
    return found or build_new(source, store, settings, base=None if full else base, advance=advance)


def build_new(
    source: Source,
    store: ObjectStore,
    settings: IndexSettings,
    *,
    base: str | None = None,
    advance: Advance = lambda count: None,
) -> Manifest:
    """Build, judge and store a version upon `base`; see `build_index`.

    Raises:
        SettingError: more memory or disk would be needed than there is; nothing has been started.
        InputError: the tables hold vectors that can't be indexed.
    """
    started = time.monotonic()
    shards.use_threads(settings.threads)
    device = build_device(settings.device)
    plans, need = _planned(source, settings)
    before = _base(store, base)
    with work_folder(Path(settings.cache)) as folder:
        files = Files(store, Path(settings.cache))
        tasks = plan_tasks(collect_rows(source, plans, folder), reusable(before, files, source, settings))
        _check_disk(tasks, source.origin.dim, folder)
        spills = spill_vectors(source, tasks, folder, advance)
        built = [make_shard(task, spills[task.rows.plan.name], folder, files, settings, device) for task in tasks]
        manifest, fresh = _assemble(source, tasks, built, folder, settings)
        files.add(fresh)
        new = [(task, spills[task.rows.plan.name]) for task in tasks]
        manifest, more = assess(manifest, files, source, settings, new, before, folder)
        built_on = base if any(task.work is not Work.BUILD for task in tasks) else None
        seconds = time.monotonic() - started
        notes = (device.note,) if device.note else ()
        made = {"build_seconds": seconds, "built_on": built_on, "device": device.name, "notes": notes}
        manifest = manifest.model_copy(update={**made, "memory_bytes": need})
        return _store(manifest, fresh | more, store)


def _planned(source: Source, settings: IndexSettings) -> tuple[list[ShardPlan], int]:
    """The shards to be, and the bytes of memory that takes, which are said before anything starts."""
    counts, dim = source.counts(), source.origin.dim
    plans = plan_shards(
        counts,
        dim,
        memory_gib=settings.memory_gib,
        search_memory_gib=settings.search_memory_gib,
        exact_below=settings.exact_below,
        target=settings.target_recall,
    )
    need = peak_bytes(plans, counts, dim)
    said = "index of %d vectors in %d shards: up to %.2f GiB of memory, index.memory_gib allows %g"
    log.info(said, sum(counts.values()), len(plans), need / GIB, settings.memory_gib)
    return plans, need


def _base(store: ObjectStore, version: str | None) -> Manifest | None:
    """What to build upon; nothing, if this program can't read it: then every shard is built anew."""
    try:
        return None if version is None else load_manifest(store, version)
    except InputError as error:
        log.warning("building every shard anew: %s", error)
        return None


def inputs_hash(
    release_id: str, table_versions: Mapping[str, int | None], kinds: Sequence[str], settings: IndexSettings
) -> str:
    """What a build depends on, as one hash; not the snapshot's number, which every run raises."""
    parts = {
        "format": FORMAT,
        "release": release_id,
        "tables": dict(table_versions),
        "kinds": list(kinds),
        "exact_below": settings.exact_below,
        "memory_gib": settings.memory_gib,
        "search_memory_gib": settings.search_memory_gib,
        "target_recall": settings.target_recall,
        "held_out": settings.held_out,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_version(store: ObjectStore, inputs: str, *, first: str | None = None) -> Manifest | None:
    """A finished version that was built from the same inputs, if its files are there: `first`, else the newest."""
    listed = [info.key.split("/")[1] for info in store.list("versions/") if info.key.endswith("/manifest.json")]
    for version in sorted(listed, key=lambda version: (version == first, version), reverse=True):
        try:
            manifest = load_manifest(store, version)
        except InputError:
            continue  # removed meanwhile, or of a format that can't be used anyway
        if manifest.inputs == inputs and incomplete(store, manifest) is None:
            return manifest
    return None


def reusable(
    manifest: Manifest | None, files: Files, source: Source, settings: IndexSettings
) -> dict[str, tuple[ShardEntry, np.ndarray]]:
    """Shards of an earlier version that may be built upon, with the ids of their vectors, by name."""
    origin = source.origin
    same = (origin.feature_id, origin.dim, origin.kinds)
    if manifest is None or (manifest.feature_id, manifest.dim, manifest.kinds) != same:
        return {}
    rows = Rows(files.path(manifest.ids), manifest)
    judged = manifest.judgement.shards if manifest.judgement else {}
    return {
        entry.name: (entry, rows.ids(np.arange(entry.first, entry.first + entry.rows)))
        for entry in manifest.shards
        if not _outgrown(entry, judged.get(entry.name), settings)
    }


def _outgrown(entry: ShardEntry, judged: Recall | None, settings: IndexSettings) -> bool:
    """Whether a shard was tuned to another target, or is judged too low now that it is not as it was trained.

    One that is judged too low as trained would come out the same again.
    """
    if not entry.lists:
        return False
    low = judged is not None and judged.at_10 < settings.min_recall
    return entry.tuned_to != settings.target_recall or (low and entry.rows != entry.trained_rows)


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


def _assemble(
    source: Source, tasks: Sequence[Task], built: Sequence[Built], folder: Path, settings: IndexSettings
) -> tuple[Manifest, dict[str, Path]]:
    """The manifest (not judged yet) and the new files by key."""
    ids_path = folder / "ids.parquet"
    write_ids(tasks, ids_path)
    ids = file_entry(ids_path)
    origin = source.origin
    inputs = inputs_hash(origin.release_id, origin.table_versions, origin.kinds, settings)
    digest = hashlib.sha256(inputs.encode())
    for piece in (ids, *(file for item in built for file in item.entry.files)):
        digest.update(piece.sha256.encode())
    version = f"{origin.snapshot:08d}-{digest.hexdigest()[:12]}"
    fresh = {f"versions/{version}/ids.parquet": ids_path}
    entries, first = [], 0
    for item in built:
        fresh |= {f"versions/{version}/{name}": path for name, path in item.fresh.items()}
        segments = tuple(_placed(segment, version, item.fresh) for segment in item.entry.segments)
        entries.append(item.entry.model_copy(update={"first": first, "segments": segments}))
        first += item.entry.rows
    manifest = Manifest(
        version=version,
        inputs=inputs,
        snapshot=origin.snapshot,
        table_versions=origin.table_versions,
        release_id=origin.release_id,
        feature_id=origin.feature_id,
        dim=origin.dim,
        kinds=origin.kinds,
        vectors=sum(entry.live for entry in entries),
        products=source.products(),
        bytes=sum(entry.bytes for entry in entries),
        ids=ids.model_copy(update={"key": f"versions/{version}/ids.parquet"}),
        shards=tuple(entries),
        judgement=None,
        memory_bytes=0,
        build_seconds=0.0,
        built_at=datetime.now(UTC),
    )
    return manifest, fresh


def _placed(segment: SegmentEntry, version: str, fresh: dict[str, Path]) -> SegmentEntry:
    """The segment with its new files in the version's folder."""
    update = {
        field: file.model_copy(update={"key": f"versions/{version}/{file.key}"})
        for field, file in (("file", segment.file), ("ranker", segment.ranker))
        if file is not None and file.key in fresh
    }
    return segment.model_copy(update=update)


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
