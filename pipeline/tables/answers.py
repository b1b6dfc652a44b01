"""Answers to SQL: drawn for a terminal, or as CSV, JSON and Parquet files."""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb

from pipeline.errors import InputError, SettingError
from pipeline.tables.faults import asked, means_full

COPY_OPTIONS = {"csv": "FORMAT csv, HEADER true", "json": "FORMAT json, ARRAY true", "parquet": "FORMAT parquet"}
SHOWN_ROWS = 100


def show(con: duckdb.DuckDBPyConnection, query: str, width: int | None = None) -> None:
    """Run `query` and draw its answer on stdout: the first and last rows of a long one.

    Args:
        con: from `connect`.
        query: SQL; of several statements the last one answers.
        width: columns of the terminal; None: as many as it has.

    Raises:
        InputError: the query fails; the message is DuckDB's.
    """
    with asked("the query fails"):
        answer = con.sql(query)
        if answer is not None:
            answer.show(max_rows=SHOWN_ROWS, max_width=width)


def to_file(con: duckdb.DuckDBPyConnection, query: str, kind: str, path: Path) -> int:
    """Write the answer to `path`, streamed, as a whole or not at all; returns the number of rows.

    Args:
        con: from `connect`.
        query: SQL; of several statements the last one answers.
        kind: csv, json (one array of objects) or parquet.
        path: local file; replaced if it is there.

    Raises:
        InputError: the query fails, or its last statement answers nothing.
        SettingError: the file can't be written.
        TransientError: memory or a disk is full.
    """
    if not path.parent.is_dir():
        raise SettingError(f"can't write {path}: there is no folder {path.parent}")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with asked("the query fails"):
            statements = con.extract_statements(query)
            if not statements:
                raise InputError("the query fails: it holds no statement")
            for statement in statements[:-1]:
                con.execute(statement)
            rows = _copy(con, statements[-1].query.strip().rstrip(";"), kind, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _copy(con: duckdb.DuckDBPyConnection, select: str, kind: str, path: Path) -> int:
    target = str(path).replace("'", "''")
    try:
        copied = con.execute(f"COPY (\n{select}\n) TO '{target}' ({COPY_OPTIONS[kind]})").fetchone()
    except duckdb.IOException as error:
        if str(path) not in str(error) or means_full(error):
            raise
        raise SettingError(f"can't write {path.parent}: {error}") from None
    return int(copied[0]) if copied else 0
