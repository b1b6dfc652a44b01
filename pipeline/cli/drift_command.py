"""`atelier drift`: does the new look like the old?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("drift")(drift)


def drift(
    run: Annotated[str | None, typer.Option("--run", metavar="RUN_ID", help="which run; default: the latest")] = None,
) -> None:
    """Compare what a run enriched with the runs before it: labels and scores of every head, and the embeddings.

    Each run's counts and a sketch of its vectors are stored (table `drift_stats`), so old photos are not read again.
    Distances and alarms go to `drift_results`; the view `drift` shows them. Alarm levels are the settings `drift.*`.
    The check `drift_limits` warns of alarms, and blocks publishing where `checks.block` names it.

    Example: `atelier drift`, then `atelier sql -c "FROM drift ORDER BY distance / level DESC"`
    """
    from pipeline.drift.measure import measure_run
    from pipeline.tables import open_warehouse, runs

    warehouse = open_warehouse(settings())
    run = run or runs.latest_run(warehouse)
    if run is None:
        raise InputError(f"no run is recorded in {warehouse.store.uri} yet: start with `atelier plan`")
    found = measure_run(warehouse, run)
    shown = Table("subject", "measure", "state", "distance", "chance", "level", "photos", "before", title=f"Run {run}")
    for one in found:
        distance, chance = (f"{n:.4f}" if n is not None else "-" for n in (one.distance, one.chance))
        numbers = (distance, chance, f"{one.level:g}", f"{one.stats.photos:,}", f"{one.reference_photos:,}")
        style = {"alarm": "red", "not judged": "dim"}.get(one.state)
        shown.add_row(one.stats.subject, one.stats.measure, one.state, *numbers, style=style)
    if found:
        console.print(shown)
    else:
        log.info("run %s enriched nothing: there is nothing to compare", run)
    emit(
        {
            "run_id": run,
            "measured": len(found),
            "not_judged": sum(one.state == "not judged" for one in found),
            "reference_runs": max((one.reference_runs for one in found), default=0),
            "alarms": [
                {"subject": one.stats.subject, "measure": one.stats.measure, "distance": one.distance}
                for one in found
                if one.alarm
            ],
        }
    )
