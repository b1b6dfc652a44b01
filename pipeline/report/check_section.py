"""What the data checks found, as `atelier check` kept it in the table `check_results`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.content import Check, Query
from pipeline.report.texts import clip, plural
from pipeline.tables.sql_files import SqlFile, read_sql

CHECKS_SHOWN = 60
EXAMPLES_SHOWN = 3
PURPOSE_LENGTH, EXAMPLE_LENGTH = 300, 240
_ORDER = {"blocking": 0, "warning": 1, "passed": 2}


def checks_of(ask: Asker) -> tuple[Check, ...]:
    """The run's checks, those first that found rows and block; () where none were run.

    Args:
        ask: asks the newest tables: checks run after the snapshot they judge.
    """
    rows = ask.rows("checks", "what the checks found", statements.CHECKS, checks=CHECKS_SHOWN)
    files = {file.name: file for file in read_sql("checks")} if rows else {}
    return tuple(sorted((_check(row, files) for row in rows), key=lambda check: (_ORDER[check.state], check.name)))


def alert_of(checks: Sequence[Check]) -> str:
    """A sentence that belongs at the top of the page; empty where no check blocks."""
    blocking = [check.name for check in checks if check.state == "blocking"]
    if not blocking:
        return ""
    names = clip(", ".join(blocking), EXAMPLE_LENGTH)
    return f"{plural(len(blocking), 'blocking check')} found rows: {names}. Nothing is published until that is mended."


def _check(row: Row, files: Mapping[str, SqlFile]) -> Check:
    """One result; `files` are the checks as they are now: one that was removed has no purpose and no text."""
    file = files.get(row["name"])
    found = "blocking" if row["severity"] == "blocking" else "warning"
    return Check(
        name=clip(row["name"], 80),
        state=found if row["rows"] else "passed",
        purpose=clip(file.purpose, PURPOSE_LENGTH) if file else "",
        rows=row["rows"],
        examples=tuple(clip(_words(example), EXAMPLE_LENGTH) for example in _examples(row["examples"])),
        query=Query(f"sql/checks/{file.path.name}", file.statement) if file and row["rows"] else None,
    )


def _examples(text: str) -> Sequence[Any]:
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        return ()
    return parsed[:EXAMPLES_SHOWN] if isinstance(parsed, list) else ()


def _words(example: Any) -> str:
    """An offending row as `column: value, ...`."""
    if not isinstance(example, dict):
        return str(example)
    return ", ".join(f"{name}: {value}" for name, value in example.items())
