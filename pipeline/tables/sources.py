"""A table's live files as a FROM clause for DuckDB."""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from pipeline.tables.delta import EVOLVED, DeltaFolder, sql_text

_WILDCARDS = re.compile(r"[*?]")
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type of a declared column type."""
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in kind) + ")"
    return _SQL_TYPES[kind]


def source(con: duckdb.DuckDBPyConnection, folder: DeltaFolder, delta: DeltaTable, pruning: str | None = None) -> str:
    """What to write behind FROM to read `delta`, as long as `con` lives; empty where no file holds rows.

    Never the folder itself: it also holds files of other versions and of writes that were never committed.

    Args:
        con: local files are read by DuckDB itself; files in S3 through an Arrow data set registered here.
        folder: where the table lies.
        delta: the version to read.
        pruning: SQL on file statistics: only files that may hold rows matching it are read.
    """
    files = folder.files(delta, pruning)
    if not files:
        return ""
    if "://" in folder.uri:
        con.register(f"files_{folder.table.name}", folder.dataset(delta, pruning))
        return f"files_{folder.table.name}"
    types = ", ".join(f"'{c}': {sql_type(folder.table.column[c].type)}" for c in folder.table.partition_by)
    options = f", hive_partitioning = true, hive_types = {{{types}}}" if types else ", hive_partitioning = false"
    if delta.metadata().configuration.get(EVOLVED):
        options += ", union_by_name = true"  # opens every file once, so only where older files lack columns
    return f"read_parquet([{_paths(folder.uri, files)}]{options})"


def _paths(root: str, files: Sequence[str]) -> str:
    """The paths as SQL; each stands for itself, whatever characters it holds."""
    return ", ".join(sql_text(_WILDCARDS.sub(r"[\g<0>]", f"{root}/{file}")) for file in files)
