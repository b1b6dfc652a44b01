"""Alerts reach the command that is named, and one that can't be delivered harms nobody."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.alerts import Alert, late, tell
from pipeline.settings import settings

FAILED = Alert("run_failed", "catalog_enrichment", "scheduled__1", "a 'quoted' $(reason)")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the command of `airflow.alert` writes what it was told to."""
    path = tmp_path / "told.json"
    program = f"import sys, pathlib; pathlib.Path({str(path)!r}).write_text(sys.stdin.read())"
    monkeypatch.setenv("ATELIER_AIRFLOW__ALERT", json.dumps([sys.executable, "-c", program]))
    settings.cache_clear()
    yield path
    settings.cache_clear()


def test_the_command_is_told_on_its_input(told: Path) -> None:
    assert tell(FAILED)
    assert json.loads(told.read_text()) == {
        "kind": "run_failed",
        "dag_id": "catalog_enrichment",
        "run_id": "scheduled__1",
        "reason": "a 'quoted' $(reason)",
    }


def test_a_deadline_names_the_run(told: Path) -> None:
    asyncio.run(late(8, context={"dag_run": {"dag_id": "catalog_enrichment", "dag_run_id": "scheduled__2"}}))
    found = json.loads(told.read_text())
    assert (found["kind"], found["run_id"]) == ("run_late", "scheduled__2")
    assert "8 hours" in found["reason"]


@pytest.mark.parametrize("command", [["/no/such/program"], [sys.executable, "-c", "raise SystemExit(3)"], []])
def test_one_that_is_not_delivered_is_logged(
    command: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ATELIER_AIRFLOW__ALERT", json.dumps(command))
    settings.cache_clear()
    try:
        assert not tell(FAILED)
    finally:
        settings.cache_clear()
    assert "catalog_enrichment" in caplog.text
    assert ("not delivered" in caplog.text) == bool(command)
