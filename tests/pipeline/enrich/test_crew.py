"""Worker threads: references dropped, threads gone at the end, hanging ones left behind."""

from __future__ import annotations

import threading
import time
import weakref

from pipeline.enrich.crew import Crew, Stint


class Thing:
    """Something a job holds on to."""

    def work(self) -> bool:
        return False


def alive(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_jobs_are_done_and_what_they_held_is_let_go() -> None:
    crew = Crew("letting-go", 1)
    thing = Thing()
    gone = weakref.ref(thing)
    crew.submit(thing.work)
    del thing
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone() is None
    crew.close()


def test_closing_drops_what_nobody_began_and_ends_the_threads() -> None:
    crew = Crew("closing", 2)
    begun = []

    def slow() -> bool:
        begun.append(1)
        time.sleep(0.2)
        return False

    for _ in range(50):
        crew.submit(slow)
    time.sleep(0.05)
    crew.close()
    assert alive("closing") == 0
    assert len(begun) < 10


def test_a_hanging_job_is_not_waited_for() -> None:
    crew = Crew("hanging", 1)
    release = threading.Event()
    crew.submit(lambda: bool(release.wait(30)))
    time.sleep(0.05)
    started = time.monotonic()
    crew.close(patience_s=0.2)
    assert time.monotonic() - started < 2
    release.set()


def test_a_thread_leaves_when_its_job_says_so() -> None:
    crew = Crew("leaving", 1)
    crew.enlist()
    crew.submit(lambda: True)
    deadline = time.monotonic() + 5
    while alive("leaving") > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive("leaving") == 1
    crew.close()


def test_a_stint_counts_work_and_not_waiting() -> None:
    stint = Stint()
    time.sleep(0.3)
    assert stint.spent() < 0.25
    until = time.thread_time() + 0.1
    while time.thread_time() < until:
        pass
    assert stint.spent() >= 0.1
