"""Published copies: readers see the view's rows; versions are immutable; only what passed its checks goes live."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from builders import RELEASE, RUN, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline import settings as settings_module
from pipeline.cli import tables_commands
from pipeline.errors import GateError, InputError, StaleError
from pipeline.tables import Warehouse, connect
from pipeline.tables import published as copies
from pipeline.tables.copies import NO_VALUE, ROW_GROUP_ROWS, Copy, folder_of, write_copy

TYPES = ("Dress", "T-Shirt / Top", "100% Söckchen", None, "a=b")
EXPECTED = {(f"p{n:02d}", f"{n:02d}.jpg", TYPES[n % 5]) for n in range(25)}


def fill(warehouse: Warehouse) -> None:
    photos = [
        Photo(f"{n:02d}.jpg", product_id=f"p{n:02d}", columns={"type": TYPES[n % 5], "type_score": 0.5})
        for n in range(25)
    ]
    commit(warehouse, photos)
    list_catalog(warehouse, photos)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    made = new_warehouse(tmp_path)
    fill(made)
    return made


def publish(warehouse: Warehouse, run_id: str = RUN) -> copies.Live:
    return copies.publish(warehouse, warehouse.snapshot(RELEASE, run_id))


def where(warehouse: Warehouse, view: str = "enriched") -> str:
    return copies.published(warehouse.settings, view)


READERS = {
    "pandas": pd.read_parquet,
    "duckdb": lambda path: duckdb.sql(f"FROM read_parquet('{path}/**/*.parquet', hive_partitioning = true)").df(),
    "dask": lambda path: dd.read_parquet(path).compute(),
    "polars": lambda path: pl.read_parquet(path).to_pandas(),
}


@pytest.mark.parametrize("reader", READERS)
def test_one_line_reads_every_row(reader: str, warehouse: Warehouse) -> None:
    publish(warehouse)
    rows = READERS[reader](where(warehouse))
    found = {
        (product, key, None if pd.isna(kind) else kind)
        for product, key, kind in zip(rows["product_id"], rows["image_key"], rows["type"], strict=True)
    }
    assert found == EXPECTED
    assert len(rows) == 25
    assert len(READERS[reader](where(warehouse, "products"))) == 25


def test_one_type_is_read_from_its_folder_alone(warehouse: Warehouse) -> None:
    publish(warehouse)
    path = where(warehouse)
    for kind in TYPES:
        folder = ("type_folder", "==", kind or NO_VALUE)
        for rows in (pd.read_parquet(path, filters=[folder]), dd.read_parquet(path, filters=[folder]).compute()):
            assert {None if pd.isna(found) else found for found in rows["type"]} == {kind}
        rows = pl.scan_parquet(path).filter(pl.col("type_folder") == (kind or NO_VALUE)).collect()
        assert rows["type"].to_list() == [kind] * 5
    query = f"SELECT count(*) FROM read_parquet('{path}/**/*.parquet') WHERE type_folder = 'T-Shirt / Top'"
    assert duckdb.sql(query).fetchall() == [(5,)]
    assert len(pd.read_parquet(path, filters=[("type", "==", "Dress")])) == 5
    folders = sorted(folder.name for folder in Path(path).iterdir())
    assert folders == sorted(folder_of("type_folder", kind or NO_VALUE) for kind in TYPES)


def test_the_copy_holds_what_the_view_holds(warehouse: Warehouse) -> None:
    live = publish(warehouse)
    with connect(warehouse, run=RUN) as con:
        for view in ("enriched", "products"):
            path = where(warehouse, view)
            con.execute(
                f"CREATE TABLE copy_{view} AS FROM read_parquet('{path}/**/*.parquet', hive_partitioning = true)"
            )
            names = [row[0] for row in con.execute(f"DESCRIBE {view}").fetchall()]
            listed = ", ".join(f'"{name}"' for name in names)
            for one, other in ((view, f"copy_{view}"), (f"copy_{view}", view)):
                assert (
                    con.execute(f"SELECT {listed} FROM {one} EXCEPT ALL SELECT {listed} FROM {other}").fetchall() == []
                )
            assert live.live.tables[view]["rows"] == con.execute(f"SELECT count(*) FROM {view}").fetchone()[0]


def test_files_are_compressed_sorted_and_have_statistics(warehouse: Warehouse) -> None:
    publish(warehouse)
    (file,) = (Path(where(warehouse)) / "type_folder=Dress").iterdir()
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["product_id"].compression == "ZSTD"
    assert (columns["product_id"].statistics.min, columns["product_id"].statistics.max) == ("p00", "p20")
    assert columns["product_id"].has_offset_index
    names = pq.read_schema(file).names
    assert [names[order.column_index] for order in group.sorting_columns] == ["product_id", "image_key"]
    keys = pq.ParquetFile(file).read(["product_id"]).column(0).to_pylist()
    assert keys == sorted(keys)


def test_files_and_row_groups_are_bounded(tmp_path: Path) -> None:
    made = new_warehouse(tmp_path)
    rows = 3 * ROW_GROUP_ROWS + 5
    with connect(made) as con:
        con.execute(f"CREATE TABLE big AS SELECT 'x' AS kind, range AS n, md5(range::VARCHAR) AS s FROM range({rows})")
        store = copies.published_store(made.settings)
        facts = write_copy(con, Copy("big", "kind", ("n",)), store, "big/", tmp_path, 1_000_000)
    files = sorted((Path(store.uri) / "big" / "kind_folder=x").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(len(files))]
    assert (facts.rows, facts.files, facts.bytes) == (rows, len(files), sum(f.stat().st_size for f in files))
    assert len(files) in (3, 4)  # one a row group, of which the database cuts the last as it likes
    assert max(pq.ParquetFile(file).metadata.row_group(0).num_rows for file in files) <= ROW_GROUP_ROWS + 16_384
    numbers = pa.concat_tables(pq.ParquetFile(file).read(["n"]) for file in files).column(0).to_pylist()
    assert numbers == list(range(rows))
    assert not (tmp_path / "big.parquet").exists()


def test_an_empty_view_is_a_file_without_rows(tmp_path: Path) -> None:
    made = new_warehouse(tmp_path)
    publish(made)
    assert len(pd.read_parquet(where(made))) == 0
    assert len(pl.read_parquet(where(made, "products"))) == 0


def test_versions_stay_and_the_pointer_moves_forward(warehouse: Warehouse) -> None:
    first = publish(warehouse)
    old = where(warehouse)
    assert publish_again(warehouse) == first.live.version
    commit(warehouse, [Photo("late.jpg", product_id="p99")], "b2")
    list_catalog(warehouse, [Photo("late.jpg", product_id="p99")])
    warehouse.overwrite("feed", rows_of("feed", [{"product_id": "p99"}]))
    second = publish(warehouse, "later")
    assert (second.previous, second.sequence) == (first.live.version, 2)
    assert len(pd.read_parquet(where(warehouse))) == 1
    assert len(pd.read_parquet(old)) == 25
    with pytest.raises(StaleError, match="snapshot 1 is older than what is published, snapshot 2"):
        copies.publish(warehouse, warehouse.load_snapshot(1))
    back = copies.go_back(warehouse.settings, first.live.version)
    assert (back.live, back.previous, where(warehouse)) == (first.live, second.live.version, old)
    with pytest.raises(InputError, match="there is no version 00000009-abcdef"):
        copies.go_back(warehouse.settings, "00000009-abcdef")
    with pytest.raises(InputError, match=r"'\.\./x' is no version"):
        copies.go_back(warehouse.settings, "../x")


def publish_again(warehouse: Warehouse) -> str:
    again = copies.publish(warehouse, warehouse.load_snapshot(1))
    assert again.reused
    return again.live.version


def test_what_an_attempt_finished_is_not_copied_again(warehouse: Warehouse) -> None:
    first = publish(warehouse)
    warehouse.store.delete("published/CURRENT.json")
    assert copies.publish(warehouse, warehouse.load_snapshot(1)).live.version == first.live.version


def test_a_blocking_check_blocks_publishing(warehouse: Warehouse) -> None:
    first = publish(warehouse)
    warehouse.replace_batch("garments", "b1", rows_of("garments", []))
    for _ in range(2):  # judged now, then by what is recorded
        with pytest.raises(GateError, match=r"blocking data checks found rows: garments_counted \(25 rows\)"):
            publish(warehouse, "broken")
    live, _ = copies.read_live(copies.published_store(warehouse.settings))
    assert live is not None
    assert live.live == first.live


def test_a_warning_blocks_only_where_a_setting_says_so(warehouse: Warehouse, tmp_path: Path) -> None:
    list_catalog(warehouse, [Photo(f"{n:02d}.jpg") for n in range(25)] + [Photo("pending.jpg")])
    strict = new_warehouse(tmp_path, checks={"block": ["promise_kept"]})
    with pytest.raises(GateError, match=r"promise_kept \(1 rows\)"):
        publish(strict, "strict")
    assert publish(warehouse, "usual").live.run_id == "usual"


def test_a_lost_race_leaves_the_winner_live(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    write = copies._write

    def meanwhile(*arguments: Any) -> copies.Version:
        monkeypatch.setattr(copies, "_write", write)
        copies.publish(warehouse, warehouse.load_snapshot(1))
        return write(*arguments)

    monkeypatch.setattr(copies, "_write", meanwhile)
    with pytest.raises(StaleError, match="somebody else published"):
        publish(warehouse)
    assert len(pd.read_parquet(where(warehouse))) == 25


def test_files_that_are_missing_are_not_made_live(warehouse: Warehouse) -> None:
    version = publish(warehouse).live.version
    next((Path(where(warehouse)) / "type_folder=Dress").iterdir()).unlink()
    with pytest.raises(InputError, match=f"published version {version} lacks files"):
        copies.go_back(warehouse.settings, version)


def test_gc_keeps_what_is_live_and_the_newest(warehouse: Warehouse) -> None:
    store = copies.published_store(warehouse.settings)
    made = [publish(warehouse, f"r{n}").live.version for n in range(5)]
    copies.go_back(warehouse.settings, made[0])
    store.put("versions/00000009-aaaaaa/enriched/type=x/part-00000.parquet", b"young")
    store.put("versions/00000008-bbbbbb/enriched/type=x/part-00000.parquet", b"old")
    old = Path(store.uri) / "versions/00000008-bbbbbb/enriched/type=x/part-00000.parquet"
    os.utime(old, (time.time() - 90_000,) * 2)
    planned = copies.collect_garbage(store, 2, dry_run=True)
    assert set(planned.versions) == {"00000008-bbbbbb", made[1], made[2]}
    assert copies.versions(store) == made
    assert copies.collect_garbage(store, 2) == planned
    assert copies.versions(store) == [made[0], made[3], made[4]]
    assert not old.exists()
    assert (Path(store.uri) / "versions/00000009-aaaaaa").exists()
    assert len(pd.read_parquet(where(warehouse))) == 25
    assert copies.collect_garbage(store, 2).versions == ()


def test_nothing_published_and_unknown_names(warehouse: Warehouse) -> None:
    with pytest.raises(InputError, match=r"nothing is published under .* run `atelier tables publish`"):
        where(warehouse)
    publish(warehouse)
    with pytest.raises(InputError, match="no published copy of 'garments'; there are enriched, products"):
        where(warehouse, "garments")
    warehouse.store.put("published/CURRENT.json", b"{}")
    with pytest.raises(InputError, match=r"CURRENT\.json is damaged"):
        where(warehouse)


def test_the_commands(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_WAREHOUSE__URI", str(tmp_path / "warehouse"))
    settings_module.settings.cache_clear()
    app = typer.Typer()
    tables_commands.attach(app)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        app(["tables", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    try:
        with pytest.raises(InputError, match=r"there is no snapshot in .* yet"):
            run("publish")
        warehouse.snapshot(RELEASE, RUN)
        done = json.loads(run("publish"))
        assert (done["snapshot"], done["tables"]["enriched"]["rows"], done["reused"]) == (1, 25, False)
        assert json.loads(run("publish"))["reused"]
        assert json.loads(run("publish", "--version", done["version"]))["version"] == done["version"]
        assert run("published", "products").strip() == where(warehouse, "products")
        assert json.loads(run("published"))["live"] == done["version"]
        assert json.loads(run("gc", "--dry-run"))["versions"] == []
        assert f"/published/versions/{done['version']}/enriched" in run("ddl", "spark", "--live")
        warehouse.replace_batch("garments", "b1", rows_of("garments", []))
        warehouse.snapshot(RELEASE, "broken")
        with pytest.raises(GateError, match=r"garments_counted \(25 rows\)"):
            run("publish")
        assert capsys.readouterr().out == ""
    finally:
        settings_module.settings.cache_clear()


@pytest.mark.integration
def test_published_to_s3(s3_uri: str, tmp_path: Path) -> None:
    made = new_warehouse(tmp_path, warehouse={"uri": f"{s3_uri}/w"})
    fill(made)
    live = publish(made)
    options = {"endpoint_url": os.environ["ATELIER_S3__ENDPOINT_URL"], "allow_http": "true"}
    credentials = {name: os.environ[name.upper()] for name in ("aws_access_key_id", "aws_secret_access_key")}
    path = where(made)
    assert path == f"{s3_uri}/w/published/versions/{live.live.version}/enriched"
    found = pl.read_parquet(f"{path}/**/*.parquet", storage_options=options | credentials, hive_partitioning=True)
    assert {(row["product_id"], row["image_key"], row["type"]) for row in found.to_dicts()} == EXPECTED
    for number in range(2):
        publish(made, f"r{number}")
    garbage = copies.collect_garbage(copies.published_store(made.settings), 1)
    assert garbage.versions == (live.live.version,)
