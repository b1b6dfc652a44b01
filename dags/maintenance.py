"""
### Maintenance: keep the warehouse small and quick

**What it does**, in this order: removes old index versions (`collect_index`) and published copies (`collect_tables`),
which lets go of the snapshots they were made from; joins the small files that nights leave (`compact`); removes
snapshots, files and plans that are older than `maintenance.keep_days` and that nothing needs (`vacuum`). Beside that it
lets photos in again that could not be fetched in `enrich.retry_attempts` tries (`readmit`): the next night tries them.

**What it never removes.** Rows; the live index and the one before it; the newest `index.keep_versions` indexes and
`publish.keep_versions` copies; snapshots of the last days and those that an index or a copy was made from, with every
file of the table versions that they name; whatever a reader or writer of the last days may have open.

**Safe beside everything.** Joining files is a commit like any other: a writer that replaces one of the files meanwhile
wins, and the joining starts again from there. Nights and backfills need not be stopped.

**Parameters.** `dry_run`: say in the logs what would be done, change nothing. `keep_days`: in place of
`maintenance.keep_days`, 8 at least.

**When a task fails**
* `compact` or `vacuum` ended with exit code 75: others wrote all the time, or the store did not answer. What was done
  stays done; the next run does the rest.
* *No space left*: `vacuum` with fewer `keep_days` gives the most back, after `collect_index` and `collect_tables`.
* The run is not through 12 hours after it was queued: `airflow.alert` is told (`airflow.deadlines`).

**By hand.** `atelier index gc`, `atelier tables gc`, `atelier tables compact`, `atelier tables vacuum`, `atelier
quarantine readmit --unreachable`; each has `--dry-run`.

**Before the first run.** `airflow pools import dags/pools.json`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task
from atelier_tasks import INDEX, START, UPKEEP, atelier, defaults, due, failed, in_pool, option

from pipeline.settings import settings


def dry_run() -> list[str]:
    """The option, where the form asks for it."""
    return ["--dry-run"] if get_current_context()["params"]["dry_run"] else []


@task(multiple_outputs=True, **in_pool(INDEX))
def collect_index() -> dict[str, Any]:
    return atelier("index", "gc", *dry_run())


@task(multiple_outputs=True)
def collect_tables() -> dict[str, Any]:
    return atelier("tables", "gc", *dry_run())


@task(multiple_outputs=True, execution_timeout=timedelta(hours=6))
def compact() -> dict[str, Any]:
    return atelier("tables", "compact", *dry_run())


@task(multiple_outputs=True, execution_timeout=timedelta(hours=6))
def vacuum() -> dict[str, Any]:
    keep_days = option("--keep-days", get_current_context()["params"]["keep_days"])
    return atelier("tables", "vacuum", *keep_days, *dry_run())


@task(multiple_outputs=True)
def readmit() -> dict[str, Any]:
    return atelier("quarantine", "readmit", "--unreachable", *dry_run())


@dag(
    schedule=CronDataIntervalTimetable(settings().airflow.maintenance_schedule, "UTC")
    if settings().airflow.maintenance_schedule
    else None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["atelier"],
    default_args=defaults(UPKEEP),
    on_failure_callback=failed,
    deadline=due(hours=12),
    params={
        "dry_run": Param(False, type="boolean", description="only say what would be done"),
        "keep_days": Param(None, type=["null", "integer"], minimum=8, description="in place of maintenance.keep_days"),
    },
)
def maintenance() -> None:
    """Wire the upkeep."""
    [collect_index(), collect_tables()] >> compact() >> vacuum()
    readmit()


maintenance()
