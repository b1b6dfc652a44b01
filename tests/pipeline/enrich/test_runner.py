"""The runner on a real warehouse: rows committed once, resumed, shared with other batches, given up with the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from models.release import Release
from pipeline.catalog import Batch, PlannedImage, batch_id
from pipeline.enrich.record import record, summary
from pipeline.enrich.runner import Outcome, Runner, translated
from pipeline.errors import Reason, SettingError, TransientError
from pipeline.settings import Settings, load_settings
from pipeline.storage import Fetched, ObjectStore, StoreUnavailable, open_store
from pipeline.tables import Warehouse, open_warehouse

RUN = "20260731T020000Z-aaaaaa"
VOLATILE = {
    "run_id",
    "batch_id",
    "enriched_at",
    "fetch_ms",
    "decode_ms",
    "model_ms",
    "happened_at",
    "next_retry_at",
    "attempts",
}
KEYS = {
    "images": ["image_key"],
    "garments": ["image_key", "garment_index"],
    "embeddings": ["image_key", "garment_index"],
    "quarantine": ["image_key"],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        catalog={"uri": str(tmp_path / "catalog")},
        warehouse={"uri": str(tmp_path / "warehouse")},
        fetch={"threads": 2},
        decode={"threads": 1, "working_side": 64},
        enrich={"model_images": 4, "batch_images": 3},
    )


@pytest.fixture
def catalog(settings: Settings, make_photo: Callable[..., bytes]) -> list[PlannedImage]:
    """Eight photos and a file that is none."""
    store = open_store(settings.catalog.uri, settings)
    planned = []
    for number in range(9):
        key = f"p{number}.jpg"
        data = b"<html>" if number == 4 else make_photo(number, 80, 60)
        planned.append(PlannedImage(key, store.put(key, data), len(data), f"product-{number}"))
    return planned


def batches(planned: list[PlannedImage], release: Release, size: int = 3) -> list[Batch]:
    pieces = [planned[at : at + size] for at in range(0, len(planned), size)]
    return [
        Batch(batch_id(release.release_id, [(i.image_key, i.etag) for i in piece]), number, tuple(piece))
        for number, piece in enumerate(pieces)
    ]


def run(
    settings: Settings, release: Release, todo: Iterable[Batch], run_id: str = RUN, store: object = None
) -> Outcome:
    photos: ObjectStore = store or open_store(settings.catalog.uri, settings)  # type: ignore[assignment]
    return Runner(settings, photos, open_warehouse(settings), release).run(run_id, todo)


def rows(warehouse: Warehouse, table: str) -> list[dict[str, object]]:
    """All rows of a table in order of their keys, less what differs from run to run."""
    read = warehouse.read(table)
    read = read.sort_by([(name, "ascending") for name in KEYS[table]])
    return [{name: value for name, value in row.items() if name not in VOLATILE} for row in read.to_pylist()]


def test_all_photos_end_in_the_tables_or_in_quarantine(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    outcome = run(settings, release, batches(catalog, release))
    assert (outcome.images, outcome.rejects, outcome.batches) == (8, {"not_an_image": 1}, 3)
    assert outcome.images_per_s > 0 and outcome.peak_rss_mib > 50
    assert {"fetch", "decode", "wait", "detect", "crops", "backbone", "heads", "caption", "rows", "commit"} <= set(
        outcome.steps
    )
    warehouse = open_warehouse(settings)
    images = rows(warehouse, "images")
    assert [row["image_key"] for row in images] == [image.image_key for image in catalog if image.image_key != "p4.jpg"]
    assert [row["product_id"] for row in images[:2]] == ["product-0", "product-1"]
    (reject,) = warehouse.read("quarantine").to_pylist()
    assert (reject["image_key"], reject["reason"], reject["permanent"]) == ("p4.jpg", "not_an_image", True)
    assert len(rows(warehouse, "embeddings")) == len(images) + len(rows(warehouse, "garments"))


def test_running_again_replaces_and_resuming_skips(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    todo = batches(catalog, release)
    run(settings, release, todo[:1])
    warehouse = open_warehouse(settings)
    first = warehouse.read("images").column("enriched_at").to_pylist()
    outcome = run(settings, release, todo)
    assert (outcome.skipped, outcome.skipped_images, outcome.batches, outcome.images) == (1, 3, 2, 8)
    after = warehouse.read("images", filter=pc.field("batch_id") == todo[0].batch_id)
    assert after.column("enriched_at").to_pylist() == first  # not computed again
    once = {table: rows(warehouse, table) for table in KEYS}
    again = run(settings, release, todo, run_id="20260731T030000Z-bbbbbb")  # another run with the same batches
    assert (again.skipped, again.batches) == (0, 3)
    assert {table: rows(warehouse, table) for table in KEYS} == once


def test_a_batch_of_rejects_only_is_done_too(settings: Settings, catalog: list[PlannedImage], release: Release) -> None:
    todo = batches([catalog[4]], release)
    assert run(settings, release, todo).rejects == {"not_an_image": 1}
    assert run(settings, release, todo).skipped == 1


def test_a_batch_killed_before_its_last_write_is_done_again(
    settings: Settings, catalog: list[PlannedImage], release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = batches(catalog, release)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "commit_images", killed)
        with pytest.raises(KeyboardInterrupt):
            run(settings, release, todo)
    warehouse = open_warehouse(settings)
    assert warehouse.read("garments").num_rows > 0
    assert warehouse.read("images").num_rows == 0
    assert run(settings, release, todo).batches == 3
    assert len(rows(warehouse, "images")) == 8
    keys = [(row["image_key"], row["garment_index"]) for row in rows(warehouse, "embeddings")]
    assert len(keys) == len(set(keys))


def test_photos_of_another_batch_are_left_to_it(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    run(settings, release, batches(catalog[:2], release))
    (large,) = batches(catalog, release, size=9)
    outcome = run(settings, release, [large], run_id="20260731T030000Z-bbbbbb")
    assert (outcome.images, outcome.overlapped) == (6, 2)
    warehouse = open_warehouse(settings)
    assert len({row["image_key"] for row in rows(warehouse, "images")}) == len(rows(warehouse, "images")) == 8
    written = {row["batch_id"] for table in KEYS for row in warehouse.read(table).to_pylist()}
    rest = batch_id(release.release_id, [(i.image_key, i.etag) for i in catalog[2:]])
    assert written == {rest, *(one.batch_id for one in batches(catalog[:2], release))}
    keys = [(row["image_key"], row["garment_index"]) for row in rows(warehouse, "embeddings")]
    assert len(keys) == len(set(keys))


class Down:
    """A store that fails for keys while `down` says so."""

    def __init__(self, store: ObjectStore, down: set[str]) -> None:
        self.store = store
        self.down = down

    def get(self, key: str, **limits: object) -> Fetched:
        if key in self.down:
            raise StoreUnavailable(f"{key}: 503")
        return self.store.get(key, **limits)  # type: ignore[arg-type]


def test_a_failed_batch_commits_nothing_and_the_others_go_on(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    store = Down(open_store(settings.catalog.uri, settings), {"p3.jpg", "p5.jpg", "p4.jpg"})
    todo = batches(catalog, release)
    outcome = run(settings, release, todo, store=store)
    assert (outcome.batches, len(outcome.failures), outcome.images) == (2, 1, 6)
    with pytest.raises(TransientError, match="1 batches were given up, 2 committed"):
        outcome.raise_failures()
    warehouse = open_warehouse(settings)
    for table in KEYS:
        assert todo[1].batch_id not in warehouse.read(table).column("batch_id").to_pylist()
    store.down.clear()
    assert run(settings, release, todo, store=store).skipped == 2
    assert len(rows(warehouse, "images")) == 8


def test_a_single_fault_waits_for_its_retry_and_counts_attempts_once_a_run(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    store = Down(open_store(settings.catalog.uri, settings), {"p1.jpg"})
    warehouse = open_warehouse(settings)
    alone = batches(catalog[1:2], release)
    for number in (1, 2):
        for _ in range(2):  # a retried task of the same run is the same attempt
            run(settings, release, alone, run_id=f"run-{number}", store=store)
        (row,) = warehouse.read("quarantine").to_pylist()
        assert (row["reason"], row["permanent"], row["attempts"]) == (Reason.FETCH_FAILED, False, number)
        assert row["next_retry_at"] > datetime.now(UTC)


def test_a_store_that_stays_down_ends_the_part_early(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    many = [PlannedImage(f"q{number:03d}.jpg", "x", 10, None) for number in range(40)]
    store = Down(open_store(settings.catalog.uri, settings), {image.image_key for image in many})
    outcome = run(settings, release, batches(many, release, size=4), store=store)
    assert len(outcome.failures) == 3
    assert outcome.batches == 0


def test_an_error_of_the_tables_stops_the_job(
    settings: Settings, catalog: list[PlannedImage], release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Warehouse, "commit_images", full)
    with pytest.raises(TransientError, match="the disk is full"):
        run(settings, release, batches(catalog, release))


def test_what_the_machine_runs_out_of_says_who_acts() -> None:
    import torch

    with pytest.raises(TransientError, match=r"decode\.threads"), translated():
        raise MemoryError
    with pytest.raises(SettingError, match=r"enrich\.model_images"), translated():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
    with pytest.raises(FileNotFoundError), translated():
        raise FileNotFoundError("something else")


def test_nothing_to_do_is_no_error(settings: Settings, release: Release) -> None:
    def none() -> Iterator[Batch]:
        yield from ()

    outcome = run(settings, release, none())
    assert (outcome.images, outcome.batches, outcome.failures) == (0, 0, [])


def test_the_run_is_recorded_once_a_part_and_attempts_add_up(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    warehouse = open_warehouse(settings)
    todo, start = batches(catalog, release), datetime(2026, 7, 31, tzinfo=UTC)
    first = run(settings, release, todo[:2])
    record(warehouse, first, release, run_id=RUN, part=1, started_at=start)
    second = run(settings, release, todo)
    record(warehouse, second, release, run_id=RUN, part=1, started_at=start + timedelta(hours=1))
    (row,) = warehouse.read("runs").to_pylist()
    assert (row["job"], row["part"], row["images"], row["rejects"], row["device"]) == ("enrich", 1, 8, 1, "cpu fp32")
    assert row["started_at"] == start
    assert row["seconds"] == pytest.approx(first.seconds + second.seconds)
    assert row["images_per_s"] == pytest.approx(8 / row["seconds"])
    details = json.loads(row["details"])
    assert (details["batches"], details["rejects"]) == (3, {"not_an_image": 1})
    assert details["seconds"]["backbone"] == pytest.approx(first.steps["backbone"] + second.steps["backbone"], abs=0.01)


def test_the_json_line_says_what_this_attempt_did(
    settings: Settings, catalog: list[PlannedImage], release: Release
) -> None:
    line = summary(run(settings, release, batches(catalog, release)), release, run_id=RUN, part=0)
    assert json.loads(json.dumps(line)) == line
    assert (line["run_id"], line["images"], line["rejects"], line["batches"]) == (RUN, 8, 1, 3)
    assert (line["device"], line["precision"]) == ("cpu", "fp32")
    assert line["seconds"] > 0 and line["images_per_s"] > 0
