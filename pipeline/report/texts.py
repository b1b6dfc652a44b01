"""Bounded pieces of text: whatever data holds, the page stays readable and small."""

from __future__ import annotations

from datetime import datetime

ELLIPSIS = "…"


def clip(text: str | None, length: int) -> str:
    """At most `length` characters; the middle of what is longer is left out. None gives an empty text."""
    if text is None or len(text) <= length:
        return text or ""
    head = (length - 1) * 2 // 3
    return text[:head] + ELLIPSIS + text[len(text) - (length - 1 - head) :]


def day(value: datetime) -> str:
    """A date on an axis: 23 Nov."""
    return f"{value.day} {value:%b}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 photo`, `2 photos`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
