"""`atelier quarantine`: photos that could not be enriched, and the way back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings

group = typer.Typer(no_args_is_help=True, help="Photos that could not be enriched: see why, let them in again.")

Why = Annotated[str | None, typer.Option("--reason", help="only those with this code, e.g. truncated")]


def attach(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(group, name="quarantine")


@group.command("list")
def show(
    reason: Why = None,
    limit: Annotated[int, typer.Option(min=0, help="photos shown; the counts are of all")] = 50,
) -> None:
    """Show the photos in quarantine: why, since when, and what happens next.

    Only versions that are in the catalog now; a photo that was replaced or deleted is no longer here.

    Example: `atelier quarantine list --reason truncated`
    """
    from pipeline.catalog.quarantine import standing
    from pipeline.tables import open_warehouse

    found = standing(open_warehouse(settings()), reason=reason)
    counts = Counter(found.column("reason").to_pylist())
    rows = found.slice(0, limit).to_pylist()
    table = Table(
        "photo", "reason", "what happened", "attempts", "next", title=f"Quarantine: {found.num_rows:,} photos"
    )
    for row in rows:
        table.add_row(escape(row["image_key"]), row["reason"], escape(row["message"]), str(row["attempts"]), _next(row))
    console.print(table)
    if found.num_rows > limit:
        log.info("%d more are not shown (--limit)", found.num_rows - limit)
    columns = ("image_key", "etag", "reason", "message", "permanent", "attempts", "next_retry_at", "happened_at")
    shown = [{name: row[name] for name in columns} for row in rows]
    emit({"quarantined": found.num_rows, "by_reason": dict(counts.most_common()), "photos": shown})


@group.command("readmit")
def readmit_photos(
    reason: Why = None,
    key: Annotated[str | None, typer.Option(help="only this photo")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every photo in quarantine")] = False,
    unreachable: Annotated[
        bool, typer.Option("--unreachable", help="photos whose bytes never arrived, in however many tries")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count only; nothing is written")] = False,
) -> None:
    """Let photos in again: the next plan takes them up, with their attempts counted from zero.

    For photos that were mended elsewhere without new bytes, or after a limit such as decode.max_pixels was raised. A
    photo that is replaced by other bytes comes back by itself, and so does one that could not be fetched, until it was
    tried enrich.retry_attempts times; --unreachable lets those in that were given up like that.

    Example: `atelier quarantine readmit --reason too_many_pixels --dry-run`
    """
    from pipeline.catalog.quarantine import given_up, readmit, standing
    from pipeline.tables import open_warehouse

    if not (reason or key or everything or unreachable):
        raise InputError("say which photos: --reason CODE, --key KEY (both narrow it down), --unreachable, or --all")
    if ((everything or unreachable) and (reason or key)) or (everything and unreachable):
        raise InputError("--all and --unreachable go without --reason and --key, and without each other")
    warehouse = open_warehouse(settings())
    found = standing(warehouse, reason=reason, key=key)
    found = given_up(found) if unreachable else found
    counts = Counter(found.column("reason").to_pylist())
    count = 0 if dry_run else readmit(warehouse, found, datetime.now(UTC))
    log.info("%d photos %s: %s", found.num_rows, "would be re-admitted" if dry_run else "re-admitted", dict(counts))
    emit({"readmitted": count, "matched": found.num_rows, "by_reason": dict(counts.most_common())})


def _next(row: dict[str, Any]) -> str:
    """What has to happen for the photo to be read."""
    if not row["permanent"]:
        return f"tried again after {row['next_retry_at']:%Y-%m-%d %H:%M} UTC"
    from pipeline.errors import Reason

    return "other bytes, or readmit" if Reason(row["reason"]).permanent else "readmit: it was tried often enough"
