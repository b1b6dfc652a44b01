"""
### Nightly: photos in, tables and index out

**What it does.** Finds the photos that the current release has not read yet (`plan`), reads them in a few large parts
(`enrich`), compares them with the nights before (`drift`), pins the tables' versions (`snapshot`), checks the rows
(`check`), copies the tables as plain Parquet (`publish_tables`), builds and judges the search index (`build_index`,
`judge_index`), swaps it in (`publish_index`) and writes the page to look at (`report`).

**What to do is never a date.** It is the catalog minus what is in `images`. A night that was missed is made up by the
next one; starting a run twice, or in the middle of the day, does no harm: the second finds less to do.

**When a task fails**
* It is retried where that can help (network, lost worker). Nothing is lost: what was committed stays, the rest is
  pending again.
* *It failed without a retry*: its log ends with the setting or file to change. Change it and clear the task.
* `check` failed: the log lists the offending rows. The index and the copies that were live before stay live.
* `judge_index` failed: recall is below `index.min_recall`. The index that was live before stays live.
* Single photos that can't be read are no failure: `atelier quarantine list`.

* The run is not through 8 hours after it was queued: `airflow.alert` is told (`airflow.deadlines`), nothing is stopped.
  See which task waits.

**Before the first run.** The tasks wait in pools, a pool that is missing keeps them waiting for ever:
`airflow pools import dags/pools.json`. One task of `enrich` uses all cores and GPUs of its machine; with several
workers raise `enrich.parts`.

**Beside it.** `catalog_backfill` works off history at a lower priority; set `airflow.night_images` for that time, so
that a night takes the newest photos and leaves the rest. `publish_tables` emits the asset `atelier_enriched`, which
starts `index_rebuild`: it finds the index of this run and has nothing to do.

**By hand.** Each task is one command of `atelier`, with the same arguments, in any shell.

**Parameters.** `prefix`: only keys that begin with it. `limit`: at most so many photos, the newest first
(`airflow.night_images`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task
from atelier_tasks import (
    CATALOG,
    ENRICHED,
    INDEX,
    NIGHT,
    SEARCH_INDEX,
    START,
    atelier,
    defaults,
    due,
    failed,
    in_pool,
    option,
    publish_unless_overtaken,
)

from pipeline.settings import settings


@task(multiple_outputs=True, inlets=[CATALOG])
def plan() -> dict[str, Any]:
    params = get_current_context()["params"]
    return atelier("plan", "--prefix", params["prefix"], *option("--limit", params["limit"]), "--newest")


@task
def parts(planned: dict[str, Any]) -> list[int]:
    return list(range(planned["parts"]))


# a backfill of millions; photos have time limits of their own
@task(multiple_outputs=True, execution_timeout=timedelta(days=7))
def enrich(part: int, planned: dict[str, Any]) -> dict[str, Any]:
    return atelier("enrich", "--plan", planned["plan_id"], "--part", part, "--parts", planned["parts"])


# with nothing pending there is no part to wait for
@task(multiple_outputs=True, trigger_rule=TriggerRule.NONE_FAILED)
def drift(planned: dict[str, Any]) -> dict[str, Any]:
    return atelier("drift", "--run", planned["run_id"])


@task(multiple_outputs=True)
def snapshot(planned: dict[str, Any]) -> dict[str, Any]:
    return atelier("snapshot", "--run-id", planned["run_id"])


@task(multiple_outputs=True)
def check(pinned: dict[str, Any]) -> dict[str, Any]:
    return atelier("check", "--snapshot", pinned["snapshot"])


@task(multiple_outputs=True, outlets=[ENRICHED])
def publish_tables(pinned: dict[str, Any]) -> dict[str, Any]:
    published = atelier("tables", "publish", "--snapshot", pinned["snapshot"])
    events = get_current_context()["outlet_events"]
    events[ENRICHED].extra = {"snapshot": pinned["snapshot"], "run_id": pinned["run_id"]}
    return published


@task(multiple_outputs=True, inlets=[ENRICHED], **in_pool(INDEX))
def build_index(planned: dict[str, Any], pinned: dict[str, Any]) -> dict[str, Any]:
    return atelier("index", "build", "--snapshot", pinned["snapshot"], "--run-id", planned["run_id"])


@task(multiple_outputs=True, **in_pool(INDEX))
def judge_index(built: dict[str, Any]) -> dict[str, Any]:
    return atelier("index", "evaluate", built["version"])


@task(multiple_outputs=True, outlets=[SEARCH_INDEX], **in_pool(INDEX))
def publish_index(planned: dict[str, Any], built: dict[str, Any]) -> dict[str, Any]:
    return publish_unless_overtaken(built, "--run-id", planned["run_id"])


# a night that went wrong after planning needs it most
@task(multiple_outputs=True, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
def report(planned: dict[str, Any]) -> dict[str, Any]:
    return atelier("report", "--run", planned["run_id"])


@task(trigger_rule=TriggerRule.NONE_FAILED)  # an index that was overtaken is none
def finish() -> None:
    """Without a last task behind all, a run whose publishing failed would count as a success."""


@dag(
    schedule=CronDataIntervalTimetable(settings().airflow.schedule, "UTC") if settings().airflow.schedule else None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["atelier"],
    allowed_run_types=("scheduled", "manual", "operator_triggered"),  # a night has no date: see catalog_backfill
    default_args=defaults(NIGHT),
    on_failure_callback=failed,
    deadline=due(hours=8),
    params={
        "prefix": Param("", type="string", description="only photos whose key begins with this"),
        "limit": Param(
            settings().airflow.night_images,
            type=["null", "integer"],
            minimum=1,
            description="at most so many photos, the newest first",
        ),
    },
)
def catalog_enrichment() -> None:
    """Wire the nightly run."""
    planned = plan()
    enriched = enrich.partial(planned=planned).expand(part=parts(planned))
    drifted = drift(planned)
    pinned = snapshot(planned)
    checked = check(pinned)
    copied = publish_tables(pinned)
    built = build_index(planned, pinned)
    published = publish_index(planned, built)
    enriched >> drifted >> pinned
    checked >> [built, copied]
    built >> judge_index(built) >> published
    reported = report(planned)
    [published, copied] >> reported
    [published, copied, reported] >> finish()


catalog_enrichment()
