"""Hostile feeds: the reader takes them or refuses them with an `InputError` that names the file."""

from __future__ import annotations

import io
import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.catalog.feed import load_feed
from pipeline.errors import InputError
from pipeline.settings import load_settings

quick = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LINES = [
    "product_id,title,price,image_keys",
    "1,Shirt,9.99,1_front.jpg|1_back.jpg",
    '2,"Dress, red",19.0,2.jpg',
    "3,,,",
]
CSV = "\n".join(LINES).encode()


@cache
def parquet(compression: str = "snappy") -> bytes:
    rows = {
        "product_id": [str(n) for n in range(50)],
        "title": ["Söckchen"] * 50,
        "price": [9.5] * 50,
        "image_keys": [["a.jpg", "b.jpg"]] * 50,
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(rows), stream, compression=compression)
    return stream.getvalue()


def answers(name: str, data: bytes) -> None:
    """Load the feed; anything but rows with a product_id or an InputError fails."""
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        con = database()
        try:
            load_feed(load_settings(catalog={"uri": folder}), con)
        except InputError as error:
            assert name in str(error) and len(str(error)) < 5000
        else:
            assert con.execute("SELECT count(*) FROM feed WHERE product_id IS NULL").fetchone() == (0,)
        finally:
            for table in ("feed", "feed_images", "feed_rows", "feed_claims"):
                con.execute(f"DROP TABLE IF EXISTS {table}")


@cache
def database() -> duckdb.DuckDBPyConnection:
    """One for all: opening it takes longer than reading a small feed."""
    return duckdb.connect(config={"threads": 1})


@given(st.binary(max_size=300))
@example(b"")
@example(b"\n")
@example(b"\xff\xfeproduct_id")
@example(b"product_id\n\xff\xfe\n")
@example(b"product_id\n\0\n")
@example(b"product_id,price\n1,nan\n2,1e999\n")
@example(b'product_id\n"' + b"x" * 10)
@quick
def test_random_bytes_as_csv(data: bytes) -> None:
    answers("feed.csv", data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"product_id\n", b"product_id,title\n", CSV]))
@quick
def test_random_bytes_behind_a_header(data: bytes, start: bytes) -> None:
    answers("feed.csv", start + data)


@given(st.text(max_size=40), st.text(max_size=40))
@quick
def test_any_text_as_names_and_values(name: str, value: str) -> None:
    answers("feed.csv", f"product_id,{name}\n{value},{value}\n".encode(errors="replace"))


@given(st.sampled_from(["csv", "parquet", "parquet-plain"]), st.randoms(use_true_random=False))
@settings(quick, max_examples=60)
def test_files_that_were_damaged(kind: str, chance: random.Random) -> None:
    data = bytearray(CSV if kind == "csv" else parquet("none" if kind.endswith("plain") else "snappy"))
    for _ in range(chance.randrange(1, 10)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    answers(f"feed.{kind.split('-')[0]}", bytes(data))


@given(st.binary(max_size=200))
@quick
def test_random_bytes_between_the_marks_of_parquet(data: bytes) -> None:
    answers("feed.parquet", b"PAR1" + data + b"PAR1")


COLUMNS = {
    "dictionary": pa.array(["1", "2"]).dictionary_encode(),
    "numbers": pa.array([1, 2]),
    "fractions": pa.array([1.5, float("nan")]),
    "truth": pa.array([True, False]),
    "binary": pa.array([b"\xff\xfe", b"1"]),
    "time": pa.array([1, 2], pa.timestamp("us")),
    "lists": pa.array([["1"], ["2"]]),
    "structs": pa.array([{"a": 1}, {"a": 2}]),
    "decimal": pa.array([1, 2]).cast(pa.decimal128(38, 3)),
    "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "nulls": pa.nulls(2),
    "views": pa.array(["1", "2"], pa.string_view()),
    "large": pa.array(["1", "2"], pa.large_string()),
}


@pytest.mark.parametrize("column", ["product_id", "title", "price", "image_key", "image_keys"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_type(column: str, kind: str) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"product_id": ["1", "2"], column: COLUMNS[kind]}), stream)
    answers("feed.parquet", stream.getvalue())


def test_text_that_is_not_utf8_in_parquet() -> None:
    """Parquet says that it is text; nobody checked when it was written."""
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    for column in ("product_id", "title", "image_key"):
        stream = io.BytesIO()
        pq.write_table(pa.table({"product_id": pa.array(["1"]), column: bad}), stream)
        answers("feed.parquet", stream.getvalue())


def test_a_bomb_of_repeated_text() -> None:
    """Compressed thousandfold, one value of 20 MB: refused, or read without an error of another kind."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"product_id": ["1"], "title": ["x" * (20 * 2**20)]}), stream, compression="zstd")
    answers("feed.parquet", stream.getvalue())
