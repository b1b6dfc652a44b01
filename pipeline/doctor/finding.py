"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands. A warning keeps no job from running; a failure does."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Args:
        about: what was looked at, in a word or two.
        state: how it stands.
        found: what was seen, in words; never a credential.
        change: the setting to change or the command to run; empty where all is well.
        exit_code: of a failure, as in `pipeline.errors`: 75 where the same may work later, 3 where it can't.
    """

    about: str
    state: State
    found: str
    change: str = ""
    exit_code: int = 0


def fine(about: str, found: str) -> Finding:
    """All is well."""
    return Finding(about, State.OK, found)


def warn(about: str, found: str, change: str) -> Finding:
    """Jobs run, but somebody should know."""
    return Finding(about, State.WARNING, found, change)


def fail(about: str, found: str, change: str, exit_code: int = 3) -> Finding:
    """Jobs would fail."""
    return Finding(about, State.FAILED, found, change, exit_code)
