"""Judge a snapshot by the data checks, keep what they found, and say whether it may be published."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import CardError
from models.release_cards import read_release
from pipeline.errors import GateError, SettingError
from pipeline.releases import release_folder
from pipeline.settings import Settings
from pipeline.tables import runs
from pipeline.tables.checks import CheckResult, run_checks
from pipeline.tables.query import connect
from pipeline.tables.schema import CHECK_RESULTS
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.warehouse import Warehouse

JOB = "check"
LABELS = pa.schema([("head", pa.string()), ("label", pa.string())])


def judge(warehouse: Warehouse, snapshot: Snapshot | None) -> list[CheckResult]:
    """Run every check on a snapshot and store the results in `check_results` and `runs` under the snapshot's run.

    Args:
        warehouse: where the tables are.
        snapshot: what is judged; None: the newest rows, whose results belong to no run and are not stored.

    Raises:
        InputError, SettingError: see `run_checks`.
    """
    started = time.monotonic()
    with connect(warehouse, snapshot) as con:
        if snapshot is not None:
            labels = accepted_labels(warehouse.settings, snapshot.release_id)
            con.register("labels_of_release", labels)
            con.execute("INSERT INTO accepted_labels FROM labels_of_release")
        results = run_checks(con, block=warehouse.settings.checks.block)
    if snapshot is not None:
        _store(warehouse, snapshot, results, time.monotonic() - started)
    return results


def summary(snapshot: Snapshot | None, results: Sequence[CheckResult]) -> dict[str, object]:
    """What the command `check` prints: counts, and offending rows by check."""
    return {
        "snapshot": snapshot.number if snapshot else None,
        "checks": len(results),
        "passed": sum(result.passed for result in results),
        "blocking": {result.name: result.rows for result in results if result.blocks},
        "warnings": {result.name: result.rows for result in results if not result.passed and not result.blocks},
    }


def refuse_blocked(found: Mapping[str, int]) -> None:
    """Let nothing pass that blocking checks found rows in.

    Args:
        found: offending rows by blocking check; empty where nothing blocks.

    Raises:
        GateError: some found rows.
    """
    if found:
        which = ", ".join(f"{name} ({rows} rows)" for name, rows in sorted(found.items()))
        raise GateError(f"blocking data checks found rows: {which}; what they look for is in sql/checks")


def require_passed(warehouse: Warehouse, snapshot: Snapshot) -> None:
    """Let a snapshot pass that may be published: by what is recorded of it, else by judging it now.

    Raises:
        GateError: a blocking check found rows.
    """
    recorded = warehouse.read(
        "check_results",
        columns=["name", "severity", "passed", "rows"],
        filter=(pc.field("run_id") == snapshot.run_id) & (pc.field("snapshot") == snapshot.number),
    ).to_pylist()
    if recorded:
        blocking = {r["name"]: r["rows"] for r in recorded if r["severity"] == "blocking" and not r["passed"]}
    else:
        blocking = {result.name: result.rows for result in judge(warehouse, snapshot) if result.blocks}
    refuse_blocked(blocking)


def accepted_labels(settings: Settings, release_id: str) -> pa.Table:
    """Head and label, of every head of the release that the settings name; no row where that is not at hand."""
    try:
        release = read_release(release_folder(settings))
    except (SettingError, CardError):
        return LABELS.empty_table()  # tables may be judged where no models lie
    heads = release.heads if release.release_id == release_id else {}
    rows = [{"head": head, "label": label} for head, (card, _) in heads.items() for label in card.labels]
    return pa.Table.from_pylist(rows, LABELS)


def _store(warehouse: Warehouse, snapshot: Snapshot, results: Sequence[CheckResult], seconds: float) -> None:
    details = summary(snapshot, results) | {
        "results": [{**result.__dict__, "examples": list(result.examples)} for result in results]
    }
    runs.record(warehouse, JOB, snapshot.run_id, details, release_id=snapshot.release_id, seconds=seconds)
    batch_id, now = runs.batch_id(snapshot.run_id, JOB, 0), datetime.now(UTC)
    rows = [
        {"batch_id": batch_id, "run_id": snapshot.run_id, "snapshot": snapshot.number, "name": result.name}
        | {"severity": result.severity, "passed": result.passed, "rows": result.rows, "seconds": result.seconds}
        | {"examples": json.dumps(list(result.examples), default=str), "checked_at": now}
        for result in results
    ]
    warehouse.replace_batch("check_results", batch_id, pa.Table.from_pylist(rows, CHECK_RESULTS.arrow_schema))
