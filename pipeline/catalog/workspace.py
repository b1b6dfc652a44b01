"""A private DuckDB database on disk, for joins over more rows than memory holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from pipeline.settings import SqlSettings
from pipeline.tables.database import open_database, scratch
from pipeline.tables.faults import out_of_reach


@contextmanager
def workspace(sql: SqlSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in a folder of its own below `sql.spill`, within `sql`'s limits; both are gone at the end.

    Raises:
        SettingError: `sql.spill` can't be used.
        TransientError: memory or disk is full.
    """
    try:
        with scratch(sql) as folder, open_database(sql, folder / "work.duckdb") as con:
            con.execute("SET preserve_insertion_order = false")
            yield con
    except duckdb.Error as error:
        unmet = out_of_reach("planning", error)
        if unmet is None:
            raise
        raise unmet from error


def insert(con: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch | pa.Table]) -> None:
    """Append record batches to `table` by column name, in one transaction."""
    con.begin()
    for batch in batches:
        con.register("incoming", batch)
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        con.unregister("incoming")
    con.commit()


@contextmanager
def streamed(con: duckdb.DuckDBPyConnection, **streams: pa.RecordBatchReader) -> Iterator[None]:
    """Make each stream readable once as a relation of its name; an error raised by a stream comes out as itself.

    DuckDB would make text of it, and with that of who has to act.
    """
    failed: list[Exception] = []

    def guarded(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from stream
        except Exception as error:
            failed.append(error)
            raise

    for name, stream in streams.items():
        con.register(name, pa.RecordBatchReader.from_batches(stream.schema, guarded(stream)))
    try:
        yield
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    finally:
        for name in streams:
            con.unregister(name)
