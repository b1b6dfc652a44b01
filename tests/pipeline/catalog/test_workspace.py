"""Errors of streams come out as themselves; a lack of room is named with its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.catalog.workspace import insert, streamed, workspace
from pipeline.errors import TransientError
from pipeline.settings import SqlSettings


def limits(folder: Path, memory_mb: int = 1000) -> SqlSettings:
    return SqlSettings(spill=str(folder), memory_gib=memory_mb / 1024, threads=2)


def test_errors_of_a_stream_keep_their_class(tmp_path: Path) -> None:
    def numbers() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise TransientError("the store is gone")

    stream = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), numbers())
    with workspace(limits(tmp_path)) as con:
        with pytest.raises(TransientError, match="the store is gone"), streamed(con, rows=stream):
            con.execute("CREATE TABLE t AS SELECT * FROM rows")
        with pytest.raises(duckdb.CatalogException, match="rows"):
            con.execute("SELECT * FROM rows")


def test_joins_larger_than_memory_use_the_disk(tmp_path: Path) -> None:
    with workspace(limits(tmp_path, 40)) as con:
        con.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS k FROM range(400_000) r(i)")
        assert con.execute("SELECT count(*) FROM t a JOIN t b USING (k)").fetchall() == [(400_000,)]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with workspace(limits(tmp_path)) as con:
        con.execute("CREATE TABLE t (a BIGINT)")
        insert(con, "t", [pa.record_batch({"a": [1]}), pa.record_batch({"a": [2]})])
        assert con.execute("SELECT sum(a) FROM t").fetchall() == [(3,)]
        assert len(list(tmp_path.rglob("work.duckdb"))) == 1
    assert [file.name for file in tmp_path.glob("*/*")] == ["owner.lock"]


def test_too_little_room_is_named(tmp_path: Path) -> None:
    named = r"planning: raise sql\.memory_gib, or make room at sql\.spill"
    with pytest.raises(TransientError, match=named), workspace(limits(tmp_path, 10)) as con:
        con.execute("SET max_temp_directory_size = '1MB'")
        con.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS k FROM range(400_000) r(i)")
        con.execute("SELECT count(*) FROM t a JOIN t b USING (k)")
