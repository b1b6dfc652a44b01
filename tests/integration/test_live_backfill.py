"""`airflow backfill create` over a prefix a day, with each database that Airflow may keep its state in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_airflow import wait_for
from live_postgres import MISSING, postgres
from live_shop import BACKFILL, NIGHT, REBUILD, LiveShop, live_shop

pytestmark = [pytest.mark.integration, pytest.mark.endurance, pytest.mark.timeout(1200)]

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(MISSING is not None, reason=str(MISSING)))]


@pytest.fixture(params=DATABASES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveShop]:
    with ExitStack() as stack:
        database = stack.enter_context(postgres()) if request.param == "postgresql" else None
        yield stack.enter_context(live_shop(tmp_path / "live", database=database))


def test_airflows_own_backfill_works_off_a_prefix_a_day_beside_a_night(shop: LiveShop) -> None:
    live = shop.airflow
    days = {day: shop.receive(f"incoming/2026-03-0{day}/", day, seed=40 + day) for day in (1, 2, 3)}
    sqlite = live.database.startswith("sqlite")
    if sqlite:  # it refuses a second process that writes
        live.rests()
        live.kill("scheduler")
    live.airflow(
        *("backfill", "create", "--dag-id", BACKFILL, "--from-date", "2026-03-01", "--to-date", "2026-03-02"),
        *("--max-active-runs", "1"),
    )
    if sqlite:
        live.start("scheduler")
    new = shop.receive("night/", 2, seed=31)
    night = live.trigger(NIGHT, {"prefix": "night/"})

    def of_days() -> list[str]:
        return [run["dag_run_id"] for run in live.runs(BACKFILL) if run["run_type"] == "backfill"]

    wait_for(lambda: len(of_days()) == 2, 120, lambda: live.log("scheduler"))
    live.finished(NIGHT, night)
    for run_id in of_days():
        live.finished(BACKFILL, run_id)
    live.rests()
    assert shop.enriched("incoming/") == Counter(days[1] | days[2])
    assert shop.enriched("night/") == Counter(new)
    assert shop.check_live_index() == len(days[1] | days[2] | new)
    assert {run["state"] for run in live.runs(REBUILD)} == {"success"}
