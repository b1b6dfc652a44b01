"""The DAGs under a real scheduler, started and watched through Airflow's REST API: every photo enriched, and once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_airflow import LiveAirflow, wait_for
from live_shop import BACKFILL, NIGHT, REBUILD, WAVE, LiveShop, live_shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveShop]:
    with live_shop(tmp_path / "live") as opened:
        yield opened


def test_a_night_passes_a_backfill_in_waves_and_the_index_follows(shop: LiveShop) -> None:
    """One start of Airflow for all of it: that is what costs. The night wants new photos and all that are in waves."""
    live = shop.airflow
    history = shop.receive("history/", WAVE + 1, seed=32)
    first, second = "five_years", "five_years__wave_2"
    live.trigger(BACKFILL, {"prefix": "history/"}, run_id=first)
    wait_for(lambda: live.tasks(BACKFILL, first).get("plan") == "success", 240, lambda: live.log("scheduler"))
    new = shop.receive("night/", 3, seed=31)
    night = live.trigger(NIGHT)

    tasks = live.finished(NIGHT, night)
    assert set(tasks.values()) == {"success"} and "enrich[0]" in tasks
    live.finished(BACKFILL, first)
    wait_for(lambda: second in ids(live, BACKFILL), 60, lambda: live.log("scheduler"))
    live.finished(BACKFILL, second)

    live.rests()
    rebuilds = live.runs(REBUILD)
    assert {(run["run_type"], run["state"]) for run in rebuilds} == {("asset_triggered", "success")}
    assert live.tasks(REBUILD, rebuilds[-1]["dag_run_id"])["judge_index"] == "success"
    assert shop.enriched("") == Counter(history | new)
    assert shop.check_live_index() == len(history | new)
    daily = [run["dag_run_id"] for run in live.runs(BACKFILL) if run["run_type"] == "scheduled"]
    assert {state for one in daily for state in live.tasks(BACKFILL, one).values()} <= {"skipped"}


def ids(live: LiveAirflow, dag: str) -> set[str]:
    """Ids of a DAG's runs."""
    return {run["dag_run_id"] for run in live.runs(dag)}
