"""SQL sees one state: pinned versions, only rows that count, declared types; wherever the tables lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import RELEASE, RUN, START, Photo, commit, garment_rows, list_catalog, new_warehouse, rows_of

from pipeline.errors import InputError, SettingError
from pipeline.tables import connect
from pipeline.tables.query import sql_type
from pipeline.tables.schema import TABLES


def test_every_table_and_view_of_an_empty_warehouse_can_be_asked(tmp_path: Path) -> None:
    with connect(new_warehouse(tmp_path)) as con:
        names = con.execute("select view_name from duckdb_views() where not internal").fetchall()
        assert {name for (name,) in names} >= {*TABLES, "enriched", "products", "duplicates", "run_history"}
        for (name,) in names:
            assert con.execute(f'from "{name}"').fetchall() == []
    assert not (tmp_path / "warehouse").exists()


def test_tables_have_the_declared_columns_and_types(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg", columns={"attributes": [{"head": "fit", "label": "slim", "score": 0.5}]})])
    list_catalog(warehouse, ["a.jpg"])
    with connect(warehouse) as con:
        for table in TABLES.values():
            described = con.execute(f'describe "{table.name}"').fetchall()
            assert [(row[0], row[1].replace('"', "")) for row in described] == [
                (c.name, sql_type(c.type).replace('"', "")) for c in table.columns
            ]
        assert con.execute("select release_id, enriched_at::varchar from images").fetchall() == [
            (RELEASE, "2026-11-23 02:10:00+00")
        ]


def test_rows_count_when_their_batch_is_in_the_ledger(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg")])
    warehouse.replace_batch("garments", "killed", garment_rows([Photo("b.jpg", garments=2)], "killed"))
    warehouse.replace_batch("quarantine", "rejects", rows_of("quarantine", [{"batch_id": "rejects"}]))
    with connect(warehouse) as con:
        assert con.execute("select image_key from garments").fetchall() == [("a.jpg",)]
        assert con.execute("select count(*) from stored.garments").fetchone() == (3,)
        assert con.execute("select batch_id from quarantine").fetchall() == [("rejects",)]


def test_a_snapshot_stays_what_it_was(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg")])
    list_catalog(warehouse, ["a.jpg", "b.jpg"])
    pinned = warehouse.snapshot(RELEASE, RUN)
    commit(warehouse, [Photo("b.jpg")], "b2")
    commit(warehouse, [Photo("a.jpg"), Photo("b.jpg")], "b3", release_id="newer")
    warehouse.overwrite("feed", rows_of("feed", [{}]))
    with connect(warehouse, pinned) as con:
        assert con.execute("select image_key, release_id from enriched").fetchall() == [("a.jpg", RELEASE)]
        assert con.execute("select count(*) from feed").fetchone() == (0,)
        assert con.execute("select number, release_id, run_id, taken_at from this_snapshot").fetchone() == (
            1,
            RELEASE,
            RUN,
            pinned.taken_at,
        )


def test_without_a_snapshot_the_release_enriched_with_last_is_current(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg", columns={"enriched_at": START})], "b1", release_id="older")
    commit(warehouse, [Photo("a.jpg"), Photo("b.jpg")], "b2", release_id="newer")
    list_catalog(warehouse, ["a.jpg", "b.jpg"])
    with connect(warehouse) as con:
        assert con.execute("select distinct release_id from enriched").fetchall() == [("newer",)]
    with connect(warehouse, release_id="older") as con:
        assert con.execute("select image_key from enriched").fetchall() == [("a.jpg",)]


def test_a_snapshot_whose_version_is_gone_is_named(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg")])
    taken = warehouse.snapshot(RELEASE, RUN)
    taken.versions["garments"] = 99
    with pytest.raises(InputError, match="table garments has no version 99"):
        connect(warehouse, taken)


@pytest.mark.parametrize("name", ["a b", "ü 写", "it's", "50#", "what?", "st*r", "{a,b}", 'a&=,;:@!$~`<>"'])
def test_folders_may_have_odd_names(name: str, tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path / name)
    commit(warehouse, [Photo("a.jpg", garments=2)])
    list_catalog(warehouse, ["a.jpg"])
    with connect(warehouse) as con:
        assert con.execute("select count(*) from garments_current").fetchone() == (2,)
    assert warehouse.read("garments").num_rows == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["50%", "x%20y", "[a]", "a|b", "a^b", "a\\b"])
def test_folders_that_the_library_can_t_hold_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"warehouse\.uri is .* tables can't lie there because of"):
        new_warehouse(tmp_path / name)


def test_two_connections_never_spill_into_one_folder(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    with connect(warehouse) as one, connect(warehouse) as other:
        folders = {con.execute("select current_setting('temp_directory')").fetchone() for con in (one, other)}
        one.execute("set memory_limit = '60MB'")
        one.execute("create table big as select range::varchar || repeat('x', 100) as x from range(1_000_000)")
        assert one.execute("select count(distinct x) from big").fetchone() == (1_000_000,)
    assert len(folders) == 2
    assert [file.name for file in (tmp_path / "spill").glob("*/*")] == ["owner.lock"]


LIMITED = """
import sys
from pathlib import Path
from builders import new_warehouse
from pipeline.tables import connect
con = connect(new_warehouse(Path(sys.argv[2]), warehouse={"uri": sys.argv[1]}))
print(con.execute("select image_key from garments limit 1").fetchall())
print(con.execute("select count(*) from images").fetchone())
"""


@pytest.mark.integration
def test_sql_over_s3(s3_uri: str, tmp_path: Path) -> None:
    uri = f"{s3_uri}/some/warehouse"
    warehouse = new_warehouse(tmp_path, warehouse={"uri": uri})
    for number in range(4):
        commit(warehouse, [Photo(f"{number}-{i}.jpg", garments=2) for i in range(50)], f"b{number}")
    warehouse.replace_batch("garments", "killed", garment_rows([Photo("c.jpg")], "killed"))
    list_catalog(warehouse, [f"{number}-{i}.jpg" for number in range(4) for i in range(40)])
    pinned = warehouse.snapshot(RELEASE, RUN)
    commit(warehouse, [Photo("late.jpg")], "late")
    with connect(warehouse, pinned) as con:
        assert con.execute("select count(*), min(image_key) from enriched").fetchone() == (160, "0-0.jpg")
        assert con.execute("select count(*) from garments where image_key = '1-1.jpg'").fetchone() == (2,)
        assert con.execute("select count(*) from garments").fetchone() == (400,)
    # A process that stops reading early has to end as well: file systems that call into Python crash there.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", LIMITED, uri, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(201,)\n")
