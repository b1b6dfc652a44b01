"""`atelier doctor` as a person types it, and what it makes of Airflow's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli import app, register
from pipeline.doctor import State, services
from pipeline.errors import InputError
from pipeline.settings import settings

SECRET = "wJalrXUtnFEMI-not-a-real-one"
TOLD = {
    "home": "/srv/airflow",
    "home_exists": True,
    "version": "3.3.2",
    "dags_folder": "/srv/dags",
    "own_folder": True,
    "parsed": "/srv/dags",
    "dags": ["catalog_enrichment"],
    "errors": {},
    "pools_used": ["enrichment", "index"],
    "database": "postgresql+psycopg2",
    "pools": ["default_pool", "enrichment", "index"],
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder without a file of settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    settings.cache_clear()
    yield
    settings.cache_clear()


def ask(*checks: str) -> tuple[Result, dict]:
    register()
    result = CliRunner().invoke(app, ["doctor", *(word for name in checks for word in ("--only", name))])
    assert len(result.stdout.splitlines()) == 1, result.output
    return result, json.loads(result.stdout)


def test_all_is_well() -> None:
    result, said = ask("settings", "disk")
    assert (result.exit_code, said["ok"], said["failed"]) == (0, True, 0)
    assert "all parse" in result.stderr
    assert {one["about"] for one in said["findings"]} == {"settings", "disk", "memory"}


def test_a_variable_that_nothing_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_CATALOG_URI", "var/catalog")
    result, said = ask("settings")
    (found,) = [one for one in said["findings"] if one["state"] == "warning"]
    assert result.exit_code == 0
    assert "ATELIER_CATALOG_URI" in found["found"]
    assert "ATELIER_CATALOG__URI" in found["change"]


def test_settings_that_are_wrong_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_S3__SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("ATELIER_DASK__WORKERS", "many")
    result, said = ask()
    assert result.exit_code == 3
    (found,) = said["findings"]
    assert "s3.secret_access_key" in found["found"] and "dask.workers" in found["found"]
    assert SECRET not in result.output


@pytest.mark.parametrize("text", ["[catalog", "catalog = 7", "[catalog]\nurl = 'x'"])
def test_a_file_of_settings_that_is_wrong(text: str, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(text)
    result, said = ask()
    assert (result.exit_code, said["ok"]) == (3, False)


def test_what_fails_decides_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DASK__ADDRESS", "tcp://127.0.0.1:9")
    monkeypatch.setenv("ATELIER_DASK__TIMEOUT_S", "0.5")
    assert ask("dask")[0].exit_code == 75
    settings.cache_clear()
    assert ask("dask", "catalog")[0].exit_code == 3  # there is no folder var/catalog


def test_a_check_that_does_not_exist() -> None:
    register()
    result = CliRunner().invoke(app, ["doctor", "--only", "gpu"])
    assert isinstance(result.exception, InputError)
    assert "device" in str(result.exception)


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({}, State.OK, "postgresql"),
        ({"pools": ["default_pool", "index"]}, State.FAILED, "enrichment"),
        ({"pools": None}, State.WARNING, "no metadata database"),
        ({"pools": None, "database_error": "OperationalError"}, State.FAILED, "OperationalError"),
        ({"dags": []}, State.FAILED, "no DAG"),
    ],
)
def test_what_airflow_says_is_judged(changes: dict, state: State, word: str) -> None:
    *_, last = services.judge_airflow({**TOLD, **changes}, Path("dags/pools.json"))
    assert last.state == state
    assert word in last.found


def test_a_real_airflow_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with one DAG that parses and one that doesn't; there is no database, and none is made."""
    folder = tmp_path / "dags"
    folder.mkdir()
    whole = "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n"
    (folder / "whole.py").write_text(f"{whole}with DAG('whole'):\n    EmptyOperator(task_id='one', pool='index')\n")
    (folder / "broken.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder))
    told = services.ask_airflow()
    assert told["dags"] == ["whole"]
    assert told["pools_used"] == ["index"]
    assert told["pools"] is None
    assert not (tmp_path / "home").exists()
    failed, parsed, pools = services.judge_airflow(told, Path("dags/pools.json"))
    assert [one.state for one in (failed, parsed, pools)] == [State.FAILED, State.OK, State.WARNING]
    assert "broken.py" in failed.found and "no_such_module" in failed.found
