"""Work in flight on a cluster: a bounded number of orders at a time, results as they come.

orders --taken one by one, while there is room--> workers --Landed--> whoever asked
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import uuid4

from distributed import Client, Future, wait

from pipeline.cluster.connect import await_capacity, lost_scheduler, workers
from pipeline.settings import DaskSettings

log = logging.getLogger("atelier")

A = TypeVar("A")
B = TypeVar("B")

LOOK_EVERY_S = 5.0
"""How often the workers are counted while nothing lands."""


@dataclass(frozen=True)
class Landed(Generic[A, B]):
    """What became of an order: `value`, or the `error` that its worker raised or died of."""

    order: A
    value: B | None
    error: BaseException | None


class Flight(Generic[A, B]):
    """Runs `work` on a cluster, for one order after the other.

    Args:
        client: of the cluster.
        dask: `ahead` bounds how many orders are under way: 1 + ahead for each that can be worked on at once.
        work: a function at the top level of a module, which the workers import.
        name: of an order, for the dashboard.
    """

    def __init__(self, client: Client, dask: DaskSettings, work: Callable[[A], B], name: Callable[[A], str]) -> None:
        self.client = client
        self.dask = dask
        self.work = work
        self.name = name
        self._known: set[str] = set(workers(client))

    def run(self, orders: Iterable[A], held: Callable[[], int] = lambda: 0) -> Generator[Landed[A, B], None, None]:
        """Each order with what became of it, in the order of their ends; close it to drop what has not begun.

        A worker that is lost takes nothing with it: the scheduler gives its orders to others. `held` says how many that
        have landed are still being kept: they count as under way.

        Raises:
            TransientError: the scheduler is lost, or for `dask.timeout_s` there was no worker.
        """
        source = iter(orders)
        under_way: dict[Future, A] = {}
        try:
            while True:
                self._fill(under_way, source, held)
                if not under_way:
                    return
                for future in self._ended(list(under_way)):
                    yield self._landed(under_way.pop(future), future)
        finally:
            self._drop(list(under_way))

    def in_order(self, orders: Iterable[A]) -> Generator[Landed[A, B], None, None]:
        """As `run`, but in the order of the orders; no more than the window waits for its turn."""
        expected: deque[A] = deque()
        early: dict[int, Landed[A, B]] = {}

        def noted() -> Iterator[A]:
            for order in orders:
                expected.append(order)
                yield order

        with closing(self.run(noted(), lambda: len(early))) as landings:
            for landed in landings:
                early[id(landed.order)] = landed
                while expected and id(expected[0]) in early:
                    yield early.pop(id(expected.popleft()))

    def alone(self, order: A) -> Landed[A, B]:
        """One order while no other of this flight is under way."""
        (landed,) = self.run([order])
        return landed

    def _fill(self, under_way: dict[Future, A], source: Iterator[A], held: Callable[[], int]) -> None:
        room = (1 + self.dask.ahead) * await_capacity(self.client, self.dask)
        self._count_workers()
        while len(under_way) + held() < room:
            try:
                order = next(source)
            except StopIteration:
                return
            key = f"{self.name(order)}-{uuid4().hex[:8]}"  # an order that is given again is a task of its own
            future = self.client.submit(
                self.work, order, key=key, pure=False, resources=dict(self.dask.resources) or None
            )
            under_way[future] = order

    def _ended(self, futures: list[Future]) -> Iterable[Future]:
        while True:
            try:
                with self.client.as_current():
                    return wait(futures, timeout=LOOK_EVERY_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                await_capacity(self.client, self.dask)
                self._count_workers()
            except CancelledError as error:
                raise lost_scheduler() from error

    def _landed(self, order: A, future: Future) -> Landed[A, B]:
        try:
            error = future.exception()
            value = None if error else future.result()
        except CancelledError as cancelled:
            raise lost_scheduler() from cancelled
        future.release()
        return Landed(order, value, error)

    def _count_workers(self) -> None:
        now = set(workers(self.client))
        for address in self._known - now:
            log.warning("worker %s is gone; others do again what it was at", address)
        self._known = now

    def _drop(self, futures: list[Future]) -> None:
        """Take back what has not begun; what is being worked on ends by itself."""
        if futures and self.client.status == "running":
            self.client.cancel(futures)
