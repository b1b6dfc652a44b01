"""How each head's answers are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.report.asking import Row
from pipeline.report.content import Bar, Head
from pipeline.report.page import count, percent
from pipeline.report.texts import clip, plural

LABELS_SHOWN = 16
HEADS_SHOWN = 24
_ORDER = {"type": 0, "color": 1, "brand": 2, "pattern": 3, "gender": 4}


def heads_of(rows: Sequence[Row]) -> tuple[Head, ...]:
    """One chart a head, the standard heads first.

    Args:
        rows: of the statement `LABELS`, grouped by head; a null label counts the abstentions.
    """
    heads = [_head(name, list(group)) for name, group in groupby(rows, key=lambda row: row["head"])]
    heads.sort(key=lambda head: (_ORDER.get(head.name, len(_ORDER)), head.name))
    return tuple(heads[:HEADS_SHOWN])


def _head(name: str, rows: Sequence[Row]) -> Head:
    answers = int(rows[0]["answers"])
    named = [row for row in rows if row["label"] is not None]
    abstained = sum(int(row["photos"]) for row in rows if row["label"] is None)
    labels = int(rows[0]["labels"])
    rest = answers - abstained - sum(int(row["photos"]) for row in named)
    counts = [(clip(row["label"], 60), int(row["photos"]), "") for row in named]
    if rest:
        counts.append((f"{count(labels - len(named))} more labels", rest, "muted"))
    if abstained:
        counts.append(("abstained", abstained, "muted"))
    top = max(number for _, number, _ in counts)
    bars = tuple(
        Bar(label, number / top, f"{count(number)} · {percent(number / answers)}", tone, swatch=_is_color(name, tone))
        for label, number, tone in counts
    )
    share = percent(abstained / answers)
    return Head(clip(name, 60), f"{plural(labels, 'label')}, {share} abstained", bars)


def _is_color(head: str, tone: str) -> bool:
    return head == "color" and not tone
