"""The folder of the release disappears under a run: a clear error, and everything goes on when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.fault_shop import Rows, enrich, etags_aside, fill, only_whole_batches, plan, rows_that_count, settings_at
from tiny_release import write_tiny_release

from models.release import load_release
from pipeline.catalog.plan import read_batches
from pipeline.enrich.runner import Runner
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    settings = settings_at(str(tmp_path), write_tiny_release(tmp_path / "release"), tmp_path / "spill")
    fill(settings)
    return settings


def test_deleted_between_plan_and_enrich(shop: Settings, tmp_path: Path, calm: Rows) -> None:
    planned = plan(shop)
    (tmp_path / "release").rename(tmp_path / "deleted")
    for job in (lambda: enrich(shop, str(planned.plan_id)), lambda: plan(shop)):
        with pytest.raises(
            SettingError, match=r"release\.uri is .*release.*release\.toml.*atelier release create"
        ) as said:
            job()
        assert said.value.exit_code == 3
    assert only_whole_batches(shop) == 0
    (tmp_path / "deleted").rename(tmp_path / "release")
    enrich(shop, str(planned.plan_id))
    assert etags_aside(rows_that_count(shop)) == etags_aside(calm)
    assert plan(shop).pending == 0


def test_deleted_while_its_models_are_at_work(shop: Settings, tmp_path: Path, calm: Rows) -> None:
    """They were read whole when the run began: it ends as if nothing had happened."""
    planned = plan(shop)
    release = load_release(tmp_path / "release", "cpu", "fp32", 1, batch_images=4)

    def delete_after_two(count: int) -> None:
        nonlocal seen
        seen += count
        if seen == 2:
            (tmp_path / "release").rename(tmp_path / "deleted")

    seen = 0
    store = open_store(shop.catalog.uri, shop)
    runner = Runner(shop, store, open_warehouse(shop), release, delete_after_two)
    outcome = runner.run(planned.run_id, read_batches(shop, str(planned.plan_id), 0, 1))
    assert not (tmp_path / "release").exists() and not outcome.failures
    assert etags_aside(rows_that_count(shop)) == etags_aside(calm)
