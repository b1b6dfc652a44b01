"""The DAGs under a real scheduler, started and watched through Airflow's REST API: every photo enriched, and once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_airflow import LiveAirflow, live_airflow, wait_for

from pipeline import demo
from pipeline.settings import load_settings
from pipeline.tables import open_warehouse

pytestmark = [pytest.mark.integration, pytest.mark.endurance, pytest.mark.timeout(900)]

NIGHT, BACKFILL, REBUILD = "catalog_enrichment", "catalog_backfill", "index_rebuild"
WAVE = 4


@dataclass(frozen=True)
class Works:
    """A shop's photos, a warehouse and an Airflow."""

    root: Path
    airflow: LiveAirflow

    def receive(self, prefix: str, photos: int, seed: int) -> set[str]:
        """New photos below a prefix of the catalog; returns their keys."""
        made = self.root / f"made-{seed}"
        demo.generate(made, products=photos, seed=seed, photos_per_product=1)
        found = sorted((made / "photos").glob("*.jpg"))[:photos]
        folder = self.root / "catalog" / prefix
        folder.mkdir(parents=True)
        for photo in found:
            shutil.copy(photo, folder / photo.name)
        assert len(found) == photos
        return {f"{prefix}{photo.name}" for photo in found}

    def enriched(self, prefix: str) -> Counter[str]:
        """How many rows each photo below a prefix has: in the ledger, and as many whole-picture embeddings."""
        warehouse = open_warehouse(load_settings(warehouse={"uri": str(self.root / "warehouse")}))
        images = warehouse.read("images").to_pylist()
        batches = {row["batch_id"] for row in images}
        embedded = Counter(
            row["image_key"]
            for row in warehouse.read("embeddings").to_pylist()
            if row["batch_id"] in batches and row["kind"] == "image" and row["image_key"].startswith(prefix)
        )
        found = Counter(row["image_key"] for row in images if row["image_key"].startswith(prefix))
        assert found == embedded
        return found


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    root = tmp_path_factory.mktemp("live")
    (root / "catalog").mkdir()
    environment = {
        "ATELIER_CATALOG__URI": str(root / "catalog"),
        "ATELIER_WAREHOUSE__URI": str(root / "warehouse"),
        "ATELIER_ENRICH__MODEL_IMAGES": "8",
        "ATELIER_ENRICH__BATCH_IMAGES": "2",
        "ATELIER_AIRFLOW__SCHEDULE": "",
        "ATELIER_AIRFLOW__MAINTENANCE_SCHEDULE": "",
        "ATELIER_AIRFLOW__WAVE_IMAGES": str(WAVE),
        "ATELIER_AIRFLOW__PARTITION": "incoming/%Y-%m-%d/",
        "OMP_NUM_THREADS": "1",
    }
    with live_airflow(root / "airflow", environment, {NIGHT, BACKFILL, REBUILD}) as airflow:
        for dag in (NIGHT, BACKFILL, REBUILD):
            airflow.unpause(dag)
        yield Works(root, airflow)


def test_a_night_starts_the_rebuild_of_its_tables(works: Works) -> None:
    keys = works.receive("night/", 4, seed=31)
    before = len(works.airflow.runs(REBUILD))
    tasks = works.airflow.finished(NIGHT, works.airflow.trigger(NIGHT, {"prefix": "night/"}))
    assert set(tasks.values()) == {"success"} and "enrich[0]" in tasks
    assert works.enriched("night/") == Counter(keys)
    wait_for(lambda: len(works.airflow.runs(REBUILD)) > before, 60, lambda: works.airflow.log("scheduler"))
    rebuild = works.airflow.runs(REBUILD)[-1]
    assert rebuild["run_type"] == "asset_triggered"
    assert works.airflow.finished(REBUILD, rebuild["dag_run_id"])["judge_index"] == "success"


def test_a_backfill_in_waves_and_a_night_over_the_same_photos(works: Works) -> None:
    """More photos than two waves hold, and a night that wants them all at the same time."""
    keys = works.receive("history/", 2 * WAVE + 1, seed=32)
    first = works.airflow.trigger(BACKFILL, {"prefix": "history/"}, run_id="five_years")
    wait_for(
        lambda: works.airflow.tasks(BACKFILL, first).get("plan") == "success",
        120,
        lambda: works.airflow.log("scheduler"),
    )
    night = works.airflow.trigger(NIGHT, {"prefix": "history/"})
    works.airflow.finished(BACKFILL, first)
    works.airflow.finished(NIGHT, night)
    second = f"{first}__wave_2"
    assert second in {run["dag_run_id"] for run in works.airflow.runs(BACKFILL)}
    works.airflow.finished(BACKFILL, second)
    assert works.enriched("history/") == Counter(keys)


def test_airflows_own_backfill_works_off_a_prefix_a_day(works: Works) -> None:
    days = {day: works.receive(f"incoming/2026-03-0{day}/", day, seed=40 + day) for day in (1, 2, 3)}
    works.airflow.rests()
    works.airflow.kill("scheduler")  # SQLite refuses a second process that writes; with PostgreSQL nobody has to stop
    works.airflow.airflow(
        *("backfill", "create", "--dag-id", BACKFILL, "--from-date", "2026-03-01", "--to-date", "2026-03-02"),
        *("--max-active-runs", "1"),
    )
    works.airflow.start("scheduler")

    def of_days() -> list[str]:
        return [run["dag_run_id"] for run in works.airflow.runs(BACKFILL) if run["run_type"] == "backfill"]

    wait_for(lambda: len(of_days()) == 2, 60, lambda: works.airflow.log("scheduler"))
    for run_id in of_days():
        works.airflow.finished(BACKFILL, run_id)
    assert works.enriched("incoming/") == Counter(days[1] | days[2])


def test_a_scheduler_killed_with_a_task_under_way(works: Works) -> None:
    """kill -9 of the scheduler and its tasks while photos are read; a new one takes over."""
    keys = works.receive("killed/", 6, seed=51)
    run_id = works.airflow.trigger(NIGHT, {"prefix": "killed/"})
    wait_for(
        lambda: works.airflow.tasks(NIGHT, run_id).get("enrich[0]") == "running",
        120,
        lambda: str(works.airflow.tasks(NIGHT, run_id)),
    )
    works.airflow.kill("scheduler")
    works.airflow.start("scheduler")
    works.airflow.finished(NIGHT, run_id, within_s=420)
    assert works.enriched("killed/") == Counter(keys)
