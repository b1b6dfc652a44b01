"""Batches replace themselves: whatever is written again, stopped half-way or empty, rows are there exactly once."""

from __future__ import annotations

import signal
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from builders import Photo, embedding_rows, garment_rows, image_rows, new_warehouse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warehouse_workers import commit_batches, photos_of_batch, processes, replace_same_batch

from pipeline.errors import StaleError
from pipeline.tables import Warehouse, connect

SIDE = {"garments": garment_rows, "embeddings": embedding_rows}
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def names(rows: pa.Table) -> Counter[tuple[str, int]]:
    """How often each garment or vector is there."""
    return Counter(zip(rows.column("image_key").to_pylist(), rows.column("garment_index").to_pylist(), strict=True))


def names_of(table: str, batches: set[int]) -> Counter[tuple[str, int]]:
    first = 0 if table == "garments" else -1
    photos = [photo for number in batches for photo in photos_of_batch(number)]
    return Counter((p.image_key, index) for p in photos for index in range(first, p.garments))


@few
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=6))
def test_a_batch_becomes_its_last_rows(writes: list[tuple[int, int]]) -> None:
    model: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        warehouse = new_warehouse(Path(folder))
        for batch, count in writes:
            photos = [Photo(f"{batch}-{i}-{len(model)}.jpg") for i in range(count)]
            warehouse.replace_batch("garments", f"b{batch}", garment_rows(photos, f"b{batch}"))
            model[f"b{batch}"] = [photo.image_key for photo in photos]
        rows = warehouse.read("garments", columns=["batch_id", "image_key"]).to_pylist()
    found = Counter((row["batch_id"], row["image_key"]) for row in rows)
    assert found == Counter((batch, key) for batch, keys in model.items() for key in keys)


@few
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=7))
def test_rows_count_exactly_once_however_attempts_end(attempts: list[tuple[int, int]]) -> None:
    """Each attempt writes a batch and stops after 1, 2 or all 3 of its tables, as if it had been killed there."""
    committed: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = new_warehouse(Path(folder))
        for number, tables in attempts:
            write_part(warehouse, number, tables)
            committed |= {number} if tables == 3 else set()
        for table in SIDE:
            rows = warehouse.read(table)
            assert set(names(rows).values()) <= {1}
            ledger = warehouse.read("images").column("batch_id")
            counted = rows.filter(pc.is_in(rows.column("batch_id"), value_set=ledger.combine_chunks()))
            assert names(counted) == names_of(table, committed)


def write_part(warehouse: Warehouse, number: int, tables: int) -> None:
    batch_id, photos = f"batch{number}", photos_of_batch(number)
    for table in list(SIDE)[:tables]:
        warehouse.replace_batch(table, batch_id, SIDE[table](photos, batch_id))
    if tables == 3:
        warehouse.commit_images(batch_id, "0123456789ab", image_rows(photos, batch_id))


MOMENTS = [(table, file) for table in (*SIDE, "images") for file in ("*/*.parquet", "_delta_log/*.json")]
"""When a process is killed: as soon as it has written another such file of that table."""


def test_killed_at_any_moment_and_run_again(tmp_path: Path) -> None:
    """Kill -9 a process in the middle of its writes, at each kind of moment; then let it finish."""
    open_here = partial(new_warehouse, tmp_path, warehouse={"uri": str(tmp_path)})
    numbers = range(len(MOMENTS))
    uncommitted = 0
    for first, (table, file) in enumerate(MOMENTS):
        worker = processes().Process(target=commit_batches, args=(str(tmp_path), [*numbers[first:], *numbers[:first]]))
        kill_when_it_writes(worker, tmp_path / "tables" / table, file)
        uncommitted += assert_whole(open_here())
    assert uncommitted, "no kill left anything half-done: this test has tried nothing"
    commit_batches(str(tmp_path), numbers)
    for table in SIDE:
        assert names(open_here().read(table)) == names_of(table, set(numbers))
    keys = open_here().read("images").column("image_key").to_pylist()
    assert Counter(keys) == Counter(p.image_key for number in numbers for p in photos_of_batch(number))


def kill_when_it_writes(worker: Any, folder: Path, pattern: str) -> None:
    before = set(folder.glob(pattern))
    worker.start()
    deadline = time.monotonic() + 60
    while worker.is_alive() and set(folder.glob(pattern)) <= before and time.monotonic() < deadline:
        time.sleep(0.0005)
    worker.kill()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL


def assert_whole(warehouse: Warehouse) -> int:
    """Whatever counts belongs to whole batches. Returns how many batches are there in part, without counting."""
    with connect(warehouse) as con:
        batches = {int(row[0].removeprefix("batch")) for row in con.execute("select batch_id from images").fetchall()}
        for table in SIDE:
            assert names(con.sql(f"from {table}").to_arrow_table()) == names_of(table, batches)
        query = "select count(distinct batch_id) from stored.garments anti join images using (batch_id)"
        return con.execute(query).fetchall()[0][0]


@pytest.mark.parametrize("table", SIDE)
def test_two_attempts_of_one_batch_at_once_leave_its_rows_once(table: str, tmp_path: Path) -> None:
    rounds = 8
    barrier = processes().Barrier(2)
    workers = [
        processes().Process(target=replace_same_batch, args=(str(tmp_path), table, rounds, barrier)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = names(new_warehouse(tmp_path, warehouse={"uri": str(tmp_path)}).read(table))
    assert found == names_of(table, set(range(rounds)))


def test_an_empty_batch_makes_no_commit(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    assert warehouse.replace_batch("garments", "b1", garment_rows([], "b1")) == 0
    assert warehouse.replace_batch("garments", "b1", garment_rows([], "b1")) == 0
    assert warehouse.replace_batch("garments", "b1", garment_rows([Photo("a.jpg")], "b1")) == 1
    assert warehouse.replace_batch("garments", "b1", garment_rows([], "b1")) == 2
    assert warehouse.read("garments").num_rows == 0


@pytest.mark.parametrize("there", [False, True])
def test_of_two_attempts_from_one_version_the_second_fails(there: bool, tmp_path: Path) -> None:
    """Both saw the batch missing (or there): the library would keep the rows of both."""
    warehouse = new_warehouse(tmp_path)
    folder, before = warehouse.folder("garments"), "b1" if there else "b0"
    warehouse.replace_batch("garments", before, garment_rows([Photo("z.jpg")], before))
    one, other = folder.load_or_create(), folder.load_or_create()
    folder.put_batch(one, "b1", garment_rows([Photo("a.jpg")], "b1"))
    with pytest.raises(StaleError):
        folder.put_batch(other, "b1", garment_rows([Photo("a.jpg")], "b1"))
    assert warehouse.read("garments").column("image_key").to_pylist().count("a.jpg") == 1


def test_new_batches_land_behind_each_other_without_being_written_twice(tmp_path: Path) -> None:
    folder = new_warehouse(tmp_path).folder("garments")
    one, other = folder.load_or_create(), folder.load_or_create()
    folder.put_batch(one, "b1", garment_rows([Photo("a.jpg")], "b1"))
    assert folder.put_batch(other, "b2", garment_rows([Photo("b.jpg")], "b2")) == 2
