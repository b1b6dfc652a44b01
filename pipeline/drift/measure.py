"""Measure a run, compare it with the runs before it, and keep both: the tables `drift_stats` and `drift_results`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.drift.distance import discrepancy, divergence, divergence_by_chance, moved
from pipeline.drift.sketch import Sketch
from pipeline.drift.stats import Stats, stats_of_run
from pipeline.errors import InputError
from pipeline.settings import DriftSettings
from pipeline.tables import Warehouse, connect, runs
from pipeline.tables.schema import DRIFT_RESULTS, DRIFT_STATS

JOB = "drift"


@dataclass(frozen=True)
class Drift:
    """A run held against its reference in one respect; see the table `drift_results`."""

    stats: Stats
    reference_runs: int
    reference_photos: int
    level: float
    distance: float | None = None
    chance: float | None = None
    moved: list[dict[str, str | float | None]] | None = None

    @property
    def alarm(self) -> bool:
        """Whether it differs by more than the setting allows and by more than chance explains."""
        return self.distance is not None and self.distance > max(self.level, self.chance or 0.0)

    @property
    def state(self) -> str:
        """alarm, ok or not judged, as in the view `drift`."""
        return "not judged" if self.distance is None else "alarm" if self.alarm else "ok"

    def row(self, batch_id: str, measured_at: datetime) -> dict[str, Any]:
        """Its row of `drift_results`."""
        own = ("reference_runs", "reference_photos", "distance", "chance", "level", "alarm", "moved")
        names = ("run_id", "release_id", "subject", "measure", "photos", "products")
        return (
            {"batch_id": batch_id, "measured_at": measured_at}
            | {name: getattr(self.stats, name) for name in names}
            | {name: getattr(self, name) for name in own}
        )


def measure_run(warehouse: Warehouse, run_id: str) -> list[Drift]:
    """Measure the photos that a run enriched and compare them; the same run again replaces its rows.

    The reference are the `drift.window_runs` runs before it, of the same release, that were measured; their stored
    statistics are added up, their photos are not read.

    Args:
        warehouse: its newest rows are read: a run's rows don't change once it is over.
        run_id: a run that is recorded.

    Returns:
        One a subject and measure; [] where the run enriched nothing.

    Raises:
        InputError: there is no such run.
    """
    started, settings = time.monotonic(), warehouse.settings.drift
    release_id = runs.release_of(warehouse, run_id)
    if release_id is None:
        raise InputError(f"there is no run {run_id[:200]!r} with a release in {warehouse.store.uri}")
    with connect(warehouse) as con:
        own = stats_of_run(con, run_id, settings.sample)
    earlier = _earlier(warehouse, own[0]) if own else []
    found = [compare(stats, earlier, settings) for stats in own]
    batch_id, now = runs.batch_id(run_id, JOB, 0), datetime.now(UTC)
    stored = pa.Table.from_pylist([stats.row(batch_id) for stats in own], DRIFT_STATS.arrow_schema)
    warehouse.replace_batch("drift_stats", batch_id, stored)
    results = pa.Table.from_pylist([drift.row(batch_id, now) for drift in found], DRIFT_RESULTS.arrow_schema)
    warehouse.replace_batch("drift_results", batch_id, results)
    details = {"measured": len(found), "states": Counter(drift.state for drift in found)}
    runs.record(warehouse, JOB, run_id, details, release_id=release_id, seconds=time.monotonic() - started)
    return found


def compare(stats: Stats, earlier: Sequence[Stats], settings: DriftSettings) -> Drift:
    """Hold one measure of a run against those of earlier runs, of which the newest `window_runs` count.

    Args:
        stats: the run.
        earlier: statistics of runs before it, in any order, of any subject.
        settings: window, alarm levels, and the number of photos below which nothing is judged.
    """
    comparable = sorted(
        (other for other in earlier if other.key == stats.key), key=lambda s: (s.enriched_at, s.run_id), reverse=True
    )[: settings.window_runs]
    photos, products = sum(s.photos for s in comparable), sum(s.products for s in comparable)
    level = {"labels": settings.labels, "scores": settings.scores, "vectors": settings.vectors}[stats.measure]
    if min(stats.photos, photos) < settings.min_photos or min(stats.products, products) < 2:
        return Drift(stats, len(comparable), photos, level)
    sketches = [s.sketch for s in comparable if s.sketch]
    if stats.sketch is not None:
        distance, chance = discrepancy(stats.sketch, Sketch.union(sketches), stats.products, products)
        return Drift(stats, len(comparable), photos, level, distance, chance)
    reference: Counter[str | None] = Counter()
    for other in comparable:
        reference.update(other.counts or {})
    counts = stats.counts or {}
    return Drift(
        stats,
        len(comparable),
        photos,
        level,
        divergence(counts, reference),
        divergence_by_chance(counts, reference, stats.products, products),
        moved(counts, reference),
    )


def _earlier(warehouse: Warehouse, own: Stats) -> list[Stats]:
    """Statistics of the release's runs before this one."""
    condition = (
        (pc.field("release_id") == own.release_id)
        & (pc.field("run_id") != own.run_id)
        & (pc.field("enriched_at") <= pa.scalar(own.enriched_at, pa.timestamp("us", tz="UTC")))
    )
    return [Stats.from_row(row) for row in warehouse.read("drift_stats", filter=condition).to_pylist()]
