"""Late and failed runs under a real Airflow: does the command that `airflow.alert` names really hear of them?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_airflow import ROOT, LiveAirflow, live_airflow, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.endurance, pytest.mark.timeout(900)]

LATE = """
from datetime import datetime, UTC
from airflow.sdk import dag, task
from atelier_tasks import due, failed, NIGHT, defaults

@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args=defaults(NIGHT) | {"retries": 0},
     on_failure_callback=failed, deadline=due(hours=5 / 3600))
def late_in_five_seconds():
    @task
    def linger():
        import time
        time.sleep(30)
    linger()

late_in_five_seconds()
"""
"""A DAG of our kind, but for the hours that a test can't wait for."""

HEARD = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
"""A command that takes an alert: it writes what it is told to a file."""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    for name in ("atelier_tasks.py", "catalog_enrichment.py"):
        (dags / name).symlink_to(ROOT / "dags" / name)
    (dags / "late.py").write_text(LATE)
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "ATELIER_CATALOG__URI": str(tmp_path / "there-is-no-catalog"),
        "ATELIER_WAREHOUSE__URI": str(tmp_path / "warehouse"),
        "ATELIER_AIRFLOW__SCHEDULE": "",
        "ATELIER_AIRFLOW__ALERT": json.dumps([sys.executable, "-c", HEARD, str(tmp_path / "heard")]),
        "ATELIER_AIRFLOW__DEADLINES": "true",
        "OMP_NUM_THREADS": "1",
    }
    with live_airflow(tmp_path / "airflow", environment, {"late_in_five_seconds", "catalog_enrichment"}) as airflow:
        airflow.start("triggerer")
        for dag in ("late_in_five_seconds", "catalog_enrichment"):
            airflow.unpause(dag)
        yield airflow


def test_who_is_on_call_hears_of_late_and_of_failed_runs(live: LiveAirflow, tmp_path: Path) -> None:
    late = live.trigger("late_in_five_seconds")
    failed = live.trigger("catalog_enrichment")  # its catalog does not exist: no retry

    def heard() -> dict[str, dict[str, str]]:
        lines = (tmp_path / "heard").read_text().splitlines() if (tmp_path / "heard").exists() else []
        return {told["kind"]: told for told in map(json.loads, lines)}

    wait_for(
        lambda: heard().keys() >= {"run_late", "run_failed"},
        240,
        lambda: f"{heard()}\n{live.log('triggerer')}\n{live.log('scheduler')}\n{live.log('dag-processor')}",
    )
    assert heard()["run_late"] == {
        "kind": "run_late",
        "dag_id": "late_in_five_seconds",
        "run_id": late,
        "reason": "not through 0.00138889 hours after it was queued",
    }
    told = heard()["run_failed"]
    assert (told["dag_id"], told["run_id"]) == ("catalog_enrichment", failed)
    assert told["reason"]
    live.finished("late_in_five_seconds", late)  # it was late, and nobody stopped it
