"""Clocks that are wrong: photos from the future, a night whose machine lives in the past; what is done stays done."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from faults.fault_shop import (
    Rows,
    enrich,
    etags_aside,
    fill,
    night,
    only_whole_batches,
    photos,
    plan,
    rows_that_count,
    settings_at,
)
from tiny_release import photo_bytes

from pipeline.settings import Settings

CLOCKS = ("pipeline.catalog.plan", "pipeline.catalog.decide", "pipeline.enrich.batch")
"""Modules that ask for the time where it decides what is pending or is written beside a row."""


def set_clock(monkeypatch: pytest.MonkeyPatch, off: timedelta) -> None:
    """Have this process's clock run ahead (or behind, if negative); the kernel's can't be set for one process."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + off

    for module in CLOCKS:
        monkeypatch.setattr(f"{module}.datetime", Skewed)


@pytest.fixture
def shop(tmp_path: Path, fault_release: Path) -> Settings:
    settings = settings_at(str(tmp_path), fault_release, tmp_path / "spill")
    fill(settings)
    return settings


def set_times(settings: Settings, off: timedelta) -> None:
    when = (datetime.now(UTC) + off).timestamp()
    for key in photos():
        os.utime(Path(settings.catalog.uri) / key, (when, when))


@pytest.mark.parametrize("off", [timedelta(days=3650), timedelta(days=-18000)])
def test_photos_dated_in_the_future_or_long_ago_are_read_once(off: timedelta, shop: Settings, calm: Rows) -> None:
    set_times(shop, off)
    night(shop)
    assert etags_aside(rows_that_count(shop)) == etags_aside(calm)
    assert plan(shop).pending == 0


def test_a_second_night_with_an_earlier_clock(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first machine was a day fast; the second finds nothing to do but the photo that was replaced, and does it."""
    with monkeypatch.context() as fast:
        set_clock(fast, timedelta(days=1))
        night(shop)
    before = rows_that_count(shop)
    set_clock(monkeypatch, timedelta(days=-1))
    assert plan(shop).pending == 0
    path = Path(shop.catalog.uri) / "new/03.jpg"
    path.write_bytes(photo_bytes(99, 90, 120))
    planned = plan(shop)
    assert planned.pending == 1 and planned.by_reason["changed"] == 1
    enrich(shop, str(planned.plan_id))
    assert plan(shop).pending == 0
    after = rows_that_count(shop)
    assert [row for row in after["images"] if row in before["images"]] == before["images"]
    assert len(after["images"]) == len(before["images"]) + 1
    assert after["quarantine"] == before["quarantine"]


def test_a_wait_set_by_a_fast_clock_ends_when_a_right_one_gets_there(
    shop: Settings, calm: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that could not be fetched waits; it is counted as waiting and is read once its time has come."""
    planned = plan(shop)
    path = Path(shop.catalog.uri) / "new/03.jpg"
    data, times = path.read_bytes(), path.stat()
    path.unlink()
    with monkeypatch.context() as fast:
        set_clock(fast, timedelta(days=1))
        enrich(shop, str(planned.plan_id))
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    now = plan(shop)
    assert (now.pending, now.left_out["waiting"]) == (0, 1)
    set_clock(monkeypatch, timedelta(days=3))
    night(shop)
    assert etags_aside(rows_that_count(shop)) == etags_aside(calm)
    assert only_whole_batches(shop) == len(calm["images"])
