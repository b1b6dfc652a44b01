"""SQL over the tables: a DuckDB connection with every table and view, pinned to one state of the warehouse."""

from __future__ import annotations

import duckdb

from pipeline.tables.database import open_database
from pipeline.tables.delta import DeltaFolder
from pipeline.tables.faults import asked
from pipeline.tables.schema import TABLES
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.sources import source, sql_type
from pipeline.tables.sql_files import in_order, read_sql
from pipeline.tables.warehouse import Warehouse


def connect(
    warehouse: Warehouse, snapshot: Snapshot | None = None, *, release_id: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB whose tables are the warehouse's, at the snapshot's versions or the newest ones.

    Every declared table is there under its name, empty where it was never written, with the declared columns. Of
    tables with `ledgered` rows only rows of committed batches show; all rows are in schema `stored`. `this_snapshot`
    has one row: number (null without a snapshot), release_id, run_id, taken_at. The views of sql/views are on top.
    Timestamps are UTC. Close the connection, or use it as a context manager.

    Args:
        warehouse: where the tables are.
        snapshot: the state to read; None: the newest version of each table as it is now.
        release_id: whose rows are the current ones, without a snapshot; None: the release enriched with last.

    Raises:
        SettingError: `sql.spill` can't be used.
        InputError: a version that the snapshot names is gone, or a view can't be made.
    """
    con = open_database(warehouse.settings.sql)
    try:
        con.execute("CREATE SCHEMA stored")
        for name in ("images", *(name for name in TABLES if name != "images")):  # the ledger first: see versions()
            _add_table(con, warehouse.folder(name), snapshot)
        _add_this_snapshot(con, snapshot, release_id)
        for view in in_order(read_sql("views")):
            with asked(f"sql/views/{view.path.name}"):
                con.execute(f'CREATE VIEW "{view.name}" AS {view.statement}')
    except BaseException:
        con.close()
        raise
    return con


def _add_table(con: duckdb.DuckDBPyConnection, folder: DeltaFolder, snapshot: Snapshot | None) -> None:
    table = folder.table
    pinned = snapshot.versions.get(table.name) if snapshot else None
    absent = snapshot is not None and pinned is None
    delta = None if absent else folder.load(pinned)
    files = "" if delta is None else source(con, folder, delta)
    present = set() if delta is None else {field.name for field in delta.schema().fields}
    columns = ", ".join(
        f'"{c.name}"' if files and c.name in present else f'NULL::{sql_type(c.type)} AS "{c.name}"'
        for c in table.columns
    )
    con.execute(f'CREATE VIEW stored."{table.name}" AS SELECT {columns} {f"FROM {files}" if files else "WHERE false"}')
    counted = " SEMI JOIN (SELECT DISTINCT batch_id FROM stored.images) USING (batch_id)" if table.ledgered else ""
    con.execute(f'CREATE VIEW "{table.name}" AS SELECT * FROM stored."{table.name}"{counted}')


def _add_this_snapshot(con: duckdb.DuckDBPyConnection, snapshot: Snapshot | None, release_id: str | None) -> None:
    if snapshot is None and release_id is None:
        newest = con.execute("SELECT arg_max(release_id, enriched_at) FROM stored.images").fetchone()
        release_id = newest[0] if newest else None
    row = (snapshot.number, snapshot.release_id, snapshot.run_id) if snapshot else (None, release_id, None)
    con.execute("CREATE TABLE this_snapshot (number BIGINT, release_id VARCHAR, run_id VARCHAR, taken_at TIMESTAMPTZ)")
    con.execute("INSERT INTO this_snapshot VALUES (?, ?, ?, ?)", [*row, snapshot.taken_at if snapshot else None])
