"""The enrich job's row in the table `runs`, and what the command prints."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pyarrow as pa

from models.release import Release
from pipeline.enrich.runner import Outcome
from pipeline.tables import Warehouse
from pipeline.tables.schema import RUNS

JOB = "enrich"


def record(
    warehouse: Warehouse, outcome: Outcome, release: Release, *, run_id: str, part: int, started_at: datetime
) -> None:
    """Write or replace the row of this run and part."""
    name = hashlib.sha256(f"{run_id}\0{JOB}\0{part}".encode()).hexdigest()[:16]
    details = {
        "seconds": outcome.steps,
        "rejects": outcome.rejects,
        "batches": outcome.batches,
        "skipped_batches": outcome.skipped,
        "skipped_images": outcome.skipped_images,
        "overlapped": outcome.overlapped,
        "failed_batches": outcome.failures,
        "peak_rss_mib": outcome.peak_rss_mib,
    }
    row = {
        "batch_id": name,
        "run_id": run_id,
        "job": JOB,
        "part": part,
        "release_id": release.release_id,
        "started_at": started_at,
        "seconds": outcome.seconds,
        "images": outcome.images,
        "rejects": sum(outcome.rejects.values()),
        "images_per_s": outcome.images_per_s,
        "device": f"{release.device} {release.precision}",
        "details": json.dumps(details),
    }
    warehouse.replace_batch("runs", name, pa.Table.from_pylist([row], RUNS.arrow_schema))


def summary(outcome: Outcome, release: Release, *, run_id: str, part: int) -> dict[str, Any]:
    """The JSON line of the command."""
    return {
        "run_id": run_id,
        "part": part,
        "images": outcome.images,
        "rejects": sum(outcome.rejects.values()),
        "rejects_by_reason": outcome.rejects,
        "batches": outcome.batches,
        "skipped_batches": outcome.skipped,
        "overlapped": outcome.overlapped,
        "seconds": round(outcome.seconds, 3),
        "images_per_s": round(outcome.images_per_s, 2),
        "device": release.device,
        "precision": release.precision,
    }
