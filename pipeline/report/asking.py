"""Run the report's statements and keep them as an analyst can run them again."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import duckdb

from pipeline.report.content import Query
from pipeline.tables.faults import asked

Row = dict[str, Any]

_PARAMETER = re.compile(r"\$([a-z_]+)")


class Asker:
    """Asks one connection; remembers which statement stands behind which section."""

    def __init__(self, con: duckdb.DuckDBPyConnection, remark: str = "", **values: Any) -> None:
        """`values` are parameters that any statement may name as `$name`; `remark` is a comment shown above each."""
        self._con = con
        self._remark = f"-- {remark}\n" if remark else ""
        self._values = values
        self._asked: dict[str, list[Query]] = {}

    def rows(self, section: str, name: str, sql: str, **values: Any) -> list[Row]:
        """Run `sql` for a section and return its rows by column name.

        Raises:
            InputError: the statement fails on these tables; the message names it.
            TransientError: memory or a disk is full, or storage does not answer.
        """
        known = {**self._values, **values}
        used = {name: known[name] for name in _PARAMETER.findall(sql)}
        with asked(f"the report's statement {name!r} can't be answered from these tables"):
            cursor = self._con.execute(sql, used)
            names = [column[0] for column in cursor.description]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        self._asked.setdefault(section, []).append(Query(name, self._remark + spelled_out(sql, used)))
        return found

    def one(self, section: str, name: str, sql: str, **values: Any) -> Row:
        """Like `rows`, for statements that give exactly one row."""
        return self.rows(section, name, sql, **values)[0]

    def queries(self, section: str) -> tuple[Query, ...]:
        """What was asked for a section so far."""
        return tuple(self._asked.get(section, ()))


def spelled_out(sql: str, values: dict[str, Any]) -> str:
    """`sql` with its parameters written as literals."""
    return _PARAMETER.sub(lambda found: literal(values[found[1]]), sql).strip()


def literal(value: Any) -> str:
    """A value as SQL: null, a number, a list, a time, or a quoted string."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"
