"""`atelier tables`, `snapshot`, `check` and `sql`: the warehouse's tables, pinned, judged and asked."""

from __future__ import annotations

import inspect
import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli import publish_commands, upkeep_commands
from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    import duckdb

    from pipeline.tables import CheckResult, Snapshot, Warehouse

SnapshotOption = Annotated[
    int | None, typer.Option(min=1, help="the state of the tables to read; default: the latest snapshot")
]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN_ID", help="the state of the tables when that run ended")
]


class Format(StrEnum):
    """How `atelier sql` writes an answer."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(invoke_without_command=True, help=inspect.getdoc(tables))
    group.callback()(tables)
    publish_commands.attach(group)
    upkeep_commands.attach(group)
    app.add_typer(group, name="tables")
    app.command("snapshot")(snapshot)
    app.command("check")(check)
    app.command("sql")(sql)


def tables(context: typer.Context) -> None:
    """List the tables of the warehouse: version, rows, files, size; and the snapshots. Subcommands: their copies.

    Example: `atelier tables`
    """
    if context.invoked_subcommand:
        return
    from pipeline.tables import open_warehouse

    warehouse = open_warehouse(settings())
    facts = warehouse.facts()
    numbers = list(warehouse.snapshots.numbers())
    shown = Table("table", "version", "rows", "files", "MB", title=f"Tables under {warehouse.store.uri}")
    for name, fact in facts.items():
        if fact is None:
            shown.add_row(name, "-", "-", "-", "-")
        else:
            shown.add_row(name, *(f"{n:,}" for n in (fact.version, fact.rows, fact.files)), f"{fact.bytes / 1e6:,.1f}")
    console.print(shown)
    console.print(f"snapshots: {numbers[0]} to {numbers[-1]}" if numbers else "no snapshot yet")
    emit(
        {
            "warehouse": warehouse.store.uri,
            "tables": {name: fact and fact.__dict__ for name, fact in facts.items()},
            "snapshots": len(numbers),
            "latest_snapshot": numbers[-1] if numbers else None,
        }
    )


def snapshot(
    run_id: Annotated[str | None, typer.Option(help="run that ends with it; default: the latest")] = None,
    release_id: Annotated[
        str | None, typer.Option(help="release whose rows are the current ones; default: the one the run recorded")
    ] = None,
) -> None:
    """Name the present version of every table, so that checks, index builds and reports read one state.

    Example: `atelier snapshot --run-id 20261123T020000Z-1f3a9c`
    """
    from pipeline.tables import open_warehouse, runs

    warehouse = open_warehouse(settings())
    run_id = run_id or runs.latest_run(warehouse)
    if run_id is None:
        raise InputError(f"no run is recorded in {warehouse.store.uri} yet: start with `atelier plan`")
    release_id = release_id or runs.release_of(warehouse, run_id)
    if release_id is None:
        raise InputError(f"there is no run {run_id} with a release in {warehouse.store.uri}: name --release-id")
    taken = warehouse.snapshot(release_id, run_id)
    log.info("snapshot %d of run %s, release %s", taken.number, taken.run_id, taken.release_id)
    emit(
        {"snapshot": taken.number, "run_id": run_id, "release_id": release_id}
        | {"taken_at": taken.taken_at, "versions": taken.versions}
    )


def check(snapshot: SnapshotOption = None, run: RunOption = None) -> None:
    """Run the data checks of sql/checks; exit code 4 where a blocking one finds rows, so that nothing is published.

    Each check is one SELECT of offending rows; none means that it passes. To add one, add a file. Limits are the
    settings `checks.*`. Results go to the table `check_results`.

    Example: `atelier check --snapshot 12`
    """
    from pipeline.tables import open_warehouse
    from pipeline.tables.judging import judge, refuse_blocked, summary

    warehouse = open_warehouse(settings())
    pinned = _pinned(warehouse, snapshot, run)
    results = judge(warehouse, pinned)
    _show_results(results)
    emit(summary(pinned, results))
    refuse_blocked({result.name: result.rows for result in results if result.blocks})


def sql(
    command: Annotated[
        str | None, typer.Option("-c", metavar="QUERY", help="the query; without it, a prompt (or statements on stdin)")
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="of the answer to -c")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="write the answer there")] = None,
    example: Annotated[
        str | None, typer.Option(metavar="NAME", help="ask a question of sql/examples; `list` names them")
    ] = None,
    snapshot: SnapshotOption = None,
    run: RunOption = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="read the newest version of every table, not a snapshot")
    ] = False,
) -> None:
    """Ask the tables in SQL (DuckDB). What there is: docs/data-dictionary.md; start with the views enriched, products.

    **Examples**

    `atelier sql -c "SELECT type, count(*) AS photos FROM enriched GROUP BY type ORDER BY photos DESC"`

    `atelier sql -c "FROM products" --format parquet -o products.parquet`

    `atelier sql --example colors_by_type_and_month`

    `atelier sql --run 20261123T020000Z-1f3a9c -c "FROM coverage"`
    """
    from pipeline.tables import connect, open_warehouse

    if newest and (snapshot is not None or run is not None):
        raise InputError("--newest and --snapshot or --run can't go together")
    query = _question(command, example)
    if query is None and (output or kind is not Format.TABLE):
        raise InputError("--format and -o need a query: -c QUERY")
    if output and kind is Format.TABLE:
        raise InputError("-o needs --format csv, json or parquet")
    warehouse = open_warehouse(settings())
    pinned = None if newest else _pinned(warehouse, snapshot, run)
    with connect(warehouse, pinned) as con:
        if query is not None:
            _answer(con, query, kind, output)
            return
        from pipeline.cli.sql_shell import run_shell

        run_shell(con, f"Snapshot {pinned.number} of run {pinned.run_id}" if pinned else "Newest tables")


def _question(command: str | None, example: str | None) -> str | None:
    """The query asked for; None: a prompt."""
    if command is not None and example is not None:
        raise InputError("-c and --example can't go together")
    if example is None:
        return command
    from pipeline.tables.sql_files import read_sql

    examples = {found.name: found for found in read_sql("examples")}
    if example == "list":
        rows = ", ".join("('{}', '{}')".format(e.name, e.purpose.replace("'", "''")) for e in examples.values())
        return f"SELECT * FROM (VALUES {rows}) AS examples(name, question)"
    if example not in examples:
        raise InputError(f"there is no example {example[:100]!r} in sql/examples; there are {', '.join(examples)}")
    return examples[example].statement


def _answer(con: duckdb.DuckDBPyConnection, query: str, kind: Format, output: Path | None) -> None:
    """Answer one query on stdout or into a file; what to know about its tables goes to stderr."""
    from pipeline.tables import answers
    from pipeline.tables.query import notes_on

    for note in notes_on(con, query):
        log.warning("%s", note)
    if kind is Format.TABLE:
        answers.show(con, query, shutil.get_terminal_size((160, 40)).columns)
    elif output:
        emit({"file": str(output), "rows": answers.to_file(con, query, kind, output)})
    else:
        with tempfile.TemporaryDirectory(prefix="atelier-sql-") as folder:
            answers.to_file(con, query, kind, Path(folder) / "answer")
            with (Path(folder) / "answer").open("rb") as answer:
                shutil.copyfileobj(answer, sys.stdout.buffer)


def _pinned(warehouse: Warehouse, number: int | None, run: str | None) -> Snapshot | None:
    """The snapshot of that number or run, or the latest; None where none was ever taken."""
    if run is not None:
        if number is not None:
            raise InputError("--snapshot and --run can't go together")
        return warehouse.snapshots.of_run(run)
    return warehouse.latest_snapshot() if number is None else warehouse.load_snapshot(number)


def _show_results(results: list[CheckResult]) -> None:
    """How many checks passed; for the others a line each and examples of what they found. All on stderr."""
    failed = [r for r in results if not r.passed]
    passed = len(results) - len(failed)
    console.print(f"{passed} of {len(results)} data checks passed in {sum(r.seconds for r in results):.1f} s")
    if not failed:
        return
    shown = Table("check", "severity", "rows", "what has to hold", title="Data checks that found rows")
    for r in failed:
        shown.add_row(r.name, r.severity, f"{r.rows:,}", r.purpose, style="red" if r.blocks else "yellow")
    console.print(shown)
    for r in results:
        for example in r.examples:
            console.print(f"{r.name}: {example}", markup=False, highlight=False)
