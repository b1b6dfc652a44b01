"""SQL over the tables: a DuckDB connection with every table and view, pinned to one state of the warehouse."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import duckdb
from deltalake import DeltaTable

from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.tables.database import open_database
from pipeline.tables.delta import DeltaFolder
from pipeline.tables.faults import asked
from pipeline.tables.schema import TABLES
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.sources import source, sql_type
from pipeline.tables.sql_files import in_order, read_sql
from pipeline.tables.warehouse import Warehouse

_WORD = re.compile(r"\w+")


def connect(
    warehouse: Warehouse, snapshot: Snapshot | None = None, *, run: str | None = None, release_id: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB whose tables are the warehouse's, at the snapshot's versions or the newest ones.

    with connect(warehouse, run="20261123T020000Z-1f3a9c") as con:  # everything as it was when that run ended
        products = con.sql("FROM products").df()

    Every declared table is there under its name, empty where it was never written, with the declared columns. Of
    tables with `ledgered` rows only rows of committed batches show; all rows are in schema `stored`. `this_snapshot`
    has one row: number (null without a snapshot), release_id, run_id, taken_at. The views of sql/views are on top.
    Besides: `table_notes` names tables that do not exist in this state, and columns that were added since; `limits` has
    one row, the settings of the data checks and asked_at, the present time; `accepted_labels` (head, label) is filled
    by the checks. Timestamps are UTC. Close the connection, or use it as a context manager.

    Args:
        warehouse: where the tables are.
        snapshot: the state to read; None: the newest version of each table as it is now.
        run: read the newest snapshot that this run took, in place of naming one.
        release_id: whose rows are the current ones, without a snapshot; None: the release enriched with last.

    Raises:
        SettingError: `sql.spill` can't be used.
        InputError: that run took no snapshot, a version that the snapshot names is gone, or a view can't be made.
    """
    if run is not None:
        if snapshot is not None:
            raise InputError("connect takes a snapshot or a run, not both")
        snapshot = warehouse.snapshots.of_run(run)
    con = open_database(warehouse.settings.sql)
    try:
        con.execute("CREATE SCHEMA stored")
        con.execute("CREATE TABLE table_notes (table_name VARCHAR, note VARCHAR)")
        for name in ("images", *(name for name in TABLES if name != "images")):  # the ledger first: see versions()
            _add_table(con, warehouse.folder(name), snapshot)
        _add_this_snapshot(con, snapshot, release_id)
        _add_limits(con, warehouse.settings)
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
    _add_notes(con, folder, delta, present, snapshot)
    columns = ", ".join(
        f'"{c.name}"' if files and c.name in present else f'NULL::{sql_type(c.type)} AS "{c.name}"'
        for c in table.columns
    )
    con.execute(f'CREATE VIEW stored."{table.name}" AS SELECT {columns} {f"FROM {files}" if files else "WHERE false"}')
    counted = " SEMI JOIN (SELECT DISTINCT batch_id FROM stored.images) USING (batch_id)" if table.ledgered else ""
    con.execute(f'CREATE VIEW "{table.name}" AS SELECT * FROM stored."{table.name}"{counted}')


def _add_notes(
    con: duckdb.DuckDBPyConnection,
    folder: DeltaFolder,
    delta: DeltaTable | None,
    present: set[str],
    snapshot: Snapshot | None,
) -> None:
    """Enter what a reader of the table should know: that it is not there yet, or has fewer columns than declared."""
    missing = [c.name for c in folder.table.columns if c.name not in present]
    if delta is None:
        when = f"in snapshot {snapshot.number}" if snapshot else "yet"
        note = f"table {folder.table.name} does not exist {when}: it reads as empty"
    elif missing:
        note = (
            f"table {folder.table.name}, version {delta.version()}, is of an older schema: {', '.join(missing)} "
            "came later and read as null"
        )
    else:
        return
    con.execute("INSERT INTO table_notes VALUES (?, ?)", [folder.table.name, note])


def notes_on(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """What `table_notes` says of the tables that `query` names, itself or through views; see `connect`."""
    texts = {view.name: view.statement for view in read_sql("views")}
    waiting, named = [query], set[str]()
    while waiting:
        words = set(_WORD.findall(waiting.pop()))
        waiting += [texts[word] for word in words & texts.keys() - named]
        named |= words
    found = con.execute("SELECT table_name, note FROM table_notes ORDER BY table_name").fetchall()
    return [note for table, note in found if table in named]


def _add_limits(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    limits = {"asked_at": datetime.now(UTC), **settings.checks.model_dump(exclude={"block"})}
    kinds = {datetime: "TIMESTAMPTZ", int: "BIGINT", float: "DOUBLE"}
    con.execute(f"CREATE TABLE limits ({', '.join(f'{name} {kinds[type(v)]}' for name, v in limits.items())})")
    con.execute(f"INSERT INTO limits VALUES ({', '.join('?' * len(limits))})", list(limits.values()))
    con.execute("CREATE TABLE accepted_labels (head VARCHAR, label VARCHAR)")


def _add_this_snapshot(con: duckdb.DuckDBPyConnection, snapshot: Snapshot | None, release_id: str | None) -> None:
    if snapshot is None and release_id is None:
        newest = con.execute("SELECT arg_max(release_id, enriched_at) FROM stored.images").fetchone()
        release_id = newest[0] if newest else None
    row = (snapshot.number, snapshot.release_id, snapshot.run_id) if snapshot else (None, release_id, None)
    con.execute("CREATE TABLE this_snapshot (number BIGINT, release_id VARCHAR, run_id VARCHAR, taken_at TIMESTAMPTZ)")
    con.execute("INSERT INTO this_snapshot VALUES (?, ?, ?, ?)", [*row, snapshot.taken_at if snapshot else None])
