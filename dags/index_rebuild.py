"""
### Index rebuild: when the enriched tables have changed, so does the search index

**What it does.** Started by the asset `atelier_enriched`, which a night and every wave of a backfill emit when a
snapshot of the tables has passed its checks: takes the newest snapshot of the events (`choose`), checks it (`check`),
builds and judges an index of it (`build_index`, `judge_index`) and makes that live (`publish_index`). Shards that did
not change are reused, grown ones are added to.

**Beside the night.** The night builds its index itself: its report shows what became live. After a night this run
finds the index of that snapshot and does nothing; after a wave of a backfill it does the work. The pool `index` lets
one task at a time build, judge or publish, whichever DAG it is of, and an index of older tables than those of the
live one is never published: the later of two runs wins, in whatever order they end.

**Parameters.** `snapshot`: build from this one; empty: the newest of the events, by hand the latest. `full`: build
every shard anew, whatever could be reused.

**When a task fails**
* `check` failed: the log lists the offending rows. What is live stays live.
* `judge_index` failed: recall is below `index.min_recall` or `index.min_shard_recall`. What is live stays live. Try
  `full`; if that does not help, raise `index.target_recall`.
* `publish_index` was skipped: an index of newer tables is live already.
* `publish_index` says `held`: somebody went back to an earlier version (`atelier index rollback`). When the cause is
  mended: `atelier index release-hold && atelier index publish`.
* The run is not through 6 hours after it was queued: `airflow.alert` is told (`airflow.deadlines`).

**Before the first run.** `airflow pools import dags/pools.json`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from atelier_tasks import (
    ENRICHED,
    INDEX,
    SEARCH_INDEX,
    START,
    atelier,
    defaults,
    due,
    failed,
    option,
    publish_unless_overtaken,
)


@task(multiple_outputs=False)
def choose() -> dict[str, int | None]:
    """The number of the snapshot; None: the latest there is."""
    context = get_current_context()
    named = context["params"]["snapshot"]
    events = [event for of in (context.get("triggering_asset_events") or {}).values() for event in of]
    numbers = [event.extra["snapshot"] for event in events if "snapshot" in event.extra]
    return {"snapshot": named or max(numbers, default=None)}


@task(multiple_outputs=True, inlets=[ENRICHED])
def check(chosen: dict[str, int | None]) -> dict[str, Any]:
    return atelier("check", *option("--snapshot", chosen["snapshot"]))


@task(multiple_outputs=True, execution_timeout=timedelta(hours=6))
def build_index(checked: dict[str, Any]) -> dict[str, Any]:
    full = ["--full"] if get_current_context()["params"]["full"] else []
    return atelier("index", "build", "--snapshot", checked["snapshot"], *full)


@task(multiple_outputs=True)
def judge_index(built: dict[str, Any]) -> dict[str, Any]:
    return atelier("index", "evaluate", built["version"])


@task(multiple_outputs=True, outlets=[SEARCH_INDEX])
def publish_index(built: dict[str, Any]) -> dict[str, Any]:
    return publish_unless_overtaken(built)


@dag(
    schedule=[ENRICHED],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["atelier"],
    default_args=defaults(INDEX),
    on_failure_callback=failed,
    deadline=due(hours=6),
    params={
        "snapshot": Param(None, type=["null", "integer"], minimum=1, description="build from this snapshot"),
        "full": Param(False, type="boolean", description="build every shard anew, whatever could be reused"),
    },
)
def index_rebuild() -> None:
    """Wire the rebuild."""
    built = build_index(check(choose()))
    judge_index(built) >> publish_index(built)


index_rebuild()
