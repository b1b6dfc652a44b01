"""What to do next: a sentence and the commands for everything that is not as it should be."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import Reason as Code
from pipeline.report.content import Check, Coverage, Drift, IndexFacts, Look, Reason, Step
from pipeline.report.page import count
from pipeline.report.texts import clip, plural

STEPS_SHOWN = 12
NAMES_LENGTH = 160
_LIMITS: dict[str, str] = {
    Code.TOO_MANY_PIXELS: "decode.max_pixels",
    Code.TOO_MANY_BYTES: "fetch.max_bytes",
    Code.TOO_SMALL: "decode.min_side",
    Code.DECODE_TIMEOUT: "decode.timeout_s",
}
"""Reasons that a setting decides on."""


@dataclass(frozen=True)
class Found:
    """What the other sections of the page found."""

    run_id: str
    coverage: Coverage
    checks: Sequence[Check]
    reasons: Sequence[Reason]
    drift: Drift | None
    index: IndexFacts | None
    looks: Sequence[Look]


def steps_of(found: Found) -> tuple[Step, ...]:
    """The steps, what must be done first; () where everything is as it should be."""
    steps = [*_checks(found), *_index(found), *_pending(found), *_drift(found), *_quarantine(found), *_conflicts(found)]
    order = {"bad": 0, "warn": 1, "": 2}
    return tuple(sorted(steps, key=lambda step: order[step.tone])[:STEPS_SHOWN])


def _checks(found: Found) -> Iterator[Step]:
    run = shlex.quote(found.run_id)
    if not found.checks:
        words = "No check has judged this run's rows."
        yield Step("Run the data checks", words, (f"atelier check --run {run}",), "warn")
    for tone, state, says, words in (
        (
            "bad",
            "blocking",
            "block publishing",
            "No index and no copy of the tables goes live until these hold. Mend the rows, then ask again",
        ),
        (
            "warn",
            "warning",
            "warn",
            "Nothing is held back by these. See what they found, mend it or change its limit (checks.*)",
        ),
    ):
        names = [check.name for check in found.checks if check.state == state]
        if names:
            title = f"Data checks that {says}: {len(names)}"
            yield Step(
                title, f"{words}: {clip(', '.join(names), NAMES_LENGTH)}.", (f"atelier check --run {run}",), tone
            )


def _index(found: Found) -> Iterator[Step]:
    index = found.index
    if index is None:
        if found.coverage.enriched:
            commands = ("atelier index build", "atelier index evaluate", "atelier index publish")
            yield Step(
                "Make the search index", "Photos are enriched, but nothing can be searched yet.", commands, "warn"
            )
        return
    if index.live:
        return
    version = shlex.quote(index.version)
    judged_then_live = (f"atelier index evaluate {version}", f"atelier index publish {version}")
    yield Step(
        "The new index is not live",
        f"Searches do not see version {index.version}. Its judgement says why; publish it where that is good enough.",
        judged_then_live,
        "warn",
    )


def _pending(found: Found) -> Iterator[Step]:
    if found.coverage.pending:
        yield Step(
            f"{plural(found.coverage.pending, 'photo is', 'photos are')} pending",
            "The next night takes them up by itself; by hand it is a plan and its work.",
            ("atelier plan", "atelier enrich --plan PLAN_ID"),
        )


def _drift(found: Found) -> Iterator[Step]:
    run = found.run_id.replace("'", "''")
    if found.drift is None:
        if found.coverage.enriched:
            words = "This run has not been held against the runs before it."
            yield Step("Measure drift", words, (f"atelier drift --run {shlex.quote(found.run_id)}",))
    elif found.drift.alarms:
        names = clip(", ".join(found.drift.alarms), NAMES_LENGTH)
        query = f"SELECT subject, measure, distance, moved FROM drift WHERE run_id = '{run}' AND state = 'alarm'"
        yield Step(
            f"{plural(len(found.drift.alarms), 'drift alarm')}",
            f"New photos differ from the usual ones: {names}. A new kind of stock, another camera, or a broken export?",
            (f'atelier sql -c "{query}"',),
            "warn",
        )


def _quarantine(found: Found) -> Iterator[Step]:
    """One step for what the shop has to replace, one for each reason that a setting decides on."""
    lasting = [reason for reason in found.reasons if reason.permanent]
    limits = {reason.code: _LIMITS[reason.code] for reason in lasting if reason.code in _LIMITS}
    broken = [reason for reason in lasting if reason.code not in limits]
    if broken:
        codes = ", ".join(f"{reason.code} {count(reason.count)}" for reason in broken)
        yield Step(
            f"{plural(sum(reason.count for reason in broken), 'photo')} to replace",
            f"Their bytes are no use: {clip(codes, NAMES_LENGTH)}. A replaced photo comes back by itself.",
            ("atelier quarantine list",),
        )
    if limits:
        counts = sum(reason.count for reason in lasting if reason.code in limits)
        names = ", ".join(f"{code} ({setting})" for code, setting in limits.items())
        yield Step(
            f"{plural(counts, 'photo is', 'photos are')} beyond a limit",
            f"If a limit is too strict, change the setting, then let them in again: {names}.",
            tuple(f"atelier quarantine readmit --reason {code}" for code in limits),
        )


def _conflicts(found: Found) -> Iterator[Step]:
    for look in found.looks:
        if look.query and look.total:
            yield Step(f"{look.title}: {count(look.total)}", look.words, (f'atelier sql -c "{look.query}"',))
