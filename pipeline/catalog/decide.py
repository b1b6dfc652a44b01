"""Which photos are pending, and why: joins of listing, ledger and quarantine in a workspace on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow.compute as pc

from pipeline.catalog.feed import load_feed
from pipeline.catalog.listing import photo_batches
from pipeline.catalog.quarantine import READMITTED, newest_sql
from pipeline.catalog.workspace import insert, streamed
from pipeline.settings import Settings
from pipeline.tables import Warehouse

PENDING = ("new", "changed", "new_release", "retry", "readmitted")
"""Why a photo is pending: its key is not known; known with other bytes; these bytes are known to another release; a
failed fetch is due again; it was let out of quarantine."""

DONE, QUARANTINED, WAITING = "done", "quarantined", "waiting"
OTHER_DATES, OVER_LIMIT = "other_dates", "over_limit"

_EVENT_COLUMNS = ("image_key", "etag", "release_id", "reason", "permanent", "next_retry_at", "happened_at", "batch_id")

_DECIDE = f"""
CREATE TABLE decided AS
SELECT todo.*, CASE
    WHEN state.reason <> '{READMITTED}' AND (state.permanent OR state.next_retry_at IS NULL) THEN '{QUARANTINED}'
    WHEN state.reason <> '{READMITTED}' AND state.next_retry_at > $now THEN '{WAITING}'
    WHEN state.release_id = $release_id OR (state.reason IS NOT NULL AND NOT coalesce(known.same_etag, false))
        THEN if(state.reason = '{READMITTED}', 'readmitted', 'retry')
    WHEN known.same_etag THEN 'new_release'
    WHEN known.image_key IS NOT NULL OR todo.image_key IN (SELECT image_key FROM state) THEN 'changed'
    ELSE 'new'
END AS reason
FROM todo LEFT JOIN state USING (image_key, etag) LEFT JOIN known USING (image_key)
"""


@dataclass(frozen=True)
class Among:
    """Which of the pending photos a plan takes: a choice of what comes first, never of what there is to do.

    Args:
        since: only photos modified then or later, UTC; None: no bound. One without a date is in no range.
        until: only photos modified before then, UTC.
        newest: a limit takes the last modified first, not the first by key.
    """

    since: datetime | None = None
    until: datetime | None = None
    newest: bool = False

    @property
    def condition(self) -> str:
        """SQL with the parameters $since and $until that holds for the photos in range."""
        low = "true" if self.since is None else "coalesce(modified_at >= $since, false)"
        return low + ("" if self.until is None else " AND coalesce(modified_at < $until, false)")

    @property
    def parameters(self) -> dict[str, datetime]:
        """Of `condition`."""
        return {name: value for name, value in (("since", self.since), ("until", self.until)) if value is not None}


@dataclass(frozen=True)
class Decision:
    """Counts of photos; see `Plan`. The photos themselves are in the tables `photos` and `pending` of the workspace."""

    listed: int
    pending: int
    by_reason: dict[str, int]
    left_out: dict[str, int]


def decide(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    warehouse: Warehouse,
    release_id: str,
    *,
    prefix: str,
    limit: int | None,
    among: Among,
    on_listed: Callable[[int], object],
) -> Decision:
    """Fill the tables `photos` (all that are listed, as the table `catalog` has them), `feed` and `pending`.

    For its arguments and errors see `make_plan`.
    """
    load_feed(settings, con)
    _load_photos(con, settings, prefix, on_listed)
    _load_todo(con, warehouse, release_id, prefix)
    con.execute(_DECIDE, {"now": datetime.now(UTC), "release_id": release_id})
    pending = f"SELECT * FROM decided WHERE reason IN {PENDING} AND {among.condition}"
    first = "modified_at DESC NULLS LAST, image_key" if among.newest else "image_key"
    limited = "" if limit is None else f"ORDER BY {first} LIMIT {limit:d}"
    con.execute(f"CREATE TABLE pending AS {pending} {limited}", among.parameters)
    return _count(con, among)


def under(prefix: str) -> pc.Expression | None:
    """A filter for scans: keys that begin with `prefix`; the comparison lets files be skipped."""
    if not prefix:
        return None
    return (pc.field("image_key") >= prefix) & pc.starts_with(pc.field("image_key"), prefix)


def _load_photos(
    con: duckdb.DuckDBPyConnection, settings: Settings, prefix: str, on_listed: Callable[[int], object]
) -> None:
    """List into `photos`; a product that the feed names for a photo goes before the one its key names."""
    con.execute(
        "CREATE TABLE photos (image_key VARCHAR, etag VARCHAR, bytes BIGINT, modified_at TIMESTAMPTZ,"
        " product_id VARCHAR)"
    )
    insert(con, "photos", photo_batches(settings, prefix, on_listed))
    con.execute(
        "UPDATE photos SET product_id = feed_images.product_id FROM feed_images"
        " WHERE feed_images.image_key = photos.image_key"
    )


def _load_todo(con: duckdb.DuckDBPyConnection, warehouse: Warehouse, release_id: str, prefix: str) -> None:
    """Fill `todo` (photos not in the ledger), `state` (their quarantine) and `known` (what other rows have of them)."""
    ours, keys = pc.field("release_id") == release_id, under(prefix)
    done = warehouse.scan("images", columns=["image_key", "etag"], filter=ours if keys is None else ours & keys)
    with streamed(con, done=done):
        con.execute("CREATE TABLE todo AS SELECT * FROM photos ANTI JOIN done USING (image_key, etag)")
    with streamed(con, events=warehouse.scan("quarantine", columns=_EVENT_COLUMNS, filter=keys)):
        con.execute("CREATE TABLE events_todo AS SELECT events.* FROM events SEMI JOIN todo USING (image_key)")
    con.execute(f"CREATE TABLE state AS {newest_sql('events_todo')}")
    with streamed(con, ledger=warehouse.scan("images", columns=["image_key", "etag"], filter=keys)):
        con.execute(
            "CREATE TABLE known AS SELECT image_key, bool_or(ledger.etag = todo.etag) AS same_etag"
            " FROM todo JOIN ledger USING (image_key) GROUP BY image_key"
        )


def _count(con: duckdb.DuckDBPyConnection, among: Among) -> Decision:
    counted = dict(con.execute("SELECT reason, count(*) FROM decided GROUP BY reason").fetchall())
    by_reason = dict(con.execute("SELECT reason, count(*) FROM pending GROUP BY reason").fetchall())
    listed, todo = (con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in ("photos", "todo"))
    pending = sum(by_reason.values())
    out_of_range = f"SELECT count(*) FROM decided WHERE reason IN {PENDING} AND NOT ({among.condition})"
    other_dates = con.execute(out_of_range, among.parameters).fetchall()[0][0]
    left_out = {
        DONE: listed - todo,
        QUARANTINED: counted.get(QUARANTINED, 0),
        WAITING: counted.get(WAITING, 0),
        OTHER_DATES: other_dates,
        OVER_LIMIT: sum(counted.get(reason, 0) for reason in PENDING) - other_dates - pending,
    }
    return Decision(listed, pending, {reason: by_reason.get(reason, 0) for reason in PENDING}, left_out)
