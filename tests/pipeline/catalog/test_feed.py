"""The feed is read as shops deliver it, and refused by name where it can't be."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalog.feed import load_feed
from pipeline.errors import InputError
from pipeline.settings import Settings, load_settings
from pipeline.tables.schema import FEED

Loaded = tuple[list[dict[str, Any]], dict[str, str]]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def settings(folder: Path, feed: str | None = None) -> Settings:
    return load_settings(catalog={"uri": str(folder), "feed": feed})


def load(con: duckdb.DuckDBPyConnection, folder: Path, feed: str | None = None) -> Loaded:
    load_feed(settings(folder, feed), con)
    rows = con.sql("SELECT * FROM feed ORDER BY product_id").to_arrow_table()
    assert rows.schema.names == [column.name for column in FEED.columns]
    assert rows.schema.types == [column.type for column in FEED.columns]
    return rows.to_pylist(), dict(con.execute("SELECT image_key, product_id FROM feed_images").fetchall())


def refused(folder: Path, match: str, feed: str | None = None) -> None:
    with duckdb.connect() as con, pytest.raises(InputError, match=match):
        load_feed(settings(folder, feed), con)


def write_csv(path: Path, rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def full(**values: Any) -> dict[str, Any]:
    return {column.name: values.get(column.name) for column in FEED.columns}


def test_no_feed_is_fine_unless_one_is_named(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    assert load(con, folder) == ([], {})
    refused(folder, r"catalog\.feed is 'my.csv', but there is no .*shop/my.csv", "my.csv")
    refused(folder, r"catalog\.feed is 'feed.xlsx': it may name a .parquet or a .csv", "feed.xlsx")
    refused(folder, r"there is no /nowhere/feed.csv", "/nowhere/feed.csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv(con: duckdb.DuckDBPyConnection, folder: Path, delimiter: str, encoding: str) -> None:
    rows = [
        ["product_id", "title", "price", "stock", "image_keys", "color"],
        ["0012", f"Dress{delimiter} long\nwith belt", "19.90", "7", "a.jpg|b/c.jpg", ""],
        ["x-1", " Größe \U0001f457 ", "", "", "", "Red"],
    ]
    write_csv(folder / "feed.csv", rows, delimiter, encoding)
    loaded, images = load(con, folder)
    assert loaded == [
        full(product_id="0012", title=f"Dress{delimiter} long\nwith belt", price=19.9),
        full(product_id="x-1", title="Größe \U0001f457", color="Red"),
    ]
    assert images == {"a.jpg": "0012", "b/c.jpg": "0012"}


def test_parquet_with_the_types_that_exports_have(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    columns = {
        "product_id": pa.array([2, 10], pa.int64()),
        "brand": pa.array(["A", None]).dictionary_encode(),
        "type": pa.array(["Dress", ""], pa.large_string()),
        "price": pa.array([100, 250], pa.int32()),
        "gender": pa.nulls(2),
        "image_key": ["a.jpg", None],
        "sizes": pa.array([[1], [2]]),
    }
    pq.write_table(pa.table(columns), folder / "feed.parquet")
    loaded, images = load(con, folder)
    assert loaded == [full(product_id="10", price=250.0), full(product_id="2", brand="A", type="Dress", price=100.0)]
    assert images == {"a.jpg": "2"}


def test_parquet_goes_before_csv_and_the_setting_before_both(folder: Path, tmp_path: Path) -> None:
    for path, product in [
        (folder / "feed.csv", "csv"),
        (folder / "sub-feed.csv", "relative"),
        (tmp_path / "x.csv", "absolute"),
    ]:
        write_csv(path, [["product_id"], [product]])
    pq.write_table(pa.table({"product_id": ["parquet"]}), folder / "feed.parquet")
    for feed, product in [
        (None, "parquet"),
        ("sub-feed.csv", "relative"),
        (str(tmp_path / "x.csv"), "absolute"),
        (f"file://{tmp_path}/x.csv", "absolute"),
    ]:
        with duckdb.connect() as con:
            assert load(con, folder, feed)[0] == [full(product_id=product)]


def test_many_rows(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    write_csv(folder / "feed.csv", [["product_id", "price"], *([str(n), str(n / 4)] for n in range(120_000))])
    load_feed(settings(folder), con)
    assert con.execute("SELECT count(*), sum(price), max(price) FROM feed").fetchall() == [
        (120_000, sum(range(120_000)) / 4, 119_999 / 4)
    ]


def test_empty_feed(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    write_csv(folder / "feed.csv", [["product_id", "title"]])
    assert load(con, folder) == ([], {})


def test_what_is_wrong_is_named(folder: Path) -> None:
    csv_file, parquet = folder / "feed.csv", folder / "feed.parquet"
    write_csv(csv_file, [["sku", "title"], ["1", "a"]])
    refused(folder, r"feed.csv has no column product_id; its columns are sku, title")
    write_csv(csv_file, [["product_id", "title", "title"], ["1", "a", "b"]])
    refused(folder, "has the column title 2 times")
    write_csv(csv_file, [["product_id", "title"], ["1", "a"], ["", "b"], [" ", "c"]])
    refused(folder, r"product_id: empty in 2 rows \(the first: 2, 3\)")
    write_csv(csv_file, [["product_id"], *([str(n % 1000)] for n in range(60_000, 61_002))])
    refused(folder, r"product_id: 2 values come more than once \('0' in rows 1 and 1001; '1' in rows 2 and 1002\)")
    write_csv(csv_file, [["product_id", "price"], ["1", "3.50"], ["2", "3,50 €"]])
    refused(folder, "column price, row 2: '3,50 €' is not a number")
    write_csv(csv_file, [["product_id", "title"], ["1", "a"], ["2", "b", "c"]])
    refused(folder, r"feed.csv can't be read: .*[Ee]xpected 2 columns")
    csv_file.write_bytes("product_id,title\n1,Gr\xf6\xdfe\n".encode("latin-1"))
    refused(folder, "feed.csv can't be read: .*UTF-?8")
    csv_file.write_bytes(b"")
    refused(folder, "has no column product_id")

    parquet.write_bytes(b"PAR1 this is not one")
    refused(folder, "feed.parquet can't be read")
    pq.write_table(pa.table({"product_id": [1.5, 2.0]}), parquet)
    refused(folder, "column product_id: has type double; text is needed")
    pq.write_table(pa.table({"product_id": ["1"], "brand": [["A"]]}), parquet)
    refused(folder, "column brand: has type list<.*text is needed")
    pq.write_table(pa.table({"product_id": ["1"], "price": [b"1"]}), parquet)
    refused(folder, "column price: has type binary")
    pq.write_table(pa.table({"product_id": ["1"], "image_keys": [7]}), parquet)
    refused(folder, "column image_keys: has type int64; a list of text is needed")


def test_rows_are_counted_through_all_blocks(folder: Path) -> None:
    pq.write_table(pa.table({"product_id": [*map(str, range(50_001)), "7"]}), folder / "feed.parquet")
    refused(folder, "'7' in rows 8 and 50002")


@pytest.mark.integration
def test_feed_in_a_bucket(con: duckdb.DuckDBPyConnection, s3_uri: str, tmp_path: Path) -> None:
    from pipeline.storage import open_store

    uri = f"{s3_uri}/shop"
    chosen = load_settings(catalog={"uri": uri})
    open_store(uri, chosen).put("feed.csv", b"product_id,brand\n1,A\n")
    assert load_feed(chosen, con)
    assert con.execute("SELECT product_id, brand FROM feed").fetchall() == [("1", "A")]
    with duckdb.connect() as other, pytest.raises(InputError, match=f"there is no {uri}/more/feed.csv"):
        load_feed(load_settings(catalog={"uri": str(tmp_path), "feed": f"{uri}/more/feed.csv"}), other)
