"""What tests do inside Dask workers: importable there, unlike the test modules."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin


class EndsAtCommit(WorkerPlugin):
    """Ends two workers by SIGKILL: the first that is about to commit `images`, and the first that just has.

    Args:
        folder: takes a file for each of the two.
    """

    name = "ends-at-commit"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def setup(self, worker: Any) -> None:
        from pipeline.tables import Warehouse

        self._real = real = Warehouse.commit_images

        def commit_images(*arguments: Any) -> int:
            self._end_once("before")
            version = real(*arguments)
            self._end_once("after")
            return version

        Warehouse.commit_images = commit_images  # type: ignore[method-assign]

    def teardown(self, worker: Any) -> None:
        from pipeline.tables import Warehouse

        Warehouse.commit_images = self._real  # type: ignore[method-assign]

    def _end_once(self, moment: str) -> None:
        try:
            (self.folder / moment).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class Poison(WorkerPlugin):
    """Ends every worker that decodes the photo `image_key`, as a broken decoder does."""

    def __init__(self, image_key: str) -> None:
        self.name = "poison"
        self.image_key = image_key

    def setup(self, worker: Any) -> None:
        from pipeline.enrich import ahead

        real = ahead.prepare

        def prepare(image: Any, *arguments: Any) -> Any:
            if image.image_key == self.image_key:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(image, *arguments)

        ahead.prepare = prepare


def loaded() -> list[int]:
    """Address of the runner, and with it the models, that this worker holds; none before its first batch."""
    from pipeline.cluster.enrich import RUNNER

    return [id(RUNNER._kept[1])] if RUNNER._kept else []


def doubled(number: int) -> int:
    """Something quick."""
    return 2 * number


def failing(number: int) -> int:
    """Raises for odd numbers."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


def slow(seconds: float) -> float:
    """Takes its time."""
    time.sleep(seconds)
    return seconds


def slow_if_first(number: int) -> int:
    """Number 0 takes longer than the others."""
    time.sleep(1.0 if number == 0 else 0.01)
    return number


def ends_once(marker: Path) -> str:
    """Ends its worker by SIGKILL the first time, and says so the second time."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return "done elsewhere"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def deadly(number: int) -> int:
    """Ends every worker that gets number 0."""
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
