"""Asking the tables again after a fault that may pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from pipeline.errors import StaleError, TransientError

log = logging.getLogger("atelier")

ATTEMPTS = 6
PATIENCE_S = 20.0
"""For how long a new try is begun, seconds: a store that is down has been waited for by the Delta library already."""

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """Return `call()`, tried again after a `TransientError` other than a lost race.

    The Delta library repeats neither a commit whose answer it did not get nor a listing that was cut. `call` has to be
    safe to repeat, also where the first try was carried out after all.

    Raises:
        TransientError: all tries failed, or the time is up.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, TransientError) and not isinstance(e, StaleError)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=2.0),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(PATIENCE_S),
        before_sleep=lambda state: log.warning("again: %s", state.outcome and state.outcome.exception()),
        reraise=True,
    )(call)
