"""A view written as plain Parquet: one folder a value of one column, sorted, in files of bounded size, as a stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage import ObjectStore
from pipeline.tables.faults import asked

BATCH_ROWS = 16_384
ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 32 * 2**20
"""Rows in memory before they are written: up to either bound."""

NO_VALUE = "_none"
"""Folder of rows whose column is null: pandas can't read Hive's own folder for nulls."""

_ESCAPED = re.compile(r"[\x00-\x2c/:;<=>?@\[\\\]^`{|}~%\x7f]")


@dataclass(frozen=True)
class Copy:
    """A view to be copied: one folder a value of `by`, its rows sorted by `sort_by` in each.

    The folder's column is one of its own, so that the view's columns are all in the files, as they are.
    """

    view: str
    by: str
    sort_by: tuple[str, ...]

    @property
    def partition(self) -> str:
        """The folders' column: text that is never null."""
        return f"{self.by}_folder"

    @property
    def query(self) -> str:
        """The view's rows with the folder's column, the rows of one folder together."""
        folder = f"coalesce(nullif(\"{self.by}\", ''), '{NO_VALUE}') AS \"{self.partition}\""
        order = ", ".join(f'"{name}" NULLS LAST' for name in (self.partition, *self.sort_by))
        return f'SELECT *, {folder} FROM "{self.view}" ORDER BY {order}'


COPIES = (
    Copy("enriched", "type", ("product_id", "image_key")),
    Copy("products", "type", ("product_id",)),
)


@dataclass(frozen=True)
class CopyFacts:
    """What was written: rows, files and bytes."""

    rows: int
    files: int
    bytes: int


def write_copy(
    con: duckdb.DuckDBPyConnection, copy: Copy, store: ObjectStore, prefix: str, scratch: Path, file_bytes: int
) -> CopyFacts:
    """Write a view's rows under `prefix` as `<column>_folder=<value>/part-00000.parquet`.

    DuckDB sorts, on disk where the rows do not fit into memory; here one row group and one file are open at a time.

    Args:
        con: from `connect`, pinned to what is copied.
        copy: the view and how it is laid out.
        store: where it goes.
        prefix: folder of the copy in the store, with a slash at the end; nothing may be there yet.
        scratch: local folder; holds one file at a time.
        file_bytes: a file that has grown to this size is closed: it is larger by a row group at the most.

    Raises:
        TransientError: memory or disk is full, or the store does not answer.
    """
    with asked(f"the view {copy.view} can't be copied"):
        reader = con.sql(copy.query).to_arrow_reader(BATCH_ROWS)
        with _Files(copy, reader.schema, store, prefix, scratch / f"{copy.view}.parquet", file_bytes) as files:
            for batch in reader:
                for value, rows in _by_value(batch, copy.partition):
                    files.add(value, rows)
    return CopyFacts(files.rows, files.files, files.bytes)


def folder_of(column: str, value: str) -> str:
    """`column=value` as Hive writes it: ASCII characters with a meaning in paths are escaped as %XX."""
    return f"{column}={_ESCAPED.sub(lambda found: f'%{ord(found[0]):02X}', value)}"


def _by_value(batch: pa.RecordBatch, column: str) -> list[tuple[str, pa.RecordBatch]]:
    """The batch cut where the column's value changes."""
    if not batch.num_rows:
        return []
    runs = pc.run_end_encode(batch.column(column))
    ends = runs.run_ends.to_pylist()
    starts = [0, *ends[:-1]]
    values = runs.values.to_pylist()
    return [(v, batch.slice(s, e - s)) for v, s, e in zip(values, starts, ends, strict=True)]


class _Files:
    """Writes sorted rows into one file after the other and hands each to the store; a context manager."""

    def __init__(
        self, copy: Copy, schema: pa.Schema, store: ObjectStore, prefix: str, path: Path, file_bytes: int
    ) -> None:
        self.rows = self.files = self.bytes = 0
        self._copy, self._store, self._prefix, self._path, self._limit = copy, store, prefix, path, file_bytes
        self._schema = schema.remove(schema.get_field_index(copy.partition))
        self._value = NO_VALUE
        self._part = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            if not self.files and self._writer is None and not self._waiting:
                self._open()  # a view without rows is a file without rows: readers want one
            self._close()
        elif self._writer is not None:
            self._writer.close()
        self._path.unlink(missing_ok=True)

    def add(self, value: str, rows: pa.RecordBatch) -> None:
        """Take in rows of one folder; rows of a folder come together."""
        if value != self._value:
            self._close()
            self._value, self._part = value, 0
        self._waiting.append(rows.drop_columns([self._copy.partition]))
        self._waiting_rows += rows.num_rows
        self._waiting_bytes += rows.nbytes
        if self._waiting_rows >= ROW_GROUP_ROWS or self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()
            if self._path.stat().st_size >= self._limit:
                self._close()

    def _open(self) -> pq.ParquetWriter:
        order = [pq.SortingColumn(self._schema.get_field_index(name)) for name in self._copy.sort_by]
        self._writer = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            compression_level=3,
            write_statistics=True,
            write_page_index=True,
            sorting_columns=order,
        )
        return self._writer

    def _flush(self) -> None:
        if self._waiting:
            writer = self._writer or self._open()
            writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=ROW_GROUP_ROWS)
            self.rows += self._waiting_rows
            self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _close(self) -> None:
        self._flush()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        folder = folder_of(self._copy.partition, self._value)
        self._store.put_file(f"{self._prefix}{folder}/part-{self._part:05d}.parquet", self._path)
        self.bytes += self._path.stat().st_size
        self.files += 1
        self._part += 1
