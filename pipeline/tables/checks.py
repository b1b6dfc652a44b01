"""Data checks: each file of sql/checks selects offending rows; none means that it passes."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import duckdb

from pipeline.errors import SettingError
from pipeline.tables.faults import asked
from pipeline.tables.sql_files import SqlFile, read_sql

EXAMPLES = 5
"""Offending rows that a result carries, at the most."""

SEVERITIES = ("blocking", "warning")
"""A blocking check that finds rows stops the run before anything is published; a warning is only reported."""


@dataclass(frozen=True)
class CheckResult:
    """What one check found: the number of offending rows and up to five of them, by column name."""

    name: str
    severity: str
    purpose: str
    rows: int
    examples: tuple[dict[str, Any], ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it found nothing."""
        return self.rows == 0

    @property
    def blocks(self) -> bool:
        """Whether nothing may be published."""
        return not self.passed and self.severity == "blocking"


def run_checks(con: duckdb.DuckDBPyConnection, block: Collection[str] = ()) -> list[CheckResult]:
    """Run every check on a connection of `connect`, one after the other; blocking ones first, then by name.

    Args:
        con: tables, views and limits.
        block: names of checks that block whatever their file says (the setting checks.block).

    Raises:
        InputError: a check can't be run on these tables; the message names its file.
        SettingError: `block` names a check that there is not.
    """
    checks = {file.name: file for file in read_sql("checks")}
    if unknown := sorted(set(block) - set(checks)):
        raise SettingError(f"checks.block names {', '.join(unknown)}; the checks are {', '.join(checks)}")
    severities = {name: "blocking" if name in block else severity_of(file) for name, file in checks.items()}
    order = sorted(checks, key=lambda name: (SEVERITIES.index(severities[name]), name))
    return [run_check(con, checks[name], severities[name]) for name in order]


def run_check(con: duckdb.DuckDBPyConnection, check: SqlFile, severity: str | None = None) -> CheckResult:
    """Run one check, of the severity given or else of its file's; see `run_checks`."""
    started, severity = time.monotonic(), severity or severity_of(check)
    counted = f"SELECT *, count(*) OVER () AS _rows FROM (\n{check.statement}\n) LIMIT {EXAMPLES}"
    with asked(f"sql/checks/{check.path.name}"):
        cursor = con.execute(counted)
        names = [column[0] for column in cursor.description or ()]
        found = cursor.fetchall()
    examples = tuple(dict(zip(names[:-1], row[:-1], strict=True)) for row in found)
    rows = found[0][-1] if found else 0
    seconds = round(time.monotonic() - started, 3)
    return CheckResult(check.name, severity, check.purpose, rows, examples, seconds)


def severity_of(check: SqlFile) -> str:
    """Blocking or warning, as its header says.

    Raises:
        SettingError: the header says neither.
    """
    severity = check.fields.get("severity", "")
    if severity not in SEVERITIES:
        raise SettingError(f"{check.path}: its header needs `-- severity: blocking` or `-- severity: warning`")
    return severity
