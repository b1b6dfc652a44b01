"""Worker threads that may be abandoned: a decoder that hangs can't be killed, but nobody has to wait for it."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable

import torch

CLOSE_PATIENCE_S = 5.0
"""How long threads are waited for at the end; a fetch that is under way may take longer."""

Job = Callable[[], bool]
"""Says whether its thread is to leave the crew, because another one has taken its place meanwhile."""


class Crew:
    """Daemon threads that take jobs from a queue. Jobs handle their own errors.

    `concurrent.futures` joins its threads when the interpreter ends; with a photo that decodes for hours the process
    would never end. These threads end with the process.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        for _ in range(threads):
            self.enlist()

    def enlist(self) -> None:
        """Start one more thread, in place of one that is not waited for any more."""
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; the caller bounds how many there are."""
        self._jobs.put(job)

    def close(self, patience_s: float = CLOSE_PATIENCE_S) -> None:
        """Drop the jobs that nobody has begun and wait a little for the threads to end after those they are at.

        A thread that is still inside PyTorch when the interpreter ends aborts the process; hence the wait. One that
        hangs is left to the end of the process.
        """
        while not self._jobs.empty():
            try:
                self._jobs.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        # One thread an operation: parallelism comes from the crew. The number belongs to the calling thread, the
        # models' own threads keep theirs.
        torch.set_num_threads(1)
        while (job := self._jobs.get()) is not None:
            if job():
                return
            del job  # it holds a decoded photo, which must not wait in memory for the next job


class Stint:
    """How long a thread has been at a job, in CPU seconds, so that a busy machine condemns no photo.

    Where a thread's CPU clock can't be read (macOS), wall time takes its place.
    """

    def __init__(self) -> None:
        ident = threading.get_ident()
        self._clock: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(ident)
        self._began = self._now()

    def spent(self) -> float:
        """Seconds since the start; 0 once the thread is gone, which has no clock any more."""
        try:
            return self._now() - self._began
        except OSError:
            return 0.0

    def _now(self) -> float:
        return time.monotonic() if self._clock is None else time.clock_gettime(self._clock)


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
