"""Keeping a warehouse fit over years: small files joined, and what nothing needs any more removed.

Both change what is stored, never what is read. Compaction is a commit like any other, so that a reader sees either the
files before or those after. Vacuum removes only files that are in no version which a snapshot, an index, a published
copy or a reader of the last days may need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import tenacity

from pipeline.errors import StaleError
from pipeline.storage import ObjectStore
from pipeline.tables.schema import TABLES
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.warehouse import Warehouse

READER_GRACE = timedelta(days=1)
"""Whoever reads a snapshot when it is retired may go on for so long."""

ATTEMPTS = 5
PLANS = "plans/"


@dataclass(frozen=True)
class Compacted:
    """What compaction did to a table: small files before, and files that were written anew."""

    table: str
    small: int
    replaced: int


def compact(warehouse: Warehouse, min_files: int, *, dry_run: bool = False) -> list[Compacted]:
    """Join the small files of every table; those with fewer than `min_files` in a partition are left alone.

    Raises:
        StaleError: other writers replaced the files again and again; what was joined stays joined.
    """
    done = []
    for name in TABLES:
        folder = warehouse.folder(name)
        delta = folder.load()
        if delta is None:
            continue
        small = {value: count for value, count in folder.small_files(delta).items() if count >= min_files}
        replaced = 0 if dry_run else sum(_compact(warehouse, name, value) for value in small)
        if small:
            done.append(Compacted(name, sum(small.values()), replaced))
    return done


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(StaleError),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_random_exponential(multiplier=1, max=30),
    reraise=True,
)
def _compact(warehouse: Warehouse, table: str, partition: str | None) -> int:
    """One partition, from its newest version; after a lost race again with what is left."""
    folder = warehouse.folder(table)
    return folder.compact(folder.load_or_create(), partition)


@dataclass(frozen=True)
class Vacuumed:
    """What vacuum removed, or would: numbers of snapshots that can no longer be read, files by table, plans."""

    retired: tuple[int, ...]
    kept: tuple[int, ...]
    files: dict[str, int]
    plans: tuple[str, ...]


def vacuum(warehouse: Warehouse, keep_days: int, pins: Collection[int], *, dry_run: bool = False) -> Vacuumed:
    """Remove snapshots, files and plans that are older than `keep_days` and that nothing needs.

    Snapshots of the last days, the latest one and `pins` stay, and with them every file of the versions they name, and
    all files that were part of a table within the last days. A snapshot that goes is first retired; its files stay
    `READER_GRACE` longer, so that it takes two calls. Killed anywhere, a second call does what is left.

    Args:
        warehouse: where.
        keep_days: of snapshots, files and plans; at least as long as any task may run.
        pins: numbers of further snapshots that something needs (index versions, published copies).
        dry_run: say what would go.
    """
    now = datetime.now(UTC)
    oldest = now - timedelta(days=keep_days)
    found = [warehouse.snapshots.load(number) for number in warehouse.snapshots.numbers()]
    stay = {s.number for s in found if s.taken_at >= oldest} | set(pins) | {s.number for s in found[-1:]}
    going = [snapshot for snapshot in found if snapshot.number not in stay]
    readable = [snapshot for snapshot in found if snapshot.number in stay]
    for snapshot in going if not dry_run else ():
        warehouse.snapshots.retire(snapshot.number)
    read = [s for s, since in warehouse.snapshots.retired() if since > now - READER_GRACE or s.number in pins]
    removed = _remove_files(warehouse, keep_days * 24, [*readable, *going, *read], dry_run=dry_run)
    for snapshot, _ in warehouse.snapshots.retired() if not dry_run else ():
        if snapshot.number not in {s.number for s in (*going, *read)}:
            warehouse.snapshots.forget(snapshot.number)
    plans = _old_plans(warehouse.store, oldest)
    for key in sorted((key for keys in plans.values() for key in keys), reverse=True) if not dry_run else ():
        warehouse.store.delete(key)
    return Vacuumed(
        retired=tuple(snapshot.number for snapshot in going),
        kept=tuple(snapshot.number for snapshot in readable),
        files=removed,
        plans=tuple(sorted(plans)),
    )


def _remove_files(warehouse: Warehouse, hours: int, needed: list[Snapshot], *, dry_run: bool) -> dict[str, int]:
    """Files removed (or to be removed) by table, where there are any."""
    removed = {}
    for name in TABLES:
        folder = warehouse.folder(name)
        delta = folder.load()
        if delta is None:
            continue
        versions = [version for s in needed if (version := s.versions.get(name)) is not None]
        doomed = set(folder.vacuum(delta, hours, versions, dry_run=True))
        root = f"tables/{name}/"
        there = sum(info.key.removeprefix(root) in doomed for info in warehouse.store.list(root)) if doomed else 0
        if there and not dry_run:
            folder.vacuum(delta, hours, versions, dry_run=False)
        if there:
            removed[name] = there
    return removed


def _old_plans(store: ObjectStore, oldest: datetime) -> dict[str, list[str]]:
    """Keys of plans that were made before `oldest`, by plan."""
    old: dict[str, list[str]] = defaultdict(list)
    for found in store.list(PLANS):
        if found.modified < oldest:
            old[found.key.split("/")[1]].append(found.key)
    return dict(old)
