"""`atelier tables publish`, `published`, `gc`, `ddl`: plain Parquet copies for tools that know no transaction log."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.output import console, emit
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    from pipeline.tables.published import Live


def attach(group: typer.Typer) -> None:
    """Add the commands to the group `tables`."""
    group.command()(publish)
    group.command()(published)
    group.command()(gc)
    group.command()(ddl)


def publish(
    snapshot: Annotated[int | None, typer.Option(min=1, help="what is copied; default: the latest snapshot")] = None,
    version: Annotated[
        str | None, typer.Option(help="make this version live, which is there already: the way back")
    ] = None,
) -> None:
    """Copy the views `enriched` and `products` as plain Parquet and make the copies live, if the data checks passed.

    One folder a garment type (hive style), sorted by product, zstd, with statistics: pandas, DuckDB, Polars, Dask,
    Athena and Spark read it as it is. A version never changes; `CURRENT.json` names the live one. Exit code 4 where a
    blocking check found rows: what was live stays live. A snapshot that was not checked yet is checked first.

    Example: `atelier tables publish`, then in Python `pd.read_parquet(published(settings(), "enriched"))`
    """
    from pipeline.tables import open_warehouse
    from pipeline.tables import published as copies

    if version is not None:
        if snapshot is not None:
            raise InputError("--version and --snapshot can't go together")
        emit(_facts(copies.go_back(settings(), version)))
        return
    warehouse = open_warehouse(settings())
    pinned = warehouse.latest_snapshot() if snapshot is None else warehouse.load_snapshot(snapshot)
    if pinned is None:
        raise InputError(f"there is no snapshot in {warehouse.store.uri} yet: `atelier snapshot` takes one")
    emit(_facts(copies.publish(warehouse, pinned)))


def published(
    view: Annotated[str | None, typer.Argument(help="enriched or products: print where its live copy lies")] = None,
) -> None:
    """List the published versions, or say where the live copy of one view lies.

    Example: `duckdb -c "SELECT count(*) FROM read_parquet('$(atelier tables published enriched)/**/*.parquet')"`
    """
    from pipeline.tables import published as copies

    if view is not None:
        sys.stdout.write(copies.published(settings(), view) + "\n")
        return
    store = copies.published_store(settings())
    live, _ = copies.read_live(store)
    current = live.live.version if live else None
    found = [copies.load_version(store, name) for name in copies.versions(store)]
    shown = Table("version", "", "snapshot", "run", "rows", "files", "MB", title=f"Published under {store.uri}")
    for one in found:
        rows, files, size = (sum(table[name] for table in one.tables.values()) for name in ("rows", "files", "bytes"))
        mark = "live" if one.version == current else ""
        shown.add_row(one.version, mark, str(one.snapshot), one.run_id, f"{rows:,}", str(files), f"{size / 1e6:,.1f}")
    console.print(shown)
    emit({"live": current, "versions": [asdict(one) for one in found]})


def gc(dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, remove nothing")] = False) -> None:
    """Remove published versions: all but the newest publish.keep_versions, the live one, and the one before it.

    Example: `atelier tables gc --dry-run`
    """
    from pipeline.tables import published as copies

    keep = settings().publish.keep_versions
    garbage = copies.collect_garbage(copies.published_store(settings()), keep, dry_run=dry_run)
    emit({"dry_run": dry_run, "versions": garbage.versions, "files": len(garbage.keys), "bytes": garbage.bytes})


def ddl(
    dialect: Annotated[str, typer.Argument(help="athena, trino or spark")],
    live: Annotated[
        bool, typer.Option("--live", help="with this warehouse's place and the live version, not placeholders")
    ] = False,
    database: Annotated[str, typer.Option(help="database, or schema, that the tables go into")] = "atelier",
) -> None:
    """Print CREATE statements for an engine that reads the warehouse where it lies; sql/ddl has them with placeholders.

    Example: `atelier tables ddl trino --live | trino --server https://...`
    """
    from pipeline.tables import ddl as statements
    from pipeline.tables import published as copies

    location, version = statements.LOCATION, statements.VERSION
    if live:
        store = copies.published_store(settings())
        pointer, _ = copies.read_live(store)
        if pointer is None:
            raise InputError(f"nothing is published under {store.uri} yet: run `atelier tables publish`")
        location, version = store.uri.rpartition("/")[0], pointer.live.version
    sys.stdout.write(statements.ddl(dialect, location, version, database))


def _facts(live: Live) -> dict[str, Any]:
    """What a program wants to know of what is live now."""
    return {**asdict(live.live), "previous": live.previous, "sequence": live.sequence, "reused": live.reused}
