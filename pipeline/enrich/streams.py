"""Several forward passes at once, each on one thread.

A pass that is cut into pieces for all cores waits for the slowest of them at every layer, spinning. On a machine that
does something else as well (decoding, another part of the plan) that costs several times the work itself. Passes side
by side never wait for each other, and what comes out does not depend on the number of cores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

CPU_PASS_IMAGES = 8
"""Images a pass on a CPU, at the most: more are no faster there, and every stream holds its own activations."""

CUDA_STREAMS = 2
"""One pass is prepared on the CPU while the other one runs on the GPU."""


class Streams:
    """Runs work on items side by side; results come in order. Use as a context manager.

    Args:
        count: how much runs at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "models", initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`work` of every item, in order; items are taken at most one ahead of what all streams can work on.

        What `items` or `work` raise comes out here.
        """
        under_way: deque[Future[B]] = deque()
        for item in items:
            under_way.append(self._pool.submit(work, item))
            while under_way and (under_way[0].done() or len(under_way) > self.count):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
