"""`atelier status`: where everything lies and how it stands."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from pipeline.cli.output import console, emit
from pipeline.settings import settings


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("status")(show)


def show(
    sample_search: Annotated[
        bool, typer.Option("--sample-search", help="also ask the live index one question")
    ] = False,
) -> None:
    """Show where the tables, the index and the report lie, and how many photos are in which state."""
    from pipeline.status import gather

    status = gather(settings())
    table = Table(show_header=False, title="Atelier")
    for name, value in (
        ("catalog", status.catalog_uri),
        (
            "photos",
            f"{status.photos} listed, {status.enriched} enriched, {status.quarantined} in quarantine, "
            f"{status.pending} pending",
        ),
        ("found", f"{status.garments} garments of {status.products} products"),
        ("release", status.release_id or "nothing was enriched yet"),
        ("tables", f"{status.tables_uri} (snapshot {status.snapshot})"),
        ("index", f"{status.index_uri} (live: {status.index_version})"),
        ("report", status.report_uri or "none yet: `atelier report`"),
    ):
        table.add_row(name, value)
    console.print(table)
    if sample_search and status.index_version and status.sample_key:
        _search(status.sample_key)
    emit({**asdict(status), "pending": status.pending})


def _search(image_key: str) -> None:
    """Ask what looks like one of the photos, as `atelier search --image-key` does."""
    from pipeline.cli.search_commands import find_alike, show_hits

    console.print(f"$ atelier search --image-key {image_key} -k 5", markup=False, style="bold")
    show_hits(find_alike(image_key, k=5), image_key)
