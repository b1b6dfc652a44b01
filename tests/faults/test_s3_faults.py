"""A store that fails now and then costs time; one that is down ends the run with a clear error; no row is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

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
from faults.s3_faults import PASSING, Fault, FaultPlan, FaultyS3

from pipeline.errors import StaleError, TransientError
from pipeline.settings import Settings
from pipeline.storage import StoreUnavailable, open_store

pytestmark = [pytest.mark.integration, pytest.mark.endurance]

T = TypeVar("T")
TRIES = 4
"""Of a task in the DAGs."""

Made = Callable[[], Settings]


def of_photos(method: str, path: str) -> bool:
    """Requests for one photo; the tables are left alone."""
    return method == "GET" and "/photos/" in path and path.partition("?")[0].endswith((".jpg", ".png"))


@pytest.fixture
def faulty(s3_uri: str, s3_server: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """The proxy, and the settings of this test go through it; waits between tries are a twentieth."""
    monkeypatch.setattr("pipeline.storage.retries.FIRST_WAIT_S", 0.01)
    with FaultyS3(s3_server.endpoint_url) as proxy:  # type: ignore[attr-defined]
        monkeypatch.setenv("ATELIER_S3__ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def made(faulty: FaultyS3, s3_uri: str, fault_release: Path, tmp_path: Path) -> Made:
    """Settings of a shop whose catalog and warehouse lie behind the proxy; the photos are there."""
    settings = settings_at(s3_uri, fault_release, tmp_path / "spill")
    fill(settings)
    return lambda: settings


def as_a_task(job: Callable[[], T]) -> tuple[T, int]:
    """Run a job as Airflow does: again after an error that may pass, `TRIES` times; its result and the tries."""
    for number in range(1, TRIES):
        try:
            return job(), number
        except TransientError as error:
            print(f"try {number}: {error}")
    return job(), TRIES


def test_a_tenth_of_requests_fails_and_the_rows_are_the_same(faulty: FaultyS3, made: Made, calm: Rows) -> None:
    settings = made()
    faulty.plan = FaultPlan(0.1, seed=1, only=lambda method, path: "/tables/" not in path)
    planned, first = as_a_task(lambda: plan(settings))
    faulty.plan = FaultPlan(0.1, seed=1)
    _, second = as_a_task(lambda: enrich(settings, str(planned.plan_id)))
    faulty.plan = None
    print(f"{faulty.requests} requests, faults: {dict(faulty.injected)}, tries: plan {first}, enrich {second}")
    assert etags_aside(rows_that_count(settings)) == etags_aside(calm)
    assert len(calm["images"]) == only_whole_batches(settings)
    assert faulty.injected.total() >= 10
    assert all(faulty.injected[kind] for kind in PASSING), faulty.injected
    assert plan(settings).pending == 0


def test_answers_of_carried_out_writes_are_lost(faulty: FaultyS3, made: Made, calm: Rows) -> None:
    """The worst of them: the commit is in the log, and its writer is told that nothing came of it."""
    settings = made()
    planned = plan(settings)
    faulty.plan = FaultPlan(
        0.2, (Fault.LOST,), seed=2, only=lambda method, path: method == "PUT" and "/tables/" in path, in_a_row=1
    )
    as_a_task(lambda: enrich(settings, str(planned.plan_id)))
    faulty.plan = None
    print(f"lost answers: {faulty.injected[Fault.LOST]} of {faulty.requests} requests")
    assert faulty.injected[Fault.LOST] >= 3
    assert etags_aside(rows_that_count(settings)) == etags_aside(calm)
    assert plan(settings).pending == 0


@pytest.mark.parametrize("kind", PASSING)
def test_a_store_that_is_down_says_so_and_the_rerun_does_all(
    kind: Fault, faulty: FaultyS3, made: Made, calm: Rows
) -> None:
    settings = made()
    planned = plan(settings)
    assert planned.plan_id
    faulty.plan = FaultPlan(1.0, (kind,), in_a_row=None)
    before = faulty.injected.total()
    with pytest.raises(TransientError, match=r"s3\.endpoint_url") as planning:
        plan(settings)
    with pytest.raises(TransientError, match=r"s3\.endpoint_url") as enriching:
        enrich(settings, planned.plan_id)
    faulty.plan = None
    assert planning.value.exit_code == enriching.value.exit_code == 75
    assert isinstance(planning.value, StoreUnavailable) and "4 tries" in str(planning.value)
    assert faulty.injected.total() - before >= 8
    print(f"{dict(faulty.injected)}: {enriching.value}")
    if kind == Fault.ERROR:  # the same for all of them from here on
        enrich(settings, planned.plan_id)
        assert etags_aside(rows_that_count(settings)) == etags_aside(calm)


def test_the_photos_stop_coming_in_the_middle(faulty: FaultyS3, made: Made, calm: Rows) -> None:
    """What was committed stays; the batches given up are named; the same command again does only those."""
    settings = made()
    planned = plan(settings)
    assert planned.plan_id
    late = sorted(photos())[5:]  # all but the first batch
    faulty.plan = FaultPlan(
        1.0, in_a_row=None, only=lambda method, path: of_photos(method, path) and path.endswith(tuple(late))
    )
    with pytest.raises(TransientError, match=r"2 batches were given up, 1 committed; run it again.*catalog\.uri"):
        enrich(settings, planned.plan_id)
    faulty.plan = None
    assert only_whole_batches(settings) == 5
    assert faulty.injected.total() >= 8, faulty.injected
    outcome = enrich(settings, planned.plan_id)
    assert (outcome.skipped, outcome.batches) == (1, 2)
    assert etags_aside(rows_that_count(settings)) == etags_aside(calm)
    assert plan(settings).pending == 0


@pytest.mark.parametrize("kind", [Fault.ERROR, Fault.SLOW_DOWN])
def test_the_tables_are_down_in_the_middle(kind: Fault, faulty: FaultyS3, made: Made, calm: Rows) -> None:
    """The Delta library meets the fault: still an error that is retried, and no half batch."""
    settings = made()
    planned = plan(settings)
    assert planned.plan_id
    began = faulty.injected.total()

    def third_batch(count: int) -> None:
        nonlocal done
        done += count
        if done == 11:
            faulty.plan = FaultPlan(1.0, (kind,), in_a_row=None, only=lambda method, path: "/tables/" in path)

    done = 0
    with pytest.raises(TransientError, match="table") as failed:
        enrich(settings, planned.plan_id, third_batch)
    faulty.plan = None
    print(f"{dict(faulty.injected)}: {failed.value}")
    assert not isinstance(failed.value, StaleError)
    assert faulty.injected.total() > began
    assert only_whole_batches(settings) < len(calm["images"])
    enrich(settings, planned.plan_id)
    assert etags_aside(rows_that_count(settings)) == etags_aside(calm)


def test_half_a_photo_said_to_be_whole_is_not_the_photos_fault(faulty: FaultyS3, made: Made, calm: Rows) -> None:
    """A cache on the way that stores cut answers: the photo is tried again, not put away for good as truncated."""
    settings = made().model_copy(update={"enrich": made().enrich.model_copy(update={"retry_after_s": 0.0})})
    faulty.plan = FaultPlan(1.0, (Fault.SHORT,), in_a_row=None, only=lambda m, p: of_photos(m, p) and "/05.jpg" in p)
    night(settings)
    faulty.plan = None
    assert faulty.injected[Fault.SHORT] >= 1
    standing = {row["image_key"]: row for row in rows_that_count(settings)["quarantine"]}
    assert standing["new/05.jpg"]["reason"] == "fetch_failed" and not standing["new/05.jpg"]["permanent"]
    night(settings)
    assert etags_aside(rows_that_count(settings)) == etags_aside(calm)


def test_the_proxy_itself_changes_nothing_and_counts_what_it_does(faulty: FaultyS3, made: Made) -> None:
    store = open_store(made().catalog.uri, made())
    assert {info.key for info in store.list()} == set(photos())
    assert store.get("new/00.jpg").data == photos()["new/00.jpg"]
    assert not faulty.injected
    faulty.plan = FaultPlan(1.0, (Fault.CUT,), only=of_photos)
    assert store.get("new/00.jpg").data == photos()["new/00.jpg"]
    assert faulty.injected == {Fault.CUT: 2}
