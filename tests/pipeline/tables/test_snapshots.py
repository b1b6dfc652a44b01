"""Snapshots: numbered without gaps, never changed, never naming an older version than the one before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import RELEASE, RUN, Photo, commit, new_warehouse, rows_of
from warehouse_workers import overwrite_feed_for_ever, processes

from pipeline.errors import InputError
from pipeline.tables.schema import TABLES


def test_a_snapshot_names_the_version_of_every_table(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    assert warehouse.latest_snapshot() is None
    commit(warehouse, [Photo("a.jpg")])
    taken = warehouse.snapshot(RELEASE, RUN)
    assert (taken.number, taken.release_id, taken.run_id) == (1, RELEASE, RUN)
    assert taken.versions == dict.fromkeys(TABLES) | {"images": 1, "garments": 1, "embeddings": 1}
    assert taken.taken_at.utcoffset() is not None
    commit(warehouse, [Photo("b.jpg")], "b2")
    assert warehouse.snapshot(RELEASE, RUN).number == 2
    assert warehouse.load_snapshot(1) == taken
    latest = warehouse.latest_snapshot()
    assert latest is not None
    assert latest.number == 2


def test_the_ledger_s_version_is_asked_first(tmp_path: Path) -> None:
    """A batch commits `images` last: were it read last, it could count rows that the other versions lack."""
    assert next(iter(new_warehouse(tmp_path).versions())) == "images"


def test_racing_runs_take_different_numbers_and_never_go_back(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    warehouse.overwrite("feed", rows_of("feed", [{"product_id": "0"}]))
    started = processes().Event()
    writer = processes().Process(target=overwrite_feed_for_ever, args=(warehouse.store.uri, started))
    writer.start()
    try:
        assert started.wait(60)
        with ThreadPoolExecutor(6) as pool:
            taken = list(pool.map(lambda run: warehouse.snapshot(RELEASE, f"run{run}"), range(18)))
    finally:
        writer.kill()
        writer.join()
    assert sorted(one.number for one in taken) == list(range(1, 19))
    stored = [warehouse.load_snapshot(number) for number in warehouse.snapshots.numbers()]
    assert stored == sorted(taken, key=lambda one: one.number)
    versions = [one.versions["feed"] or 0 for one in stored]
    assert versions == sorted(versions)
    assert versions[-1] > versions[0]


def test_an_unknown_snapshot_and_a_damaged_one(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    with pytest.raises(InputError, match="there is no snapshot 7"):
        warehouse.load_snapshot(7)
    warehouse.store.put("snapshots/00000007.json", b"{")
    warehouse.store.put("snapshots/notes.txt", b"not one")
    with pytest.raises(InputError, match=r"snapshot 7 .*00000007\.json\) is damaged"):
        warehouse.load_snapshot(7)
    assert warehouse.snapshot(RELEASE, RUN).number == 8
