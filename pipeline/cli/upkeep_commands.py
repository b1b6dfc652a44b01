"""`atelier tables compact`, `vacuum`: keep the tables' files few and remove what nothing needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.cli.output import emit, log
from pipeline.settings import settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, change nothing")]


def attach(group: typer.Typer) -> None:
    """Add the commands to the group `tables`."""
    group.command()(compact)
    group.command()(vacuum)


def compact(
    min_files: Annotated[
        int | None, typer.Option(min=2, help="small files worth joining; default: maintenance.compact_files")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Join small files of the tables, which nights and small batches leave, to large ones. No row changes.

    Writers and readers go on meanwhile, old snapshots read as before. The space of the small files is given back by
    `atelier tables vacuum`, when no snapshot needs them any more.

    Example: `atelier tables compact --dry-run`
    """
    from pipeline.tables import open_warehouse
    from pipeline.tables.upkeep import compact as join

    done = join(open_warehouse(settings()), min_files or settings().maintenance.compact_files, dry_run=dry_run)
    for one in done:
        log.info("%s: %d small files, %d written anew", one.table, one.small, one.replaced)
    emit({"dry_run": dry_run, "tables": {one.table: asdict(one) for one in done}})


def vacuum(
    keep_days: Annotated[
        int | None, typer.Option(min=8, help="days that snapshots can be read; default: maintenance.keep_days")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Remove snapshots, files and plans that are older than that and that nothing needs.

    Kept are the snapshots of the last days, the latest one, those of every index version and published copy that is
    there (`atelier index gc` and `atelier tables gc` let go of them), and all files of the table versions that these
    name; files of killed attempts go once they are that old. A snapshot that goes is retired first, its files follow
    a day later, for whoever is reading it.

    Example: `atelier tables vacuum --keep-days 30 --dry-run`
    """
    from pipeline.index.job import index_store
    from pipeline.index.publish import snapshots_needed
    from pipeline.tables import open_warehouse, published
    from pipeline.tables.upkeep import vacuum as remove

    chosen = settings()
    pins = snapshots_needed(index_store(chosen)) | published.snapshots_needed(published.published_store(chosen))
    days = keep_days or chosen.maintenance.keep_days
    done = remove(open_warehouse(chosen), days, pins, dry_run=dry_run)
    log.info(
        "%d snapshots retired, %d kept, %d files and %d plans removed",
        *(len(done.retired), len(done.kept), sum(done.files.values()), len(done.plans)),
    )
    emit({"dry_run": dry_run, "keep_days": days, **asdict(done)})
