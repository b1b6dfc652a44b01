"""Write a run's report and the list of reports into the warehouse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.errors import InputError
from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.build import SEED, Sources, build_page
from pipeline.report.content import RunLine
from pipeline.report.page import DASH, count, moment, render_index, render_page
from pipeline.report.texts import plural
from pipeline.report.thumbnails import Thumbnails
from pipeline.settings import Settings
from pipeline.storage import ObjectStore, open_store
from pipeline.tables import Snapshot, Warehouse, connect, open_warehouse

FOLDER = "reports/"
INDEX_KEY = f"{FOLDER}index.html"
REPORTS_LISTED = 1000
NEWEST = "of the newest rows: connect(warehouse) without a snapshot"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,127}")
_REPORT_KEY = re.compile(rf"{FOLDER}({_RUN_ID.pattern})\.html")


@dataclass(frozen=True)
class Written:
    """Where a report was put; `run_id` is None where there is no run yet and only the list was written."""

    uri: str
    run_id: str | None
    snapshot: int | None
    bytes: int
    local: Path | None


def write_report(settings: Settings, run_id: str | None = None, snapshot: int | None = None) -> Written:
    """Write `reports/<run_id>.html` and `reports/index.html` under `warehouse.uri`.

    Args:
        settings: where warehouse and catalog are.
        run_id: the run; None: the latest.
        snapshot: tables as this snapshot pins them; None: as the run's own snapshot does, where it put one.

    Raises:
        InputError: no such run or snapshot; the message names those that exist.
    """
    warehouse = open_warehouse(settings)
    store = warehouse.store
    pinned = warehouse.load_snapshot(snapshot) if snapshot is not None else None
    with connect(warehouse) as newest:
        known = _known_run(Asker(newest), run_id)
        if known is None:
            size = _write_index(store, Asker(newest))
            return Written(f"{store.uri}/{INDEX_KEY}", None, None, size, store.local_path(INDEX_KEY))
        pinned = pinned or _own_snapshot(warehouse, known)
        html = _page(warehouse, newest, known["run_id"], pinned)
        key = f"{FOLDER}{known['run_id']}.html"
        store.put(key, html)
        _write_index(store, Asker(newest))
    number = pinned.number if pinned else None
    return Written(f"{store.uri}/{key}", known["run_id"], number, len(html), store.local_path(key))


def _known_run(ask: Asker, wanted: str | None) -> Row | None:
    """The run to report: `wanted`, else the latest; None where there is none and none was asked for."""
    if wanted is None:
        found = ask.rows("", "latest run", statements.RUN_LATEST)
        if not found:
            return None
    else:
        found = ask.rows("", "the run asked for", statements.RUN_KNOWN, wanted=wanted)
    if not found:
        recent = [row["run_id"] for row in ask.rows("", "recent runs", statements.RUNS_RECENT)]
        others = f"the latest are {', '.join(recent)}" if recent else "no run has been recorded yet"
        raise InputError(f"there is no run {(wanted or '')[:200]!r}; {others}")
    if not _RUN_ID.fullmatch(found[0]["run_id"]):
        raise InputError(f"table runs, column run_id: {found[0]['run_id'][:200]!r} can't name a report's file")
    return found[0]


def _own_snapshot(warehouse: Warehouse, run: Row) -> Snapshot | None:
    """The newest snapshot that the run took; None where it took none."""
    snapshot = warehouse.latest_snapshot()
    while snapshot is not None and snapshot.run_id != run["run_id"]:
        earlier = snapshot.number > 1 and snapshot.taken_at >= run["started_at"]
        snapshot = warehouse.load_snapshot(snapshot.number - 1) if earlier else None
    return snapshot


def _page(warehouse: Warehouse, newest: duckdb.DuckDBPyConnection, run_id: str, snapshot: Snapshot | None) -> bytes:
    settings = warehouse.settings
    with connect(warehouse, snapshot) as pinned:
        sources = Sources(
            settings=settings,
            now=Asker(newest, NEWEST, run_id=run_id),
            then=Asker(pinned, run_id=run_id, seed=SEED),
            thumbnails=Thumbnails(open_store(settings.catalog.uri, settings), warehouse.store, settings),
            run_id=run_id,
            snapshot=snapshot.number if snapshot else None,
        )
        return render_page(build_page(sources))


def _write_index(store: ObjectStore, ask: Asker) -> int:
    """Write the list of the reports that exist, newest run first; returns its bytes."""
    ids = [
        match[1] for info in store.list(FOLDER) if (match := _REPORT_KEY.fullmatch(info.key)) and match[1] != "index"
    ]
    known = ask.rows("", "reported runs", statements.RUNS_REPORTED, run_ids=ids, reports=REPORTS_LISTED)
    forgotten = sorted(set(ids) - {row["run_id"] for row in known}, reverse=True)
    lines = [_line(row["run_id"], row) for row in known] + [_line(run_id, None) for run_id in forgotten]
    html = render_index(lines[:REPORTS_LISTED], moment(datetime.now(UTC)))
    store.put(INDEX_KEY, html)
    return len(html)


def _line(run_id: str, row: Row | None) -> RunLine:
    """A line of the list; `row` is None for a report whose run is no longer in the table."""
    shown: Mapping[str, Any] = row or {}
    recall = shown.get("recall_at_10")
    rate = shown.get("images_per_s")
    return RunLine(
        run_id=run_id,
        href=f"{run_id}.html",
        when=moment(shown["started_at"]) if row else "",
        images=count(shown.get("images")),
        rejects=count(shown.get("rejects")),
        rate=DASH if rate is None else f"{rate:.1f}",
        recall=DASH if recall is None else f"{recall:.3f}",
        checks=_checks(shown),
        tone="bad" if shown.get("blocking") else "warn" if shown.get("warnings") else "",
        release_id=shown.get("release_id") or DASH,
    )


def _checks(row: Mapping[str, Any]) -> str:
    """What the data checks found in a run, in a word or two."""
    blocking, warnings = row.get("blocking"), row.get("warnings")
    if blocking is None or warnings is None:
        return DASH
    if blocking:
        return f"{blocking} blocking"
    return plural(warnings, "warning") if warnings else "passed"
