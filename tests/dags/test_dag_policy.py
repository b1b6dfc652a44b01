"""What holds for every DAG of the project."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ("torch", "faiss", "pyarrow", "pandas", "duckdb", "deltalake", "kubernetes")


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Airflow writes its configuration where it is told to at first import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
        import airflow.sdk  # noqa: F401


@pytest.fixture(scope="session")
def dags(airflow_home: None) -> dict:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert not bag.import_errors
    for logger in logging.root.manager.loggerDict.values():  # Airflow switches off every logger it finds
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    return bag.dags


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda p: p.name)
def test_parsing_imports_nothing_heavy(path: Path) -> None:
    """Airflow's own import is measured before the file's: only what the file adds counts."""
    program = f"""
import sys, runpy
import airflow.sdk
before = set(sys.modules)
runpy.run_path({str(path)!r})
added = {{name.split(".")[0] for name in set(sys.modules) - before}}
print(" ".join(sorted(added & set({HEAVY!r}))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_dag_explains_itself(dags: dict) -> None:
    for dag in dags.values():
        assert dag.doc_md is not None
        assert "**When a task fails**" in dag.doc_md
        assert dag.tags


def test_every_task_has_retries_a_pool_and_a_time_limit(dags: dict) -> None:
    for dag in dags.values():
        assert dag.max_active_runs == 1
        assert not dag.catchup, "what to do is the anti-join's answer, never a missed date's"
        for task in dag.tasks:
            assert task.retries >= 3, task.task_id
            assert task.pool != "default_pool", task.task_id
            assert task.execution_timeout, task.task_id


def test_every_pool_is_made_and_documented(dags: dict) -> None:
    """A task whose pool does not exist is never scheduled, without an error anywhere."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    for dag in dags.values():
        for pool in {task.pool for task in dag.tasks}:
            assert f"airflow pools set {pool} " in makefile
            assert f"airflow pools set {pool} " in dag.doc_md


def test_a_failed_publish_fails_the_run(dags: dict) -> None:
    """The report runs whatever happened, so it must not be the only last task."""
    (last,) = dags["catalog_enrichment"].leaves
    assert last.trigger_rule == "all_success"
    assert {"publish_index", "publish_tables", "report"} <= last.upstream_task_ids


def test_nothing_is_published_before_the_checks(dags: dict) -> None:
    """What a blocking check refuses reaches neither the index nor the Parquet copies."""
    dag = dags["catalog_enrichment"]
    for task_id in ("publish_index", "publish_tables"):
        assert "check" in dag.get_task(task_id).get_flat_relative_ids(upstream=True)
    assert "drift" in dag.get_task("check").get_flat_relative_ids(upstream=True), "drift is one of the checks"
