"""`atelier enrich`: run the models over the photos of a plan."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.output import emit, log, progress
from pipeline.settings import settings


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("enrich")(enrich)


def enrich(
    plan: Annotated[str, typer.Option(help="plan to work off, as `atelier plan` named it")],
    part: Annotated[int, typer.Option(help="which part of it, from 0", min=0)] = 0,
    parts: Annotated[int, typer.Option(help="in how many parts it is worked off", min=1)] = 1,
) -> None:
    """Read a plan's photos with the models of a release and write what they show to the tables.

    Each photo is decoded once and goes through the backbone once, whole and in crops of its garments. A batch counts
    when it is in the table `images`; a photo that can't be read goes to quarantine, and its neighbors don't notice.
    The same command again does only what is left. Exit code 75: some batches were given up because their photos could
    not be fetched; run it again.

    Example: `atelier enrich --plan 20260731T020000Z-1a2b3c`

    Example, as two tasks at once: `atelier enrich --plan ... --part 0 --parts 2`, and the same with `--part 1`
    """
    from pipeline.catalog.plan import load_plan, read_batches
    from pipeline.enrich.models import load_models
    from pipeline.enrich.record import record, summary
    from pipeline.enrich.runner import Runner, utc_now
    from pipeline.errors import InputError
    from pipeline.storage import open_store
    from pipeline.tables import open_warehouse

    config = settings()
    batches = read_batches(config, plan, part, parts)
    planned = load_plan(config, plan)
    started_at = utc_now()
    warehouse = open_warehouse(config)
    release = load_models(config)
    if release.release_id != planned.release_id:
        raise InputError(
            f"plan {plan} was made for release {planned.release_id}, but release.uri is {release.release_id}: "
            "make a new plan, or set release.uri back"
        )
    log.info("models of release %s on %s in %s", release.release_id, release.device, release.precision)
    with progress("enriching", planned.pending if parts == 1 else None) as advance:
        runner = Runner(config, open_store(config.catalog.uri, config), warehouse, release, advance)
        outcome = runner.run(planned.run_id, batches)
    record(warehouse, outcome, release, run_id=planned.run_id, part=part, started_at=started_at)
    emit(summary(outcome, release, run_id=planned.run_id, part=part))
    outcome.raise_failures()
