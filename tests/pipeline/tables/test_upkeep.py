"""Compaction and vacuum: the same rows before and after, whoever writes meanwhile, whenever it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from builders import RELEASE, RUN, Photo, commit, new_warehouse
from warehouse_workers import compact_for_ever, processes

from pipeline.tables import Warehouse
from pipeline.tables.upkeep import compact, vacuum

BATCHES = 6
TABLES = ("images", "garments", "embeddings")


def photos_of(batch: int) -> list[Photo]:
    return [Photo(f"{batch:03d}/{number}.jpg", product_id=f"p{batch}") for number in range(3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of many small files; snapshot 1 is half of it, snapshot 2 all."""
    folder = tmp_path_factory.mktemp("made")
    warehouse = new_warehouse(folder)
    for batch in range(BATCHES):
        commit(warehouse, photos_of(batch), f"b{batch}")
        if batch in {BATCHES // 2 - 1, BATCHES - 1}:
            warehouse.snapshot(RELEASE, RUN)
    return folder / "warehouse"


@pytest.fixture
def grown(made: Path, tmp_path: Path) -> Warehouse:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "warehouse")
    return new_warehouse(tmp_path)


def rows(warehouse: Warehouse, versions: dict[str, int | None] | None = None) -> dict[str, list[dict[str, Any]]]:
    return {
        table: sorted(warehouse.read(table, version=versions and versions[table]).to_pylist(), key=str)
        for table in TABLES
    }


def data_files(warehouse: Warehouse) -> set[str]:
    root = Path(warehouse.store.uri) / "tables"
    return {path.relative_to(root).as_posix() for path in root.rglob("*.parquet") if "_delta_log" not in path.parts}


def age_of_retired(warehouse: Warehouse, days: float) -> None:
    """Have all retired snapshots been so for so long."""
    for path in (Path(warehouse.store.uri) / "snapshots" / "retired").iterdir():
        os.utime(path, (time.time() - days * 86400,) * 2)


def test_no_row_changes_and_files_become_few(grown: Warehouse) -> None:
    before = rows(grown)
    assert {one.table for one in compact(grown, 4, dry_run=True)} == set(TABLES)
    assert grown.facts()["images"].files == BATCHES
    done = {one.table: one for one in compact(grown, 4)}
    assert done["images"].replaced == BATCHES
    assert rows(grown) == before
    facts = grown.facts()
    assert [facts[table].files for table in TABLES] == [1, 1, 1]
    assert facts["images"].rows == BATCHES * 3
    assert compact(grown, 2) == [], "a second time finds nothing"


def test_files_are_still_skipped_by_key_and_batches_still_replace_themselves(grown: Warehouse) -> None:
    compact(grown, 4)
    folder = grown.folder("images")
    delta = folder.load()
    assert len(folder.files(delta, "image_key >= '003' AND image_key < '004'")) == 1
    assert folder.files(delta, "image_key >= '999'") == []
    before = rows(grown)
    commit(grown, photos_of(3), "b3")
    assert rows(grown) == before
    commit(grown, photos_of(BATCHES), "new")
    assert len(rows(grown)["images"]) == BATCHES * 3 + 3


def test_few_files_are_left_alone(grown: Warehouse) -> None:
    assert compact(grown, BATCHES + 1) == []


def test_a_writer_goes_on_meanwhile(grown: Warehouse) -> None:
    """New batches, and one that replaces itself, while the table is joined again and again."""
    stop = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        try:
            for batch in range(BATCHES, BATCHES + 4):
                commit(grown, photos_of(batch), f"b{batch}")
                commit(grown, photos_of(2), "b2")
        except Exception as error:
            failed.append(error)
            raise
        finally:
            stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    joined = 0
    while not stop.is_set():
        joined += sum(one.replaced for one in compact(grown, 2))
    writer.join()
    assert not failed
    assert joined
    keys = [row["image_key"] for row in rows(grown)["images"]]
    assert sorted(keys) == sorted(p.image_key for batch in range(BATCHES + 4) for p in photos_of(batch))
    assert len(rows(grown)["garments"]) == len(keys)
    assert len(rows(grown)["embeddings"]) == 2 * len(keys)


def test_killed_at_any_moment_loses_nothing(grown: Warehouse) -> None:
    before = rows(grown)
    process = processes().Process(target=compact_for_ever, args=(grown.store.uri, photos_of(2)))
    begun = grown.version("images") or 0
    process.start()
    try:
        deadline = time.monotonic() + 120
        while (grown.version("images") or 0) < begun + 4 and time.monotonic() < deadline:
            time.sleep(0.02)  # until it has joined and written some times
        assert process.is_alive()
        os.kill(process.pid or 0, signal.SIGKILL)
    finally:
        process.kill()
        process.join()
    assert rows(grown) == before
    compact(grown, 2)
    assert rows(grown) == before
    vacuum(grown, 0, pins={1, 2})
    assert rows(grown) == before


def test_snapshots_that_are_kept_can_be_read_after_everything_else_went(grown: Warehouse) -> None:
    first, second = grown.load_snapshot(1), grown.load_snapshot(2)
    before = [rows(grown, snapshot.versions) for snapshot in (first, second)]
    compact(grown, 4)
    grown.snapshot(RELEASE, RUN)
    done = vacuum(grown, 0, pins={1})
    assert (done.retired, done.kept) == ((2,), (1, 3))
    assert [rows(grown, snapshot.versions) for snapshot in (first, second)] == before, "a reader has a day"
    assert list(grown.snapshots.numbers()) == [1, 3]
    age_of_retired(grown, 2)
    assert vacuum(grown, 0, pins={1}, dry_run=True).files["images"] == BATCHES // 2
    done = vacuum(grown, 0, pins={1})
    assert done.files == dict.fromkeys(TABLES, BATCHES // 2)
    assert rows(grown, first.versions) == before[0]
    assert rows(grown) == before[1]
    assert vacuum(grown, 0, pins={1}).files == {}
    assert grown.snapshots.retired() == []


def test_nothing_young_goes(grown: Warehouse, tmp_path: Path) -> None:
    """Files that were replaced days ago, files a writer has not committed yet, snapshots, plans."""
    compact(grown, 4)
    stray = Path(grown.store.uri) / "tables" / "images" / f"release_id={RELEASE}" / "part-uncommitted.parquet"
    stray.write_bytes(b"being written")
    grown.store.put("plans/20261123T020000Z-aaaaaa/plan.json", b"{}")
    files = data_files(grown)
    done = vacuum(grown, 8, pins=())
    assert (done.retired, done.files, done.plans) == ((), {}, ())
    assert data_files(grown) == files
    old = time.time() - 9 * 86400
    os.utime(stray, (old, old))
    os.utime(Path(grown.store.uri) / "plans" / "20261123T020000Z-aaaaaa" / "plan.json", (old, old))
    assert vacuum(grown, 8, pins=(), dry_run=True).plans == ("20261123T020000Z-aaaaaa",)
    assert stray.exists()
    done = vacuum(grown, 8, pins=())
    assert (done.files, done.plans) == ({"images": 1}, ("20261123T020000Z-aaaaaa",))
    assert data_files(grown) == files - {f"images/release_id={RELEASE}/part-uncommitted.parquet"}
    assert list(grown.store.list("plans/")) == []
