"""`atelier plan`: what there is to do, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.output import console, emit, log, progress
from pipeline.settings import settings

if TYPE_CHECKING:
    from pipeline.catalog.plan import Plan

MEANING = {
    "new": "never seen",
    "changed": "known, with other bytes",
    "new_release": "read by another release",
    "retry": "could not be fetched, due again",
    "readmitted": "let out of quarantine",
    "done": "read by this release",
    "quarantined": "out until replaced or re-admitted",
    "waiting": "could not be fetched, not due yet",
    "other_dates": "pending, modified before --since or not before --until",
    "over_limit": "pending, beyond --limit",
}


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("plan")(plan)


def plan(
    prefix: Annotated[str, typer.Option(help="only photos whose key begins with this")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many photos, the first by key")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="--limit takes the last modified photos first")] = False,
    since: Annotated[datetime | None, typer.Option(help="only photos modified then or later, UTC")] = None,
    until: Annotated[datetime | None, typer.Option(help="only photos modified before then, UTC")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count only; nothing is written anywhere")] = False,
    release: Annotated[str | None, typer.Option(help="release that is to read them; default: release.uri")] = None,
) -> None:
    """Find the photos that the release has not read yet, and store them as a plan in batches.

    Pending is what lies in the catalog, minus what is in the table `images` for this release, minus the quarantine:
    new photos, replaced ones, all of them for a new release, failed fetches that are due again. Never a date: --since
    and --until only say which of the pending photos this plan takes. A plan with nothing in it is a success.

    Also refreshes the tables `catalog` and `feed`.

    Example: `atelier plan --prefix shoes/ --dry-run`, then `atelier plan --prefix shoes/`, then
    `atelier enrich --plan PLAN_ID`

    Example, a year of history: `atelier plan --since 2024-01-01 --until 2025-01-01 --limit 100000`
    """
    from models.release_cards import release_id_of
    from pipeline.catalog.decide import Among
    from pipeline.catalog.plan import make_plan
    from pipeline.releases import release_folder
    from pipeline.tables import open_warehouse

    chosen = settings()
    release_id = release_id_of(release_folder(chosen, release))
    with progress(f"listing {chosen.catalog.uri}", None, "photos") as advance:
        made = make_plan(
            chosen,
            open_warehouse(chosen),
            release_id,
            prefix=prefix,
            limit=limit,
            among=Among(_utc(since), _utc(until), newest),
            dry_run=dry_run,
            on_listed=advance,
        )
    _show(made, dry_run)
    shown = ("run_id", "plan_id", "release_id", "listed", "pending", "by_reason", "left_out", "batches", "parts")
    emit({name: getattr(made, name) for name in shown})


def _utc(when: datetime | None) -> datetime | None:
    """A date as it was typed, taken for UTC."""
    return when and when.replace(tzinfo=UTC)


def _show(made: Plan, dry_run: bool) -> None:
    """Counts by reason for people; in words where there is nothing to do."""
    table = Table("photos", "count", "meaning", title=f"Plan for release {made.release_id}")
    for name, count in (made.by_reason | made.left_out).items():
        if count:
            table.add_row(name, f"{count:,}", MEANING[name], style="bold" if name in made.by_reason else "dim")
    table.add_section()
    table.add_row(
        "listed", f"{made.listed:,}", "in the catalog" + (f" under {escape(made.prefix)}" if made.prefix else "")
    )
    console.print(table)
    if not made.listed:
        log.info("there is no photo in the catalog (catalog.uri, catalog.suffixes, --prefix): nothing to do")
    elif not made.pending:
        log.info("nothing to do: every one of the %d photos is read or in quarantine", made.listed)
    else:
        kept = "nothing was written" if dry_run else f"stored as plan {made.plan_id}"
        log.info("%d photos in %d batches, %s", made.pending, made.batches, kept)
