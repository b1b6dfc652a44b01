"""Where a run's time went: wall time by job, busy time by step inside the jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pipeline.report.asking import Row
from pipeline.report.content import Bar, Figure
from pipeline.report.figures import Point, trend
from pipeline.report.page import seconds
from pipeline.report.texts import clip

STEPS_SHOWN = 8
JOBS_SHOWN = 20
STEPS_KEY = "seconds"
"""Key in `runs.details` under which a job keeps the seconds of its steps."""


def time_bars(jobs: Sequence[Row]) -> tuple[Bar, ...]:
    """A bar for each job and, indented, for each of its steps, all on one scale.

    Args:
        jobs: rows of the statement `JOBS`; `details` are the JSON texts of the job's parts.
    """
    lines: list[tuple[str, float, bool]] = []
    for job in jobs[:JOBS_SHOWN]:
        lines.append((clip(job["job"], 40), float(job["wall_seconds"]), False))
        steps = steps_of(job["details"])
        longest = sorted(steps, key=lambda name: -steps[name])[:STEPS_SHOWN]
        lines += [(clip(name, 40).replace("_", " "), steps[name], True) for name in steps if name in longest]
    top = max((value for _, value, _ in lines), default=0.0) or 1.0
    return tuple(Bar(label, value / top, seconds(value), indent=indent) for label, value, indent in lines)


def steps_of(details: Sequence[str]) -> dict[str, float]:
    """Seconds by step, added up over a job's parts, in the order the job names them; {} where it names none."""
    total: dict[str, float] = {}
    for text in details:
        for name, value in _steps(text).items():
            total[name] = total.get(name, 0.0) + value
    return total


def _steps(text: str) -> dict[str, float]:
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        return {}
    steps = parsed.get(STEPS_KEY) if isinstance(parsed, dict) else None
    if not isinstance(steps, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in steps.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    }


def rate_trend(history: Sequence[Row]) -> Figure | None:
    """Images a second over the runs that enriched any, given newest first."""
    rows = [row for row in reversed(history) if row["images"] and row["images_per_s"] is not None]
    if len(rows) < 2:
        return None
    words = f"Images a second over the last {len(rows)} runs: {rows[-1]['images_per_s']:.1f} in the latest"
    return trend([Point(row["started_at"], row["images_per_s"]) for row in rows], words)
