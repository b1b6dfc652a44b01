"""What a wave of the backfill is called, and which photos it is about."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.settings import give, settings

DAGS = str(Path(__file__).parents[2] / "dags")
DAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def backfill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The DAG file as a module, in a deployment whose photos lie by day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("ATELIER_AIRFLOW__PARTITION", "incoming/%Y-%m-%d/")
        patch.syspath_prepend(DAGS)
        settings.cache_clear()
        yield importlib.import_module("catalog_backfill")
    sys.modules.pop("catalog_backfill")
    settings.cache_clear()


def test_the_prefix_of_a_day_is_that_of_its_interval(backfill: ModuleType) -> None:
    assert backfill.prefix_of("backfill", DAY, "") == "incoming/2024-05-01/"
    assert backfill.prefix_of("manual", DAY, "shoes/") == "shoes/"
    assert backfill.prefix_of("operator_triggered", None, "incoming/2024-05-01/") == "incoming/2024-05-01/"


def test_runs_of_the_schedule_do_nothing(backfill: ModuleType) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="backfill create"):
        backfill.prefix_of("scheduled", DAY, "")


def test_the_type_of_a_run_is_told_apart_as_tasks_get_it(backfill: ModuleType) -> None:
    """A member of an enumeration, whose `str` is not its value."""
    from airflow.sdk.api.datamodels._generated import DagRunType
    from airflow.sdk.exceptions import AirflowSkipException

    assert backfill.prefix_of(DagRunType.BACKFILL, DAY, "") == "incoming/2024-05-01/"
    with pytest.raises(AirflowSkipException):
        backfill.prefix_of(DagRunType.SCHEDULED, DAY, "")


def test_no_wave_follows_where_nothing_was_planned(backfill: ModuleType) -> None:
    """The plan of a run of the schedule is skipped: `next_wave` runs all the same, by its trigger rule."""
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException):
        backfill.next_wave.function(None)


def test_waves_count_on_from_the_first_run(backfill: ModuleType) -> None:
    second = backfill.wave_after("manual__2026-11-23T09:09:04+00:00")
    assert second == "manual__2026-11-23T09:09:04+00:00__wave_2"
    assert backfill.wave_after(second) == "manual__2026-11-23T09:09:04+00:00__wave_3"
    assert backfill.wave_after("by_hand__wave_9") == "by_hand__wave_10"


def test_another_release_is_an_option_of_every_command() -> None:
    before = settings().catalog
    try:
        give(release={"uri": "s3://bucket/releases/7"})
        assert settings().release.uri == "s3://bucket/releases/7"
        assert settings().catalog == before
    finally:
        give(release={})
    assert settings().release.uri == "starter"
