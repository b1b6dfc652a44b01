"""Trying again: only what may pass by itself, with growing random waits, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)

from pipeline.storage.base import ObjectTimeout, StoreUnavailable

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0

T = TypeVar("T")


class TransientFault(Exception):
    """One try failed in a way that may pass by itself; never leaves this package."""


def with_retries(call: Callable[[], T], *, attempts: int, what: str, deadline: float | None = None) -> T:
    """Return `call()`, tried again after a `TransientFault`.

    The wait before try n+1 is drawn evenly from 0 to min(10, 0.2 * 2**n) seconds ("full jitter"), so that many
    workers that failed together do not come back together. No try starts behind `deadline` (of `time.monotonic`).

    Raises:
        StoreUnavailable: all tries failed.
        ObjectTimeout: the next try would have come too late.
    """
    remaining = None if deadline is None else max(deadline - time.monotonic(), 0.0)
    retrying = Retrying(
        retry=retry_if_exception_type(TransientFault),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        stop=stop_after_attempt(attempts) | (stop_never if remaining is None else stop_before_delay(remaining)),
        retry_error_callback=lambda state: _give_up(state, attempts, what),
    )
    return retrying(call)


def _give_up(state: RetryCallState, attempts: int, what: str) -> None:
    fault = state.outcome.exception() if state.outcome else None
    tried = f"{state.attempt_number} tries in {state.seconds_since_start or 0:.1f} s"
    if state.attempt_number < attempts:
        raise ObjectTimeout(f"{what} did not arrive within its time limit ({tried}): {fault}") from fault
    raise StoreUnavailable(f"{what} failed ({tried}): {fault}") from fault
