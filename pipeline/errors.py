"""Every error the pipeline raises on purpose. The class says who acts.

| class | who acts | exit code | Airflow |
|---|---|---|---|
| `SettingError` | whoever runs it changes the setting that is named | 3 | fails at once |
| `InputError` | whoever delivers the file or table that is named | 3 | fails at once |
| `GateError` | whoever owns the quality gate; the last good result stays live | 4 | fails at once |
| `TransientError` | nobody: the same command again, later | 75 | retried |
| `StaleError` | nobody: a newer attempt has overtaken this one | 75 | retried |
| `PhotoError` | nobody at run time: the photo goes to quarantine | - | - |
"""

from __future__ import annotations

from enum import StrEnum


class AtelierError(Exception):
    """Base of all errors raised on purpose; its message is meant to be read by a person."""

    exit_code = 1


class SettingError(AtelierError):
    """A setting is wrong or missing. The message names the setting and what it may be."""

    exit_code = 3


class InputError(AtelierError):
    """A file, table or argument that was handed in can't be used. The message names it."""

    exit_code = 3


class GateError(AtelierError):
    """A check or quality gate said no; what was live before stays live."""

    exit_code = 4


class TransientError(AtelierError):
    """The outside world failed (network, throttling, disk full, lost worker); trying again later may work."""

    exit_code = 75


class StaleError(TransientError):
    """Somebody else changed what this operation was based on (a lost compare-and-swap)."""


class Reason(StrEnum):
    """Why a photo is in quarantine. These codes are stored: add, never rename."""

    # permanent: the bytes are bad, trying again gives the same
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    UNSUPPORTED = "unsupported"
    DECODE_TIMEOUT = "decode_timeout"
    WORKER_KILLED = "worker_killed"
    # transient: the bytes never arrived, or something outside of the photo went wrong
    FETCH_FAILED = "fetch_failed"
    FETCH_TIMEOUT = "fetch_timeout"
    VANISHED = "vanished"
    CHANGED = "changed"

    @property
    def permanent(self) -> bool:
        """Whether the photo stays out until it is re-admitted by hand or replaced by other bytes."""
        return self not in {Reason.FETCH_FAILED, Reason.FETCH_TIMEOUT, Reason.VANISHED, Reason.CHANGED}


class PhotoError(AtelierError):
    """One photo can't be enriched; its neighbours are not concerned."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
