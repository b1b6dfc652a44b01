"""What commands print: one JSON line on stdout for programs, progress and words on stderr for people."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True)
log = logging.getLogger("atelier")

LOG_EVERY_S = 10.0


def emit(result: dict[str, Any]) -> None:
    """Print `result` as one JSON line on stdout: the last and only thing a job command writes there."""
    sys.stdout.write(json.dumps(result, default=_plain, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """JSON for the few other types results hold."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class Advance(Protocol):
    """Says that `count` more items are done."""

    def __call__(self, count: int = 1) -> None: ...


@contextmanager
def progress(title: str, total: int | None, unit: str = "images") -> Iterator[Advance]:
    """A progress bar on a terminal, a log line every ten seconds elsewhere."""
    if not console.is_terminal:
        yield _log_lines(title, total, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count=1: bar.advance(task, count)


def _log_lines(title: str, total: int | None, unit: str) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(count: int = 1) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= LOG_EVERY_S or done == total:
            last = now
            rate = done / max(now - started, 1e-9)
            log.info("%s: %d%s %s, %.1f a second", title, done, f" of {total}" if total else "", unit, rate)

    return advance
