"""What a worker process loads once and keeps for its next tasks: models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """The value of the last key that was asked for; several threads may ask at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[str, T] | None = None

    def get(self, key: str, load: Callable[[], T]) -> T:
        """The value of `key`, loaded if it is another key than the last one; the old value is let go first."""
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                self._kept = None
                self._kept = (key, load())
            return self._kept[1]
