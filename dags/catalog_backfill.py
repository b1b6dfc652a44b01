"""
### Backfill: history, or a new release, worked off in waves beside the nights

**What it does.** A run is one wave: at most `airflow.wave_images` photos are planned (`plan`), read in a few large
parts (`enrich`), pinned (`snapshot`), checked (`check`) and published as tables (`publish_tables`), which starts
`index_rebuild`. Where photos are left, the wave starts the next one (`start_next_wave`), a run of its own.

**Why waves.** Work that takes weeks is done in pieces that a person can see, stop and judge; what is done is live.
*Pause* the DAG: the running tasks end, the next wave waits until it is unpaused. A wave that fails ends the chain:
clear its failed tasks, or start again with the same form. Nothing is done twice: each wave asks anew what is left,
so there is nothing to resume from and nothing to lose.

**It never starves the night.** Its tasks wait in a pool of two, at the lowest priority. Set `airflow.night_images`
meanwhile: a night plans whatever is pending, and would take the whole history on itself.

**Parameters.** `prefix`: only keys that begin with it. `since`, `until`: only photos modified then or later, and
before then (dates, UTC). `limit`: at most so many photos in all waves together. `dry_run`: only count, see the log of
`plan`. `release`: read with another release than the live one. Then nothing is published: when all is read, promote
that release (docs/operations.md), and the next night publishes what is there.

**Day by day.** Where the photos of a day lie under a prefix of their own, set `airflow.partition`, such as
`incoming/%Y-%m-%d/`, and `airflow backfill create --dag-id catalog_backfill --from-date 2024-01-01 --to-date
2024-12-31 --max-active-runs 2` makes a run of each day, its prefix being that of the day on which the run's data
interval starts. Only such runs have a date; the daily ones of the schedule, which that command needs, do nothing.

**When a task fails**
* It is retried where that can help; what was committed stays.
* *It failed without a retry*: its log ends with the setting or file to change. Change it and clear the task.
* `check` failed: the log lists the offending rows. Nothing was published, no further wave starts.
* The run is not through a day after it was queued: `airflow.alert` is told (`airflow.deadlines`). It may just wait
  behind the nights.

**Before the first run.** `airflow pools import dags/pools.json`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from atelier_tasks import BACKFILL, CATALOG, ENRICHED, START, atelier, defaults, due, failed, option

from pipeline.settings import settings

DAG_ID = "catalog_backfill"
_WAVE = re.compile(r"(?P<first>.*)__wave_(?P<number>\d+)")


def prefix_of(run_type: str, data_interval_start: Any, prefix: str) -> str:
    """The prefix of a run: that of its day in a backfill of Airflow's, else the form's.

    A run's type is compared as it comes: it is a string and a member of an enumeration, whose `str` is its name in
    the code, not its value.
    """
    if run_type == "scheduled":
        raise AirflowSkipException("runs of the schedule do nothing: start one by hand, or `airflow backfill create`")
    if run_type != "backfill":
        return prefix
    return data_interval_start.strftime(settings().airflow.partition)


def wave_after(run_id: str) -> str:
    """Id of the run of the next wave, the same for every attempt."""
    found = _WAVE.fullmatch(run_id)
    first, number = (found["first"], int(found["number"])) if found else (run_id, 1)
    return f"{first}__wave_{number + 1}"


@task(multiple_outputs=True, inlets=[CATALOG])
def plan() -> dict[str, Any]:
    context = get_current_context()
    params = context["params"]
    prefix = prefix_of(context["dag_run"].run_type, context.get("data_interval_start"), params["prefix"])
    wave = min(settings().airflow.wave_images, params["limit"] or settings().airflow.wave_images)
    dates = [*option("--since", params["since"]), *option("--until", params["until"])]
    dry_run = ["--dry-run"] if params["dry_run"] else []
    release = option("--release", params["release"])
    return {"prefix": prefix} | atelier("plan", "--prefix", prefix, "--limit", wave, *dates, *dry_run, *release)


@task
def parts(planned: dict[str, Any]) -> list[dict[str, int]]:
    if planned["plan_id"] is None:
        raise AirflowSkipException(f"dry run: {planned['pending']} photos would be in the first wave")
    count = min(settings().airflow.wave_parts, planned["batches"])
    return [{"part": part, "parts": count} for part in range(count)]


@task(multiple_outputs=True, execution_timeout=timedelta(days=1))
def enrich(share: dict[str, int], planned: dict[str, Any]) -> dict[str, Any]:
    release = option("--release", get_current_context()["params"]["release"])
    chosen = ["--plan", planned["plan_id"], "--part", share["part"], "--parts", share["parts"]]
    return atelier(*release, "enrich", *chosen)


@task(multiple_outputs=True)
def snapshot(planned: dict[str, Any]) -> dict[str, Any]:
    if get_current_context()["params"]["release"]:
        raise AirflowSkipException("another release than the live one is read: it goes live when it is promoted")
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


# a wave of another release is not published, and still the next one follows
@task(multiple_outputs=True, trigger_rule=TriggerRule.NONE_FAILED)
def next_wave(planned: dict[str, Any] | None) -> dict[str, Any]:
    if planned is None:
        raise AirflowSkipException("nothing was planned: there is no wave to follow")
    context = get_current_context()
    params = context["params"]
    limit = params["limit"] and params["limit"] - planned["pending"]
    if params["dry_run"] or not planned["pending"] or not planned["left_out"]["over_limit"] or limit == 0:
        raise AirflowSkipException("this was the last wave")
    conf = {**params, "prefix": planned["prefix"], "limit": limit}
    return {"run_id": wave_after(context["dag_run"].run_id), "conf": conf}


@dag(
    dag_id=DAG_ID,
    schedule=CronDataIntervalTimetable("@daily", "UTC") if settings().airflow.partition else None,
    start_date=START.replace(year=2000),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["atelier"],
    default_args=defaults(BACKFILL),
    on_failure_callback=failed,
    deadline=due(hours=24),
    params={
        "prefix": Param("", type="string", description="only photos whose key begins with this"),
        "since": Param(None, type=["null", "string"], format="date", description="only photos modified then or later"),
        "until": Param(None, type=["null", "string"], format="date", description="only photos modified before then"),
        "limit": Param(None, type=["null", "integer"], minimum=1, description="photos in all waves, at the most"),
        "release": Param("", type="string", description="release that reads them; empty: the live one"),
        "dry_run": Param(False, type="boolean", description="only count what there is to do"),
    },
)
def catalog_backfill() -> None:
    """Wire one wave."""
    planned = plan()
    enriched = enrich.partial(planned=planned).expand(share=parts(planned))
    pinned = snapshot(planned)
    copied = publish_tables(pinned)
    following = next_wave(planned)
    enriched >> pinned >> check(pinned) >> copied >> following
    TriggerDagRunOperator(
        task_id="start_next_wave",
        trigger_dag_id=DAG_ID,
        trigger_run_id=following["run_id"],
        conf=following["conf"],
        logical_date=None,
        skip_when_already_exists=True,
    )


catalog_backfill()
