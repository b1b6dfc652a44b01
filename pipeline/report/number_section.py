"""The headline numbers of a run and the sentence that says whether every photo is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.report.asking import Row
from pipeline.report.content import Coverage, Headline, IndexFacts, Reason
from pipeline.report.page import DASH, count, seconds
from pipeline.report.texts import clip, plural


@dataclass(frozen=True)
class Run:
    """One run as its jobs recorded it: row of `run_history`, rows of `runs` added up by job."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    release_id: str | None
    images: int
    rejects: int
    images_per_s: float | None
    device: str | None
    jobs: tuple[Row, ...]


def coverage_of(listed: Row, enriched: Row, reasons: Sequence[Reason]) -> Coverage:
    """Where the listed photos stand. Pending is what is neither enriched nor in quarantine."""
    quarantined = sum(reason.count for reason in reasons)
    pending = max(listed["photos"] - enriched["photos"] - quarantined, 0)
    return Coverage(listed["photos"], enriched["photos"], quarantined, pending)


def summary(coverage: Coverage, in_this_run: int) -> str:
    if not coverage.listed:
        return "Nothing has been listed in the catalog yet."
    listed = plural(coverage.listed, "listed photo")
    parts = f"{count(coverage.enriched)} enriched, {count(coverage.quarantined)} in quarantine"
    if coverage.pending:
        text = f"Of {listed}, {parts} and {count(coverage.pending)} pending."
    else:
        text = f"All {listed} are accounted for: {parts}."
    own = f"This run enriched {count(in_this_run)}." if in_this_run else "This run found nothing new to enrich."
    return f"{text} {own}"


def headlines(
    coverage: Coverage, enriched: Row, listed: Row, reasons: Sequence[Reason], run: Run, index: IndexFacts | None
) -> tuple[Headline, ...]:
    photos = enriched["photos"]
    fresh = sum(reason.in_this_run for reason in reasons)
    out = f"for {plural(len(reasons), 'reason')}, {count(fresh)} in this run" if reasons else ""
    a_photo = "none found"
    if enriched["garments"]:
        a_photo = f"{enriched['garments'] / photos:.1f} a photo, {count(enriched['without_garment'])} without"
    return (
        Headline("photos listed", count(coverage.listed)),
        Headline("enriched", count(photos), f"{count(enriched['in_this_run'])} in this run"),
        Headline("in quarantine", count(coverage.quarantined), out, "warn" if coverage.quarantined else ""),
        Headline("garments", count(enriched["garments"]), a_photo),
        Headline("products", count(listed["products"]), f"{count(enriched['products'])} with an enriched photo"),
        Headline("images/s", f"{run.images_per_s:.1f}" if run.images_per_s else DASH, run.device or ""),
        _index_headline(index),
        Headline("wall time", seconds(run.seconds), plural(len(run.jobs), "job")),
    )


def _index_headline(index: IndexFacts | None) -> Headline:
    """Recall is the number that decides whether an index goes live."""
    label = "index recall@10"
    if index is None:
        return Headline(label, DASH, "no index yet")
    value = f"{index.recall:.3f}" if index.recall is not None else "not judged"
    state = "live" if index.live else "not live"
    return Headline(label, value, f"{clip(index.version, 30)}, {state}", "" if index.live else "warn")
