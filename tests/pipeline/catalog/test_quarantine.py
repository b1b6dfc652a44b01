"""Where a photo stands is what its newest event says; waits double; a person has the last word."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import PlannedImage
from pipeline.catalog.quarantine import LONGEST_WAIT, earlier_events, fold, given_up, readmit, standing, wait_after
from pipeline.cli import quarantine_commands
from pipeline.errors import InputError, PhotoError, Reason
from pipeline.settings import EnrichSettings

NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVENT = st.fixed_dictionaries(
    {
        "image_key": st.sampled_from("ab"),
        "etag": st.sampled_from("12"),
        "batch_id": st.sampled_from("xyz"),
        "happened_at": st.integers(0, 3).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    }
)


@settings(max_examples=25, deadline=None)
@given(events=st.lists(EVENT, max_size=12, unique_by=lambda e: (e["image_key"], e["etag"], e["batch_id"])))
def test_newest_event_counts(rows: Any, events: list[dict[str, Any]]) -> None:
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sorted(events, key=lambda e: (e["happened_at"], e["batch_id"])):
        newest[event["image_key"], event["etag"]] = event
    shuffled = random.Random(len(events)).sample(events, len(events))
    folded = fold(rows("quarantine", shuffled))
    kept = folded.select(["image_key", "etag", "batch_id", "happened_at"]).to_pylist()
    assert kept == [newest[pair] for pair in sorted(newest)]


def test_waits_double_until_a_person_has_to_look() -> None:
    enrich = EnrichSettings(retry_after_s=10, retry_attempts=5)
    waits = [wait_after(attempts, enrich) for attempts in range(1, 7)]
    assert waits == [timedelta(seconds=s) for s in (10, 20, 40, 80)] + [None, None]
    assert wait_after(1, EnrichSettings(retry_after_s=0)) == timedelta(0)
    assert wait_after(10**6, EnrichSettings(retry_attempts=10**7)) == LONGEST_WAIT
    assert wait_after(3, EnrichSettings(retry_after_s=1e300)) == LONGEST_WAIT


def reject(shop: Any, key: str, reason: Reason, run_id: str, batch_id: str | None = None, etag: str = "e") -> None:
    bad = [(PlannedImage(key, etag, 1, None), PhotoError(reason, "said so"))]
    shop.reject(bad, batch_id or f"batch-{run_id}", run_id)


def state(shop: Any) -> list[tuple[Any, ...]]:
    columns = ("image_key", "reason", "permanent", "attempts")
    folded = fold(shop.warehouse.read("quarantine"))
    return [tuple(row[name] for name in columns) for row in folded.to_pylist()]


def test_attempts_go_on_from_run_to_run(shop: Any) -> None:
    """Three tries are allowed here; a retried task of one run counts once, whatever batch it ends up in."""
    for run, expected in [("1", (False, 1)), ("2", (False, 2)), ("2", (False, 2)), ("3", (True, 3)), ("4", (True, 4))]:
        reject(shop, "a", Reason.FETCH_FAILED, run, f"batch-{run}-{random.random()}")
        assert state(shop) == [("a", "fetch_failed", *expected)]
    reject(shop, "b", Reason.EMPTY, "5")
    assert state(shop)[1] == ("b", "empty", True, 1)


def test_attempts_go_on_where_a_batch_of_the_same_name_took_the_earlier_event_s_place(shop: Any) -> None:
    """The same photos failed together before, so their batch has the same name; a retried task writes it once more."""
    for run, attempts in [("1", 1), ("2", 2), ("2", 2), ("3", 3)]:
        reject(shop, "a", Reason.FETCH_FAILED, run, "same")
        assert state(shop)[0][3] == attempts


def test_other_bytes_start_from_one(shop: Any) -> None:
    reject(shop, "a", Reason.FETCH_FAILED, "1", etag="e1")
    reject(shop, "a", Reason.FETCH_FAILED, "2", etag="e2")
    assert [attempts for *_, attempts in state(shop)] == [1, 1]


def test_earlier_events_of_many_keys(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.quarantine.KEYS_AT_ONCE", 2)
    for number, key in enumerate("abcde"):
        reject(shop, key, Reason.EMPTY, str(number))
    assert earlier_events(shop.warehouse, []).num_rows == 0
    assert sorted(earlier_events(shop.warehouse, list("abdx")).column("image_key").to_pylist()) == ["a", "b", "d"]


@pytest.fixture
def sick(shop: Any) -> Any:
    """Four photos; one truncated, one too large, one that could not be fetched."""
    for key in "abcd":
        shop.put(f"{key}.jpg")
    rejects = {"a.jpg": Reason.TRUNCATED, "b.jpg": Reason.TOO_MANY_PIXELS, "c.jpg": Reason.FETCH_FAILED}
    shop.enrich(shop.plan(), rejects)
    return shop


def standing_keys(shop: Any, **chosen: Any) -> list[str]:
    return standing(shop.warehouse, **chosen).column("image_key").to_pylist()


def test_standing_leaves_out_what_no_longer_matters(sick: Any) -> None:
    assert standing_keys(sick) == ["a.jpg", "b.jpg", "c.jpg"]
    assert standing_keys(sick, reason="truncated") == ["a.jpg"]
    assert standing_keys(sick, key="c.jpg") == ["c.jpg"]
    assert standing_keys(sick, key="d.jpg") == []
    with pytest.raises(InputError, match=r"no reason 'bad'; there are empty, not_an_image"):
        standing(sick.warehouse, reason="bad")
    sick.put("a.jpg", b"mended")
    sick.delete("b.jpg")
    plan = sick.plan()
    assert standing_keys(sick) == ["c.jpg"]
    sick.enrich(plan)
    assert standing_keys(sick) == []


def test_photo_that_another_release_could_read_since_is_out(sick: Any) -> None:
    """And one that this release can't read, although an earlier one could, is in."""
    sick.release_id = "r2"
    readmit(sick.warehouse, standing(sick.warehouse, key="b.jpg"), datetime.now(UTC))
    sick.enrich(sick.plan(), {"d.jpg": Reason.FETCH_FAILED})
    assert standing_keys(sick) == ["a.jpg", "d.jpg"]


def test_readmitted_photos_are_planned_and_count_from_zero(sick: Any) -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    assert readmit(sick.warehouse, standing(sick.warehouse, reason="too_many_pixels"), early) == 1
    assert readmit(sick.warehouse, standing(sick.warehouse, reason="too_many_pixels"), early) == 0
    plan = sick.plan()
    assert {reason: count for reason, count in plan.by_reason.items() if count} == {"retry": 1, "readmitted": 1}
    sick.enrich(plan, {"b.jpg": Reason.TOO_MANY_PIXELS, "c.jpg": Reason.FETCH_FAILED})
    assert state(sick) == [
        ("a.jpg", "truncated", True, 1),
        ("b.jpg", "too_many_pixels", True, 1),
        ("c.jpg", "fetch_failed", False, 2),
    ]


def test_commands(sick: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(quarantine_commands, "settings", lambda: sick.settings)

    def printed() -> Any:
        (line,) = capsys.readouterr().out.splitlines()
        return json.loads(line)

    quarantine_commands.show(limit=1)
    listed = printed()
    assert listed["quarantined"] == 3
    assert listed["by_reason"] == {"truncated": 1, "too_many_pixels": 1, "fetch_failed": 1}
    assert [photo["image_key"] for photo in listed["photos"]] == ["a.jpg"]
    quarantine_commands.readmit_photos(everything=True, dry_run=True)
    assert printed() == {"readmitted": 0, "matched": 3, "by_reason": listed["by_reason"]}
    quarantine_commands.readmit_photos(key="a.jpg")
    assert printed()["readmitted"] == 1
    quarantine_commands.show(limit=50)
    assert printed()["quarantined"] == 2
    for wrong in ({}, {"everything": True, "key": "a.jpg"}):
        with pytest.raises(InputError, match="--all"):
            quarantine_commands.readmit_photos(**wrong)


def test_those_that_were_given_up_are_told_from_those_that_are_bad(shop: Any) -> None:
    """A fetch that failed too often waits for a person like broken bytes do, but trying it again may help."""
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        shop.put(key)
    shop.plan()
    etags = {row["image_key"]: row["etag"] for row in shop.warehouse.read("catalog").to_pylist()}
    for run in ("1", "2", "3"):  # enrich.retry_attempts
        reject(shop, "a.jpg", Reason.FETCH_TIMEOUT, run, f"a{run}", etags["a.jpg"])
    reject(shop, "b.jpg", Reason.TRUNCATED, "1", "b1", etags["b.jpg"])
    reject(shop, "c.jpg", Reason.FETCH_FAILED, "1", "c1", etags["c.jpg"])
    assert standing(shop.warehouse).num_rows == 3
    assert given_up(standing(shop.warehouse)).column("image_key").to_pylist() == ["a.jpg"]
