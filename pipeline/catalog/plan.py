"""The plan: what the catalog holds, minus what the ledger has for this release, minus the quarantine.

There is no cursor and no date in it; a range of dates, like a limit, only says what comes first. The nightly run, the
one after a crash, a new release and a backfill of years are the same question, and asking it twice gives the same
answer.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.catalog.batches import Batch
from pipeline.catalog.decide import Among, decide
from pipeline.catalog.owner import check_owner, claim
from pipeline.catalog.plan_file import read_plan_file, write_plan_file
from pipeline.catalog.publish import publish_catalog, publish_feed
from pipeline.catalog.workspace import workspace
from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, open_store
from pipeline.tables import Warehouse, runs


@dataclass(frozen=True)
class Plan:
    """What a run has to do. Every listed photo is counted once: listed = pending + the sum of left_out.

    Args:
        plan_id: names the plan in the warehouse; the same as run_id. None after a dry run, which stores nothing.
        run_id: the run it was made for, UTC time and a random part.
        release_id: release that is to read the photos.
        prefix: only keys that begin with it were listed.
        listed: photos in the catalog (under prefix).
        pending: photos that the plan holds.
        by_reason: pending photos by why they are: new, changed, new_release, retry, readmitted.
        left_out: photos that it does not hold: done, quarantined (until replaced or re-admitted), waiting (for their
            next try), other_dates, over_limit.
        batches: units of work.
        parts: tasks it may be worked off in at once; 0 where nothing is pending.
        made_at: when, UTC.
    """

    plan_id: str | None
    run_id: str
    release_id: str
    prefix: str
    listed: int
    pending: int
    by_reason: dict[str, int]
    left_out: dict[str, int]
    batches: int
    parts: int
    made_at: str


def make_plan(
    settings: Settings,
    warehouse: Warehouse,
    release_id: str,
    *,
    prefix: str = "",
    limit: int | None = None,
    among: Among | None = None,
    dry_run: bool = False,
    on_listed: Callable[[int], object] = lambda count: None,
) -> Plan:
    """List the catalog, compare it with the ledger, and store what is pending in batches.

    Also replaces the tables `catalog` (the rows under `prefix`) and `feed`, where they have changed.

    Args:
        settings: where catalog and feed are, how large a batch is.
        warehouse: tables to compare with.
        release_id: release that is to read the photos.
        prefix: only photos whose key begins with it.
        limit: at most so many photos, the first by key.
        among: which of the pending photos; None: all.
        dry_run: count, and change nothing anywhere.
        on_listed: told how many more photos have been listed.

    Raises:
        SettingError: the catalog does not exist or can't be read, or the warehouse belongs to another one.
        InputError: the feed does not fit.
        TransientError: a store did not answer, or a disk is full.
    """
    started_at, started = datetime.now(UTC), time.monotonic()
    catalog_uri = open_store(settings.catalog.uri, settings).uri
    check_owner(warehouse.store, catalog_uri)
    run_id = f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    with workspace(settings.sql) as con:
        decision = decide(
            con,
            settings,
            warehouse,
            release_id,
            prefix=prefix,
            limit=limit,
            among=among or Among(),
            on_listed=on_listed,
        )
        batches = -(-decision.pending // settings.enrich.batch_images)
        plan = Plan(
            plan_id=None if dry_run else run_id,
            run_id=run_id,
            release_id=release_id,
            prefix=prefix,
            **asdict(decision),
            batches=batches,
            parts=min(settings.enrich.parts, batches),
            made_at=started_at.isoformat(timespec="seconds"),
        )
        if dry_run:
            return plan
        claim(warehouse.store, catalog_uri)
        publish_feed(con, warehouse)
        publish_catalog(con, warehouse, prefix)
        write_plan_file(con, warehouse.store, _file(run_id), release_id, settings)
    stored = asdict(plan)
    warehouse.store.put(f"plans/{run_id}/plan.json", json.dumps(stored, indent=1).encode())
    runs.record(warehouse, "plan", run_id, stored, release_id=release_id, seconds=time.monotonic() - started)
    return plan


def load_plan(settings: Settings, plan_id: str) -> Plan:
    """Read a stored plan.

    Raises:
        InputError: there is none of that name.
    """
    store = open_store(settings.warehouse.uri, settings)
    try:
        return Plan(**json.loads(store.get(f"plans/{plan_id}/plan.json").data))
    except ObjectMissing:
        raise InputError(f"there is no plan {plan_id!r} in {store.uri}/plans (warehouse.uri)") from None


def read_batches(settings: Settings, plan_id: str, part: int, parts: int) -> Iterator[Batch]:
    """Yield the batches of one part of a plan, one at a time; other parts' batches are not read.

    The batches are shared out in runs that follow each other: part p of n has those from p*batches//n to
    (p+1)*batches//n. All parts together have every batch once, whatever `parts` is.

    Args:
        settings: where the warehouse is.
        plan_id: as `make_plan` returned it.
        part: from 0.
        parts: how many there are.

    Raises:
        InputError: no such plan, or no such part.
    """
    plan = load_plan(settings, plan_id)
    if not 0 <= part < max(parts, 1):
        raise InputError(f"there is no part {part} of {parts}; parts count from 0")
    begin, end = part * plan.batches // max(parts, 1), (part + 1) * plan.batches // max(parts, 1)
    return read_plan_file(open_store(settings.warehouse.uri, settings), _file(plan_id), begin, end)


def _file(plan_id: str) -> str:
    return f"plans/{plan_id}/plan.parquet"
