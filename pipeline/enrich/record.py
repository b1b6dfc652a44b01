"""The enrich job's row in the table `runs`, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.enrich.runner import Outcome
from pipeline.tables import Warehouse, runs
from pipeline.tables.schema import RUNS

JOB = "enrich"


class ReadBy(Protocol):
    """What read the photos: a loaded `Release`, or what workers elsewhere say of theirs."""

    @property
    def release_id(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...


def record(
    warehouse: Warehouse, outcome: Outcome, release: ReadBy, *, run_id: str, part: int, started_at: datetime
) -> None:
    """Write the row of this run and part.

    An attempt that goes on where an earlier one stopped adds its time, steps and rejects to what that one recorded; an
    attempt that was killed recorded nothing.
    """
    name = runs.batch_id(run_id, JOB, part)
    earlier = _earlier(warehouse, name) if outcome.skipped else {}
    before: dict[str, Any] = json.loads(earlier.get("details", "{}"))
    seconds = outcome.seconds + earlier.get("seconds", 0.0)
    rejects = _sum(before.get("rejects", {}), outcome.rejects)
    enriched = outcome.images - outcome.skipped_images + before.get("enriched", 0)
    details = {
        "seconds": {step: round(spent, 3) for step, spent in _sum(before.get("seconds", {}), outcome.steps).items()},
        "rejects": rejects,
        "enriched": enriched,
        "batches": outcome.batches + before.get("batches", 0),
        "overlapped": outcome.overlapped + before.get("overlapped", 0),
        "failed_batches": outcome.failures,
        "peak_rss_mib": max(outcome.peak_rss_mib, before.get("peak_rss_mib", 0)),
    }
    if generators := {**before.get("generators", {}), **outcome.generators}:
        details["generators"] = generators
        for count in ("variants", "variants_failed"):
            details[count] = getattr(outcome, count) + before.get(count, 0)
    row = {
        "batch_id": name,
        "run_id": run_id,
        "job": JOB,
        "part": part,
        "release_id": release.release_id,
        "started_at": min(started_at, earlier.get("started_at", started_at)),
        "seconds": seconds,
        "images": outcome.images,
        "rejects": sum(rejects.values()),
        "images_per_s": enriched / max(seconds, 1e-9),
        "device": f"{release.device} {release.precision}",
        "details": json.dumps(details),
    }
    warehouse.replace_batch("runs", name, pa.Table.from_pylist([row], RUNS.arrow_schema))


def _earlier(warehouse: Warehouse, name: str) -> dict[str, Any]:
    rows = warehouse.read("runs", filter=pc.field("batch_id") == name).to_pylist()
    return rows[0] if rows else {}


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}


def summary(outcome: Outcome, release: ReadBy, *, run_id: str, part: int) -> dict[str, Any]:
    """The JSON line of the command: what this attempt did; `images` are all of the part's that are in the ledger."""
    return {
        "run_id": run_id,
        "part": part,
        "images": outcome.images,
        "rejects": sum(outcome.rejects.values()),
        "rejects_by_reason": outcome.rejects,
        "batches": outcome.batches,
        "skipped_batches": outcome.skipped,
        "overlapped": outcome.overlapped,
        **_variants(outcome),
        "seconds": round(outcome.seconds, 3),
        "images_per_s": round(outcome.images_per_s, 2),
        "device": release.device,
        "precision": release.precision,
    }


def _variants(outcome: Outcome) -> dict[str, Any]:
    """Counts and generators; nothing where no rule asks for variants."""
    if not outcome.generators:
        return {}
    return {
        "variants": outcome.variants,
        "variants_failed": outcome.variants_failed,
        "generators": outcome.generators,
    }
