"""What may be written to a table: rows are checked against the declaration before anything touches storage."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.tables.schema import Column, Table

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


def check_batch_id(batch_id: str) -> str:
    """Return `batch_id` if it may name a batch: up to 128 letters, digits, `_ . : -`.

    Raises:
        InputError: it may not.
    """
    if not _BATCH_ID.fullmatch(batch_id):
        raise InputError(f"the batch_id {batch_id!r} can't be used: it may hold letters, digits and _ . : - only")
    return batch_id


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """Return `rows` in the declared column order if they fit the declaration exactly.

    Raises:
        InputError: a column is missing or unknown, has another type, holds a null or a number out of its range; the
            message names table and column.
    """
    names = rows.schema.names
    _refuse(table, sorted(set(table.column) - set(names)), "is missing")
    _refuse(table, sorted(set(names) - set(table.column)), "is not declared")
    _refuse(table, sorted({name for name in names if names.count(name) > 1}), "is there twice")
    for column in table.columns:
        check_column(table, column, rows.column(column.name))
    for name in table.partition_by:
        _check_folder_name(table, name, rows.column(name))
    if "vector" in table.column:
        _check_vectors(table, rows)
    return pa.table([rows.column(c.name) for c in table.columns], schema=table.arrow_schema)


def check_column(table: Table, column: Column, values: pa.ChunkedArray) -> None:
    """Raise `InputError` unless the values have the declared type, nullability and range."""
    where = f"table {table.name}, column {column.name}"
    if values.type != column.type:
        raise InputError(f"{where}: has type {values.type}, declared is {column.type}")
    if values.null_count and not column.nullable:
        raise InputError(f"{where}: {values.null_count} of {len(values)} values are null, which is not allowed")
    if column.bounds and len(values) > values.null_count:
        low, high = column.bounds
        inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))  # NaN is not inside
        if not pc.all(inside).as_py():
            worst = values.filter(pc.invert(inside))[0].as_py()
            raise InputError(f"{where}: {worst} is outside of {low:g} to {high:g} ({column.unit})")


def check_batch(table: Table, batch_id: str, rows: pa.Table) -> None:
    """Raise `InputError` unless every row says that it is of batch `batch_id`."""
    others = pc.unique(rows.column("batch_id").filter(pc.not_equal(rows.column("batch_id"), batch_id)))
    if len(others):
        raise InputError(f"table {table.name}, column batch_id: holds {others[0]} in a write of batch {batch_id}")


def _check_folder_name(table: Table, name: str, values: pa.ChunkedArray) -> None:
    """Values that tables are partitioned by become folders: no character in them may need escaping."""
    for value in pc.unique(values).to_pylist():
        if not _FOLDER_NAME.fullmatch(value):
            raise InputError(f"table {table.name}, column {name}: {value!r} may hold letters, digits and _ . - only")


def _check_vectors(table: Table, rows: pa.Table) -> None:
    """A vector holds `dim` float16 numbers: two bytes each."""
    expected = pc.multiply(rows.column("dim"), 2)
    wrong = rows.filter(pc.not_equal(pc.binary_length(rows.column("vector")), expected))
    if wrong.num_rows:
        found, dim = len(wrong.column("vector")[0].as_py()), wrong.column("dim")[0]
        raise InputError(f"table {table.name}, column vector: {found} bytes where dim says {dim} float16 numbers")


def _refuse(table: Table, columns: list[str], problem: str) -> None:
    if columns:
        raise InputError(f"table {table.name}, column {', '.join(columns)}: {problem}")
