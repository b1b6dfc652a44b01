"""Put a run's page together from the tables, the index manifest and a few photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.report import statements
from pipeline.report.asking import Asker
from pipeline.report.check_section import alert_of, checks_of
from pipeline.report.content import IndexFacts, Models, Page, Section
from pipeline.report.drift_section import drift_of
from pipeline.report.index_section import index_facts
from pipeline.report.label_section import LABELS_SHOWN, heads_of
from pipeline.report.looks import gallery_and_looks, gallery_words
from pipeline.report.model_section import models_of
from pipeline.report.number_section import Run, coverage_of, headlines, summary
from pipeline.report.page import moment
from pipeline.report.products import Recommender
from pipeline.report.reject_section import reasons_of
from pipeline.report.step_section import Found, steps_of
from pipeline.report.texts import clip
from pipeline.report.thumbnails import Thumbnails
from pipeline.report.time_section import rate_trend, time_bars
from pipeline.settings import Settings

SEED = "atelier"
"""Which photos are drawn depends on this and their keys alone: the same run gives the same page."""
RUNS_SHOWN = 30
TIME_NOTE = (
    "Jobs by wall time. Their steps, indented, run beside each other on several threads: they can add up to more than "
    "their job."
)


EMPTY = {
    "numbers": "The catalog table is empty: nothing has been listed yet.",
    "time": "No job of this run has recorded its time.",
    "quarantine": "No photo is in quarantine.",
    "gallery": "No photo has been enriched yet.",
    "look": "Nothing stands out: there is no photo to show and no conflict.",
    "labels": "No head has answered yet.",
    "drift": "This run has not been held against the runs before it: `atelier drift` does that.",
    "index": "There is no search index yet: `atelier index build` makes one.",
    "models": "No release has read photos yet.",
    "checks": "No data check has been run for this run: `atelier check` runs them.",
}
"""What a section says where it has nothing to show."""


@dataclass(frozen=True)
class Sources:
    """What a page is made from: `now` asks the newest tables (runs, indexes), `then` the run's snapshot."""

    settings: Settings
    now: Asker
    then: Asker
    thumbnails: Thumbnails
    run_id: str
    snapshot: int | None


def build_page(sources: Sources) -> Page:
    """Everything a run's page shows. Whatever is missing becomes a sentence on the page, never an error."""
    now, then = sources.now, sources.then
    jobs = now.rows("time", "jobs of this run", statements.JOBS)
    run = Run(**now.one("numbers", "this run", statements.RUN), jobs=tuple(jobs))
    history = now.rows(
        "time", "images a second over runs", statements.HISTORY, started_at=run.started_at, runs=RUNS_SHOWN
    )
    index = _index(sources, run)
    listed = then.one("numbers", "photos and products listed", statements.LISTED)
    enriched = then.one("numbers", "photos enriched", statements.ENRICHED)
    limits = sources.settings.report
    reasons = reasons_of(then, sources.thumbnails, limits.reject_photos)
    coverage = coverage_of(listed, enriched, reasons)
    scope = sources.run_id if enriched["in_this_run"] else None
    shop = Recommender(sources.settings, index.version if index else None)
    gallery, looks = gallery_and_looks(then, sources.thumbnails, scope, limits, shop)
    heads = heads_of(then.rows("labels", "answers of each head", statements.LABELS, labels=LABELS_SHOWN))
    checks, drift = checks_of(now), drift_of(now)
    models = _models(sources, run, enriched["release_id"])
    found = Found(sources.run_id, coverage, checks, reasons, drift, index, looks)
    shown = (coverage.listed, run.jobs, reasons, gallery, looks, heads, drift, index, models, checks)
    return Page(
        run_id=sources.run_id,
        title=f"Run of {moment(run.started_at)}",
        summary=summary(coverage, enriched["in_this_run"]),
        alert=alert_of(checks),
        made_at=moment(datetime.now(UTC)),
        steps=steps_of(found),
        coverage=coverage,
        headlines=headlines(coverage, enriched, listed, reasons, run, index),
        facts=_facts(sources, run, enriched["release_id"]),
        time_bars=time_bars(run.jobs),
        time_note=TIME_NOTE,
        rate_trend=rate_trend(history),
        reasons=reasons,
        gallery=gallery,
        gallery_words=gallery_words(len(gallery), enriched, scope),
        looks=looks,
        heads=heads,
        drift=drift,
        index=index,
        models=models,
        checks=checks,
        sections=_sections(sources, [bool(content) for content in shown]),
        snapshot=sources.snapshot,
    )


def _index(sources: Sources, run: Run) -> IndexFacts | None:
    history = sources.now.rows(
        "index", "recall over index versions", statements.INDEXES, finished_at=run.finished_at, runs=RUNS_SHOWN
    )
    return index_facts(sources.settings, run.run_id, history)


def _models(sources: Sources, run: Run, release_id: str | None) -> Models | None:
    history = sources.now.rows("models", "releases that read photos", statements.RELEASES, started_at=run.started_at)
    return models_of(sources.settings, run.run_id, release_id or run.release_id, history)


def _sections(sources: Sources, filled: Sequence[bool]) -> dict[str, Section]:
    """The statements behind each section and, for an empty one, what is missing; `filled` in the order of EMPTY."""
    return {
        name: Section((*sources.then.queries(name), *sources.now.queries(name)), "" if full else words)
        for (name, words), full in zip(EMPTY.items(), filled, strict=True)
    }


def _facts(sources: Sources, run: Run, release_id: str | None) -> tuple[tuple[str, str], ...]:
    settings = sources.settings
    return (
        ("run", clip(sources.run_id, 80)),
        ("release", release_id or run.release_id or "none yet"),
        ("device", run.device or "not recorded"),
        ("snapshot", str(sources.snapshot) if sources.snapshot is not None else "none: the newest rows were read"),
        ("catalog", clip(settings.catalog.uri, 200)),
        ("warehouse", clip(settings.warehouse.uri, 200)),
        ("abstentions", "shown as they are: a head below its threshold gives no label, only a score"),
    )
