"""Errors of streams come out as themselves; a full temporary folder is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.catalog.workspace import insert, streamed, workspace
from pipeline.errors import TransientError


def test_errors_of_a_stream_keep_their_class() -> None:
    def numbers() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise TransientError("the store is gone")

    stream = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), numbers())
    with workspace() as con:
        with pytest.raises(TransientError, match="the store is gone"), streamed(con, rows=stream):
            con.execute("CREATE TABLE t AS SELECT * FROM rows")
        with pytest.raises(duckdb.CatalogException, match="rows"):
            con.execute("SELECT * FROM rows")


def test_joins_larger_than_memory_use_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.workspace.MEMORY", "40MB")
    with workspace() as con:
        con.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS k FROM range(400_000) r(i)")
        assert con.execute("SELECT count(*) FROM t a JOIN t b USING (k)").fetchall() == [(400_000,)]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with workspace() as con:
        con.execute("CREATE TABLE t (a BIGINT)")
        insert(con, "t", [pa.record_batch({"a": [1]}), pa.record_batch({"a": [2]})])
        assert con.execute("SELECT sum(a) FROM t").fetchall() == [(3,)]
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.workspace.MEMORY", "10MB")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(TransientError, match=f"more room in the temporary folder {tmp_path}"), workspace() as con:
        con.execute("SET max_temp_directory_size = '1MB'")
        con.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS k FROM range(400_000) r(i)")
        con.execute("SELECT count(*) FROM t a JOIN t b USING (k)")
