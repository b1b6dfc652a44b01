"""A private DuckDB database on disk, for joins over more rows than memory holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.errors import TransientError

MEMORY = "1GB"
"""What DuckDB may hold; beyond it, it uses the disk."""

THREADS = 4
"""More would share the memory into pieces too small to join with."""


@contextmanager
def workspace() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in a folder of its own below the system's temporary folder; both are gone at the end.

    Raises:
        TransientError: the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-plan-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "threads": min(THREADS, os.cpu_count() or 1),
            "temp_directory": str(Path(folder) / "spill"),
            "preserve_insertion_order": False,
            "python_enable_replacements": False,  # a table's name must never fall back to a Python variable
        }
        con = duckdb.connect(str(Path(folder) / "work.duckdb"), config=config)
        try:
            con.execute("SET TimeZone = 'UTC'")
            yield con
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise TransientError(
                f"planning needs more room in the temporary folder {folder} (TMPDIR): {error}"
            ) from error
        finally:
            con.close()


def insert(con: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch | pa.Table]) -> None:
    """Append record batches to `table` by column name, in one transaction."""
    con.begin()
    for batch in batches:
        con.register("incoming", batch)
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        con.unregister("incoming")
    con.commit()


@contextmanager
def streamed(con: duckdb.DuckDBPyConnection, **streams: pa.RecordBatchReader) -> Iterator[None]:
    """Make each stream readable once as a relation of its name; an error raised by a stream comes out as itself.

    DuckDB would make text of it, and with that of who has to act.
    """
    failed: list[Exception] = []

    def guarded(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from stream
        except Exception as error:
            failed.append(error)
            raise

    for name, stream in streams.items():
        con.register(name, pa.RecordBatchReader.from_batches(stream.schema, guarded(stream)))
    try:
        yield
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    finally:
        for name in streams:
            con.unregister(name)
