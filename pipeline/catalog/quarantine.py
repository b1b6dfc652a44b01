"""The quarantine's ledger: events are appended, the newest of a photo version says where it stands.

A photo whose bytes are bad stays out until it is replaced by other bytes or re-admitted by hand. One whose bytes
never arrived is pending again after a wait that doubles with every attempt, until it waits for a person as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.catalog.batches import PlannedImage
from pipeline.catalog.workspace import streamed, workspace
from pipeline.errors import InputError, PhotoError, Reason
from pipeline.settings import EnrichSettings
from pipeline.tables import Warehouse
from pipeline.tables.schema import QUARANTINE

READMITTED = "readmitted"
LONGEST_WAIT = timedelta(days=30)
KEYS_AT_ONCE = 2048
"""Keys a filter of one scan names."""


def newest_sql(events: str) -> str:
    """A query for the newest event of every (image_key, etag) in the relation `events`; batch_id breaks ties."""
    return (
        f"SELECT * FROM {events} QUALIFY"
        " row_number() OVER (PARTITION BY image_key, etag ORDER BY happened_at DESC, batch_id DESC) = 1"
    )


def fold(events: pa.Table) -> pa.Table:
    """The newest event of every (image_key, etag), by key: the state each photo version is in.

    Re-admitted ones are among them (their reason is `readmitted`): they are out of quarantine, their wait is over.
    """
    of, newest = ("image_key", "etag"), ("happened_at", "batch_id")
    ordered = events.sort_by([(name, "ascending") for name in of] + [(name, "descending") for name in newest])
    if not ordered.num_rows:
        return ordered
    before, here = ordered.slice(0, ordered.num_rows - 1), ordered.slice(1)
    begins = pc.or_(*(pc.not_equal(here.column(name), before.column(name)) for name in of))
    return ordered.filter(pa.chunked_array([[True], *begins.chunks], pa.bool_()))


def wait_after(attempts: int, enrich: EnrichSettings) -> timedelta | None:
    """How long a photo whose fetch failed `attempts` times waits for the next; None: for a person to re-admit it."""
    if attempts >= enrich.retry_attempts:
        return None
    doublings = min(attempts - 1, 40)  # far beyond the longest wait, and no overflow
    return min(timedelta(seconds=min(enrich.retry_after_s * 2**doublings, 1e9)), LONGEST_WAIT)


def earlier_events(warehouse: Warehouse, keys: Sequence[str]) -> pa.Table:
    """All events of the photos `keys`, of whatever version; what `rejects_table` continues."""
    found = [QUARANTINE.arrow_schema.empty_table()]
    for start in range(0, len(keys), KEYS_AT_ONCE):
        chosen = pc.field("image_key").isin(list(keys[start : start + KEYS_AT_ONCE]))
        found.append(warehouse.read("quarantine", filter=chosen))
    return pa.concat_tables(found)


def rejects_table(
    rejects: Iterable[tuple[PlannedImage, PhotoError]],
    earlier: pa.Table,
    *,
    batch_id: str,
    release_id: str,
    run_id: str,
    happened_at: datetime,
    enrich: EnrichSettings,
) -> pa.Table:
    """Rows of the table `quarantine` for the photos of a batch that could not be enriched.

    Args:
        rejects: each photo with what went wrong.
        earlier: events so far, see `earlier_events`. One of this run is not counted again: a run tries a photo once,
            however often its tasks are retried.
        batch_id: batch they are of.
        release_id: release it is read with.
        run_id: run that tries.
        happened_at: now, UTC.
        enrich: for `retry_after_s` and `retry_attempts`.
    """
    # The event of this run may stand in place of the one before, when both batches held the same: it goes on counting.
    attempts_of = {
        (row["image_key"], row["etag"]): 0
        if row["reason"] == READMITTED
        else row["attempts"] - (row["run_id"] == run_id)
        for row in fold(earlier).select(["image_key", "etag", "reason", "attempts", "run_id"]).to_pylist()
    }
    rows = []
    for image, error in rejects:
        attempts = attempts_of.get((image.image_key, image.etag), 0) + 1
        wait = None if error.reason.permanent else wait_after(attempts, enrich)
        rows.append(
            {
                "image_key": image.image_key,
                "etag": image.etag,
                "release_id": release_id,
                "batch_id": batch_id,
                "run_id": run_id,
                "reason": str(error.reason),
                "message": error.message,
                "permanent": wait is None,
                "attempts": attempts,
                "next_retry_at": None if wait is None else happened_at + wait,
                "happened_at": happened_at,
            }
        )
    return pa.Table.from_pylist(rows, QUARANTINE.arrow_schema)


def check_reason(reason: str) -> str:
    """Return `reason` if it is a code of `Reason`.

    Raises:
        InputError: it is not; the message lists them.
    """
    if reason not in set(Reason):
        raise InputError(f"there is no reason {reason!r}; there are {', '.join(Reason)}")
    return reason


def standing(warehouse: Warehouse, *, reason: str | None = None, key: str | None = None) -> pa.Table:
    """Photos in quarantine now, as their newest events, by key: only versions that are in the catalog as last listed
    and that were not enriched since.

    Args:
        warehouse: where the tables are.
        reason: only those with this code.
        key: only this photo.
    """
    events = warehouse.read("quarantine", filter=None if key is None else pc.field("image_key") == key)
    newest = fold(events)
    newest = newest.filter(pc.not_equal(newest.column("reason"), READMITTED))
    if reason is not None:
        newest = newest.filter(pc.equal(newest.column("reason"), check_reason(reason)))
    if not newest.num_rows:
        return newest
    between = _between(newest.column("image_key"))
    listed = warehouse.scan("catalog", columns=["image_key", "etag"], filter=between)
    done = warehouse.scan("images", columns=["image_key", "etag", "release_id", "enriched_at"], filter=between)
    with workspace(warehouse.settings.sql) as con, streamed(con, listed=listed, done=done):
        con.register("newest", newest)
        query = """
            SELECT * FROM (SELECT * FROM newest SEMI JOIN listed USING (image_key, etag)) here
            ANTI JOIN done ON done.image_key = here.image_key AND done.etag = here.etag
                AND (done.release_id = here.release_id OR done.enriched_at > here.happened_at)
            ORDER BY image_key, etag
        """
        return con.sql(query).to_arrow_table().cast(QUARANTINE.arrow_schema)


def given_up(photos: pa.Table) -> pa.Table:
    """Those of `standing` whose bytes are not known to be bad: they could not be fetched, and were tried enough."""
    passing = [str(reason) for reason in Reason if not reason.permanent]
    return photos.filter(pc.field("permanent") & pc.field("reason").isin(passing))


def _between(keys: pa.ChunkedArray) -> pc.Expression:
    """A filter that lets a scan skip the files that can't hold any of `keys`."""
    span = pc.min_max(keys).as_py()
    return (pc.field("image_key") >= span["min"]) & (pc.field("image_key") <= span["max"])


def readmit(warehouse: Warehouse, photos: pa.Table, now: datetime) -> int:
    """End the quarantine of `photos` (rows of `standing`): the next plan takes them up; returns how many.

    Args:
        warehouse: where the event is written.
        photos: whom it concerns.
        now: UTC. The event is dated behind the one it ends, even if the clock of the worker that wrote that was fast.
    """
    if not photos.num_rows:
        return 0
    batch_id = f"readmit-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    rows: list[dict[str, Any]] = [
        row
        | {
            "batch_id": batch_id,
            "run_id": batch_id,
            "reason": READMITTED,
            "message": f"re-admitted by hand; was {row['reason']}: {row['message']}",
            "permanent": False,
            "attempts": 0,
            "next_retry_at": now,
            "happened_at": max(now, row["happened_at"] + timedelta(microseconds=1)),
        }
        for row in photos.to_pylist()
    ]
    warehouse.replace_batch("quarantine", batch_id, pa.Table.from_pylist(rows, QUARANTINE.arrow_schema))
    return photos.num_rows
