"""What planning writes besides the plan: the tables `catalog` and `feed`, where they have changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import tenacity

from pipeline.catalog.decide import under
from pipeline.catalog.workspace import streamed
from pipeline.errors import StaleError
from pipeline.tables import Warehouse
from pipeline.tables.schema import CATALOG, FEED, Table

log = logging.getLogger("atelier")

ATTEMPTS = 5
"""Tries to replace the catalog table while others write to it."""


def publish_catalog(con: duckdb.DuckDBPyConnection, warehouse: Warehouse, prefix: str) -> bool:
    """Make the rows of the table `catalog` under `prefix` those of `photos`; returns whether anything was written.

    A whole catalog that lists no photo although there were some before is more likely a disk that is not mounted or a
    setting gone wrong than a shop that closed: the table stays as it was, and a warning says so.
    """
    before = _fingerprint(con, CATALOG, warehouse, under(prefix))
    now = _fingerprint_of(con, CATALOG, "photos")
    if before == now:
        return False
    if now[0] == 0 and not prefix:
        log.warning(
            "no photo is listed any more, where there were %d: the table `catalog` is left as it was. "
            "Is catalog.uri right, and its disk mounted? If the catalog is meant to be empty, start a new warehouse.",
            before[0],
        )
        return False

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(StaleError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    def replace() -> None:
        warehouse.replace_keys("catalog", prefix, _ordered(con, CATALOG, "photos", "image_key"))

    replace()
    return True


def publish_feed(con: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> bool:
    """Make the table `feed` what `feed` of the workspace holds; returns whether anything was written.

    A feed that is suddenly gone or empty is not believed, for the same reasons as an empty catalog.
    """
    before, now = _fingerprint(con, FEED, warehouse, None), _fingerprint_of(con, FEED, "feed")
    if before == now:
        return False
    if now[0] == 0:
        log.warning(
            "there is no feed any more, or no row in it, where there were %d products: the table `feed` is left as it "
            "was. Are catalog.feed and catalog.uri right? If there is meant to be no feed, start a new warehouse.",
            before[0],
        )
        return False
    rows = pa.Table.from_batches(_ordered(con, FEED, "feed", "product_id"), FEED.arrow_schema)
    warehouse.overwrite("feed", rows)
    return True


def _ordered(con: duckdb.DuckDBPyConnection, table: Table, name: str, key: str) -> Iterable[pa.RecordBatch]:
    """Stream a table of the workspace as rows of the declared one, in order of its key."""
    columns = ", ".join(column.name for column in table.columns)
    for batch in con.cursor().sql(f"SELECT {columns} FROM {name} ORDER BY {key}").to_arrow_reader(50_000):
        yield batch.cast(table.arrow_schema)


def _fingerprint(
    con: duckdb.DuckDBPyConnection, table: Table, warehouse: Warehouse, rows: pc.Expression | None
) -> tuple[int, ...]:
    """The fingerprint of what is stored."""
    with streamed(con, stored=warehouse.scan(table.name, filter=rows)):
        return _fingerprint_of(con, table, "stored")


def _fingerprint_of(con: duckdb.DuckDBPyConnection, table: Table, name: str) -> tuple[int, ...]:
    """Count and two sums of row hashes: the same for the same rows in any order."""
    row = f"hash({', '.join(column.name for column in table.columns)})"
    query = f"SELECT count(*), coalesce(bit_xor({row}), 0), coalesce(sum({row}::HUGEINT), 0) FROM {name}"
    return con.execute(query).fetchall()[0]
