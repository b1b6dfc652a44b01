"""Quarantine by reason, with a few photos of each as far as they can be rendered."""

from __future__ import annotations

from dataclasses import replace

from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.content import Reason, Reject
from pipeline.report.page import moment
from pipeline.report.photos import KEY_LENGTH, LABEL_LENGTH
from pipeline.report.texts import clip, plural
from pipeline.report.thumbnails import Thumbnails, Wanted

REASONS_SHOWN = 16
EXAMPLES_A_REASON = 6
MESSAGE_LENGTH = 240


def reasons_of(ask: Asker, thumbnails: Thumbnails, shown: int) -> tuple[Reason, ...]:
    """Every reason with its count, the most frequent first, and at most `shown` examples drawn by a fixed seed."""
    counted = ask.rows("quarantine", "quarantine by reason", statements.QUARANTINED, reasons=REASONS_SHOWN)
    examples = ask.rows(
        "quarantine",
        "examples",
        statements.REJECT_EXAMPLES,
        examples=EXAMPLES_A_REASON,
        rejects=shown,
    )
    wanted = [Wanted(row["image_key"], row["etag"], row["reason"]) for row in examples]
    rejects: dict[str, list[Reject]] = {}
    for row, thumbnail in zip(examples, thumbnails.make(wanted), strict=True):
        rejects.setdefault(row["reason"], []).append(
            Reject(
                photo=replace(thumbnail.photo, key=clip(row["image_key"], KEY_LENGTH)),
                message=clip(row["message"], MESSAGE_LENGTH),
                note=_retry_note(row),
            )
        )
    return tuple(
        Reason(
            code=clip(row["reason"], LABEL_LENGTH),
            count=row["photos"],
            in_this_run=row["in_this_run"],
            permanent=row["permanent"],
            examples=tuple(rejects.get(row["reason"], ())),
        )
        for row in counted
    )


def _retry_note(row: Row) -> str:
    if row["next_retry_at"] is None:
        return ""
    return f"{plural(row['attempts'], 'attempt')}, again after {moment(row['next_retry_at'])}"
