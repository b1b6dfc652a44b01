"""Where the time goes: seconds by step, added up over threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Watch:
    """Adds up the wall seconds spent in named steps; safe to use from several threads."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count the block's seconds under `step`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(step, time.perf_counter() - started)

    def add(self, step: str, seconds: float) -> None:
        """Count `seconds` under `step`."""
        with self._lock:
            self._seconds[step] += seconds

    def include(self, other: Watch) -> None:
        """Add everything that `other` has counted."""
        for step, seconds in other.seconds.items():
            self.add(step, seconds)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by step so far."""
        with self._lock:
            return dict(self._seconds)
