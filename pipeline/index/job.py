"""The index commands on a warehouse: which snapshot, what to build upon, and the rows in `indexes` and `runs`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.index.assess import held_out_queries
from pipeline.index.build import build_new, find_version, inputs_hash
from pipeline.index.files import Files
from pipeline.index.gallery import Index, index_uri, load_manifest, read_pointer
from pipeline.index.judge import judge
from pipeline.index.manifest import Judgement, Manifest, Pointer
from pipeline.index.publish import publish
from pipeline.index.source import TableSource, versions_read
from pipeline.index.truth import Truth
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.storage.base import ObjectStore
from pipeline.tables import Snapshot, Warehouse, open_warehouse, runs
from pipeline.tables.faults import asked
from pipeline.tables.query import connect
from pipeline.tables.schema import TABLES


def index_store(settings: Settings) -> ObjectStore:
    """The store that holds this warehouse's index."""
    return open_store(index_uri(settings), settings)


@contextmanager
def table_source(settings: Settings, warehouse: Warehouse, snapshot: Snapshot) -> Iterator[TableSource]:
    """The vectors of a snapshot, as long as the block runs.

    Raises:
        TransientError: memory or disk is full, or the warehouse does not answer.
        InputError: the snapshot's tables can't be read, or do not fit.
    """
    with asked(f"the vectors of snapshot {snapshot.number}"), connect(warehouse, snapshot) as con:
        kinds = settings.index.kinds
        yield TableSource(con, snapshot.number, snapshot.release_id, dict(snapshot.versions), kinds)


def pick_snapshot(warehouse: Warehouse, number: int | None) -> Snapshot:
    """The snapshot of that number, or the latest.

    Raises:
        InputError: there is none.
    """
    snapshot = warehouse.latest_snapshot() if number is None else warehouse.load_snapshot(number)
    if snapshot is None:
        raise InputError(f"{warehouse.store.uri} holds no table snapshot: run `atelier enrich` and `atelier snapshot`")
    return snapshot


@dataclass(frozen=True)
class Outcome:
    """A version, and whether it was there already."""

    manifest: Manifest
    reused: bool


def build_from_tables(
    settings: Settings,
    *,
    number: int | None = None,
    run_id: str | None = None,
    full: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Outcome:
    """Build a version from a table snapshot upon what is live, and enter it in `indexes` and the job in `runs`.

    Where a version was built from the same inputs before, that is returned without a look at a vector; it is entered in
    `indexes` only if the build that made it was killed before it could do so.

    Args:
        settings: which warehouse, and all of `index.*`.
        number: snapshot; None: the latest.
        run_id: run it belongs to; None: the one that took the snapshot.
        full: build every shard anew, whatever exists.
        advance: told how many vectors have been read.

    Raises:
        SettingError, InputError: see `build_new`.
    """
    started = time.monotonic()
    warehouse = open_warehouse(settings)
    snapshot = pick_snapshot(warehouse, number)
    run_id = run_id or snapshot.run_id
    store = index_store(settings)
    pointer, _ = read_pointer(store)
    base = pointer.version if pointer else None
    tables = versions_read(snapshot.versions)
    inputs = inputs_hash(snapshot.release_id, tables, settings.index.kinds, settings.index)
    found = None if full else find_version(store, inputs, first=base)
    if found is None:
        with table_source(settings, warehouse, snapshot) as source:
            manifest = build_new(source, store, settings.index, base=None if full else base, advance=advance)
    else:
        manifest = found
    if found is None or not _built_by(warehouse, manifest.version):
        warehouse.replace_batch("indexes", manifest.version, index_row(manifest, run_id))
    details = {"version": manifest.version, "snapshot": snapshot.number, "reused": found is not None}
    details |= {"vectors": manifest.vectors, "shards": len(manifest.shards), "build_seconds": manifest.build_seconds}
    spent = time.monotonic() - started
    runs.record(warehouse, "index", run_id, details, release_id=manifest.release_id, seconds=spent)
    return Outcome(manifest, found is not None)


def publish_version(settings: Settings, version: str | None = None, run_id: str | None = None) -> Pointer:
    """Make a version live, see `publish`, and enter the job in `runs`.

    Args:
        settings: which warehouse, and `index.*`.
        version: None: the newest.
        run_id: run it belongs to; None: the one that built the version, and then publishing what is live already is
            not entered, because it would take the place of that run's own row.
    """
    started = time.monotonic()
    warehouse = open_warehouse(settings)
    store = index_store(settings)
    before, _ = read_pointer(store)
    pointer = publish(store, settings.index, version)
    changed = before is None or before.sequence != pointer.sequence
    run = run_id or (_built_by(warehouse, pointer.version) if changed else None)
    if run is not None:
        details = {"version": pointer.version, "previous": pointer.previous, "changed": changed, "held": pointer.held}
        release_id = load_manifest(store, pointer.version).release_id
        seconds = time.monotonic() - started
        runs.record(warehouse, "publish", run, details, release_id=release_id, seconds=seconds)
    return pointer


def _built_by(warehouse: Warehouse, version: str) -> str | None:
    """The run that built a version, as table `indexes` says; None where it is not entered."""
    rows = warehouse.read("indexes", columns=["run_id"], filter=pc.field("batch_id") == version)
    return next(iter(rows.column("run_id").to_pylist()), None)


def measure_again(settings: Settings, version: str, seed: int) -> Judgement:
    """Judge a stored version with other queries than it was built with, from the tables it was built from."""
    warehouse = open_warehouse(settings)
    store = index_store(settings)
    manifest = load_manifest(store, version)
    index = Index(manifest, Files(store, Path(settings.index.cache)), settings.index.threads)
    with table_source(settings, warehouse, pick_snapshot(warehouse, manifest.snapshot)) as source:
        queries = held_out_queries(index, source, settings.index.held_out, seed)
        return judge(index, Truth.of(queries, index.rows, source.vectors(None)))[0]


def index_row(manifest: Manifest, run_id: str) -> pa.Table:
    """The row of table `indexes` for a version."""
    judged = manifest.judgement
    row = {
        "batch_id": manifest.version,
        "run_id": run_id,
        "index_version": manifest.version,
        "snapshot": manifest.snapshot,
        "release_id": manifest.release_id,
        "vectors": manifest.vectors,
        "shards": len(manifest.shards),
        "bytes": manifest.bytes,
        "recall_at_10": judged.overall.at_10 if judged else None,
        "min_shard_recall_at_10": min((r.at_10 for r in judged.shards.values()), default=None) if judged else None,
        "build_seconds": manifest.build_seconds,
        "built_at": datetime.now(UTC),
    }
    return pa.Table.from_pylist([row], TABLES["indexes"].arrow_schema)
