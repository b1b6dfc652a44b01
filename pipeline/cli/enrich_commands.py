"""`atelier enrich`: run the models over the photos of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Advance, emit, log, progress
from pipeline.settings import Settings, settings

if TYPE_CHECKING:
    from pipeline.catalog import Batch
    from pipeline.catalog.plan import Plan
    from pipeline.enrich.record import ReadBy
    from pipeline.enrich.runner import Outcome
    from pipeline.tables import Warehouse


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

    Example, on a Dask cluster of four workers on this machine (docs/scaling.md):
    `ATELIER_DASK__ENABLED=true ATELIER_DASK__WORKERS=4 atelier enrich --plan ...`

    Example, as two tasks at once: `atelier enrich --plan ... --part 0 --parts 2`, and the same with `--part 1`
    """
    from pipeline.catalog.plan import load_plan, read_batches
    from pipeline.enrich.record import record, summary
    from pipeline.enrich.runner import utc_now
    from pipeline.tables import open_warehouse

    config = settings()
    batches = read_batches(config, plan, part, parts)
    planned = load_plan(config, plan)
    started_at = utc_now()
    warehouse = open_warehouse(config)
    work = _on_cluster if config.dask.enabled else _here
    with progress("enriching", planned.pending if parts == 1 else None) as advance:
        outcome, read_by = work(config, warehouse, planned, batches, advance)
    record(warehouse, outcome, read_by, run_id=planned.run_id, part=part, started_at=started_at)
    emit(summary(outcome, read_by, run_id=planned.run_id, part=part))
    outcome.raise_failures()


def _here(
    config: Settings, warehouse: Warehouse, planned: Plan, batches: Iterable[Batch], advance: Advance
) -> tuple[Outcome, ReadBy]:
    """In this process."""
    from pipeline.enrich.models import check_release, load_models
    from pipeline.enrich.runner import Runner
    from pipeline.storage import open_store

    release = load_models(config)
    check_release(release.release_id, planned.release_id)
    log.info("models of release %s on %s in %s", release.release_id, release.device, release.precision)
    runner = Runner(config, open_store(config.catalog.uri, config), warehouse, release, advance)
    return runner.run(planned.run_id, batches), release


def _on_cluster(
    config: Settings, warehouse: Warehouse, planned: Plan, batches: Iterable[Batch], advance: Advance
) -> tuple[Outcome, ReadBy]:
    """On the cluster that the settings name; this process loads no models."""
    from models.release_cards import release_id_of
    from pipeline.cluster.connect import open_cluster
    from pipeline.cluster.enrich import enrich_on
    from pipeline.enrich.models import check_release
    from pipeline.releases import release_folder

    check_release(release_id_of(release_folder(config)), planned.release_id)
    with open_cluster(config) as client:
        return enrich_on(client, config, warehouse, planned, batches, advance)
