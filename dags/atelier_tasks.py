"""What all DAGs share: how a command is run, how often it is tried, who waits where, who is told.

Pools are declared once, in `pools.json`: `airflow pools import dags/pools.json` makes them.

* `enrichment`: tasks of the night. * `backfill`: tasks of `catalog_backfill`: few, so that the night finds room.
* `index`: one task at a time builds, judges or publishes an index, whoever asked for it. * `upkeep`: maintenance and
training.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pipeline.alerts import Alert, late, tell
from pipeline.errors import GateError, InputError, SettingError
from pipeline.launch import run_command
from pipeline.settings import settings

NIGHT, BACKFILL, INDEX, UPKEEP = "enrichment", "backfill", "index", "upkeep"
"""Pools."""

START = datetime(2026, 1, 1, tzinfo=UTC)

PRIORITY = {NIGHT: 100, INDEX: 50, UPKEEP: 10, BACKFILL: 1}
"""Who goes first where several wait for the same worker."""


def _uri(place: str) -> str:
    """`place` as the URI of an asset, which OpenLineage takes for a data set's name."""
    return place if "://" in place else Path(place).resolve().as_uri()


CATALOG = Asset("atelier_catalog", uri=_uri(settings().catalog.uri))
ENRICHED = Asset("atelier_enriched", uri=_uri(f"{settings().warehouse.uri.rstrip('/')}/tables"))
"""The tables, when a snapshot of them has passed its checks; an event says which: `{"snapshot": 12, "run_id": ...}`."""
SEARCH_INDEX = Asset("atelier_index", uri=_uri(f"{settings().warehouse.uri.rstrip('/')}/index"))


def atelier(*arguments: object) -> dict[str, Any]:
    """Run one of the product's commands; errors that a retry can't mend fail the task at once."""
    try:
        return run_command([str(a) for a in arguments], settings().airflow.launcher)
    except (SettingError, InputError, GateError) as error:
        raise AirflowFailException(str(error)) from error


def option(name: str, value: object) -> list[object]:
    """`[name, value]`, or nothing where there is no value."""
    return [] if value is None or value == "" else [name, value]


def publish_unless_overtaken(built: dict[str, Any], *arguments: object) -> dict[str, Any]:
    """Make an index version live; skipped where one of newer tables is live, which another DAG was quicker to build."""
    listed = atelier("index", "list")
    live = next((one for one in listed["versions"] if one["version"] == listed["live"]), None)
    if live is not None and live["snapshot"] > built["snapshot"]:
        raise AirflowSkipException(f"index {live['version']} of newer tables is live already")
    return atelier("index", "publish", built["version"], *arguments)


def defaults(pool: str) -> dict[str, Any]:
    """`default_args` of a DAG whose tasks wait in `pool`.

    The first try and the waits between four tries outlast a restart of the API server. A weight that does not add up
    over what is downstream, so that a long chain is not before a short one.
    """
    return {
        "owner": "data-engineering",
        "pool": pool,
        "priority_weight": PRIORITY[pool],
        "weight_rule": "absolute",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(hours=3),
    }


def in_pool(pool: str) -> dict[str, Any]:
    """Arguments of a task that waits in another pool than its DAG's others."""
    return {"pool": pool, "priority_weight": PRIORITY[pool]}


def failed(context: Any) -> None:
    """Tell whoever is named by `airflow.alert` that a run failed; for `on_failure_callback` of a DAG."""
    run = context["dag_run"]
    tell(Alert("run_failed", run.dag_id, run.run_id, str(context.get("reason") or "a task failed")))


def due(hours: float) -> DeadlineAlert | None:
    """Tell whoever is named by `airflow.alert` where a run is not through so long after it was queued.

    None unless `airflow.deadlines` is set: `airflow dags test` of Airflow 3.3 ends in a traceback where there is one.
    """
    if not settings().airflow.deadlines:
        return None
    callback = AsyncCallback(late, kwargs={"hours": hours})
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(hours=hours), callback)
