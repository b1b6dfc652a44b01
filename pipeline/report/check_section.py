"""What the data checks found, as the job `check` of the run recorded it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.asking import Row
from pipeline.report.content import Check
from pipeline.report.texts import clip, plural

CHECKS_SHOWN = 60
EXAMPLES_SHOWN = 3
PURPOSE_LENGTH, EXAMPLE_LENGTH = 300, 240
_ORDER = {"blocking": 0, "warning": 1, "passed": 2}


def checks_of(jobs: Sequence[Row]) -> tuple[Check, ...]:
    """The run's checks, those first that found rows and block; () where none were run.

    Args:
        jobs: rows of the statement `JOBS`.
    """
    checks = [
        _check(result)
        for job in jobs
        if job["job"] == "check"
        for text in job["details"]
        for result in _results(text)
        if isinstance(result, dict)
    ]
    return tuple(sorted(checks, key=lambda check: (_ORDER[check.state], check.name))[:CHECKS_SHOWN])


def alert_of(checks: Sequence[Check]) -> str:
    """A sentence that belongs at the top of the page; empty where no check blocks."""
    blocking = [check.name for check in checks if check.state == "blocking"]
    if not blocking:
        return ""
    names = clip(", ".join(blocking), EXAMPLE_LENGTH)
    return f"{plural(len(blocking), 'blocking check')} found rows: {names}. Nothing is published until that is mended."


def _results(text: str) -> Sequence[Any]:
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        return ()
    results = parsed.get("results") if isinstance(parsed, dict) else None
    return results if isinstance(results, list) else ()


def _check(result: Mapping[str, Any]) -> Check:
    rows = int(result.get("rows") or 0)
    found = "blocking" if result.get("severity") == "blocking" else "warning"
    examples = result.get("examples") or ()
    return Check(
        name=clip(str(result.get("name", "")), 80),
        state=found if rows else "passed",
        purpose=clip(str(result.get("purpose", "")), PURPOSE_LENGTH),
        rows=rows,
        examples=tuple(clip(_words(example), EXAMPLE_LENGTH) for example in list(examples)[:EXAMPLES_SHOWN]),
    )


def _words(example: Any) -> str:
    """An offending row as `column: value, ...`."""
    if not isinstance(example, dict):
        return str(example)
    return ", ".join(f"{name}: {value}" for name, value in example.items())
