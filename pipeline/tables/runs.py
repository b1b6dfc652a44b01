"""The table `runs`: one row an execution of a job, written over by its own retry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables.schema import RUNS
from pipeline.tables.warehouse import Warehouse


def batch_id(run_id: str, job: str, part: int) -> str:
    """Name of the row of one part of a job in a run: 16 hex digits, the same for every retry."""
    return hashlib.sha256(f"{run_id}\0{job}\0{part}".encode()).hexdigest()[:16]


def record(
    warehouse: Warehouse,
    job: str,
    run_id: str,
    details: Mapping[str, Any],
    *,
    release_id: str | None,
    seconds: float,
) -> None:
    """Enter a job without parts that has just ended; a retry of the job in the same run replaces the row.

    Args:
        warehouse: where the table is.
        job: its name, such as check.
        run_id: the run it belongs to.
        details: counts and durations, anything that is JSON.
        release_id: release it ran for.
        seconds: wall time.
    """
    name = batch_id(run_id, job, 0)
    row = {
        "batch_id": name,
        "run_id": run_id,
        "job": job,
        "part": 0,
        "release_id": release_id,
        "started_at": datetime.now(UTC) - timedelta(seconds=seconds),
        "seconds": seconds,
        "images": 0,
        "rejects": 0,
        "details": json.dumps(details, default=str),
    }
    warehouse.replace_batch("runs", name, pa.Table.from_pylist([row], RUNS.arrow_schema))


def release_of(warehouse: Warehouse, run_id: str) -> str | None:
    """The release that a run recorded; None where the run recorded nothing."""
    found = warehouse.read("runs", columns=["release_id"], filter=pc.field("run_id") == run_id)
    return next((release for release in found.column("release_id").to_pylist() if release), None)


def latest_run(warehouse: Warehouse) -> str | None:
    """The run whose first job started last; None before the first."""
    rows = warehouse.read("runs", columns=["run_id", "started_at"])
    firsts = rows.group_by("run_id").aggregate([("started_at", "min")]).to_pylist()
    return max(firsts, key=lambda run: (run["started_at_min"], run["run_id"]))["run_id"] if firsts else None
