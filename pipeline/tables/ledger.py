"""The ledger's compare-and-swap: a photo version is enriched once a release, whoever commits at the same time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from pipeline.errors import InputError, StaleError
from pipeline.settings import SqlSettings
from pipeline.tables.database import open_database
from pipeline.tables.delta import DeltaFolder, sql_text
from pipeline.tables.faults import translated
from pipeline.tables.sources import source


class OverlapError(StaleError):
    """Some photos of a batch were committed by another batch meanwhile. `keys`: their image keys, in order."""

    def __init__(self, keys: tuple[str, ...], batch_id: str) -> None:
        shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
        super().__init__(f"batch {batch_id}: {len(keys)} of its photos are in another batch already: {shown}")
        self.keys = keys


def check_once(rows: pa.Table, release_id: str) -> None:
    """Raise `InputError` unless the rows are of `release_id` and each image key is there once."""
    keys = rows.column("image_key")
    counts = pc.value_counts(keys)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise InputError(f"table images, column image_key: {twice[0]['values']} is there twice in one batch")
    others = rows.column("release_id").filter(pc.not_equal(rows.column("release_id"), release_id))
    if len(others):
        raise InputError(f"table images, column release_id: holds {others[0]} in a batch of release {release_id}")


def commit_once(folder: DeltaFolder, batch_id: str, release_id: str, rows: pa.Table, sql: SqlSettings) -> int:
    """Try once to make `rows` the ledger's rows of the batch; returns the table's version.

    The check for overlaps reads version v, and the commit succeeds only as version v + 1. A commit that landed in
    between, which the check could not see, makes it fail; the caller then tries again from a newer v. So no two
    batches pass the check side by side, on a local disk (the log entry is created exclusively) and on S3 (it is put
    with If-None-Match).

    Raises:
        OverlapError: photos of `rows` are in the ledger under another batch.
        StaleError: the ledger changed meanwhile; nothing was committed.
    """
    delta = folder.load_or_create()
    keys = overlapping(folder, delta, batch_id, release_id, rows, sql)
    if keys:
        raise OverlapError(tuple(keys), batch_id)
    return folder.put_batch(delta, batch_id, rows, rebase=False)


def overlapping(
    folder: DeltaFolder, delta: DeltaTable, batch_id: str, release_id: str, rows: pa.Table, sql: SqlSettings
) -> list[str]:
    """The image keys of `rows` that `delta` holds with the same etag and release under another batch, in order.

    A batch is a range of sorted keys, so the files' smallest and largest keys rule out nearly all of them: in a
    backfill a commit reads no other file, and over all batches of a run each file is read about once.
    """
    if not rows.num_rows:
        return []
    span = pc.min_max(rows.column("image_key")).as_py()
    pruning = (
        f"release_id = {sql_text(release_id)} "
        f"AND image_key >= {sql_text(span['min'])} AND image_key <= {sql_text(span['max'])}"
    )
    if not folder.files(delta, pruning):
        return []  # the usual case, without a database
    with translated(folder.table.name, folder.uri), open_database(sql) as con:
        con.register("mine", rows.select(["image_key", "etag"]))
        found = con.execute(
            f"SELECT DISTINCT image_key FROM {source(con, folder, delta, pruning)} AS theirs "
            f"SEMI JOIN mine USING (image_key, etag) WHERE batch_id <> ? AND {pruning} ORDER BY image_key",
            [batch_id],
        )
        return [row[0] for row in found.fetchall()]
