"""What holds for every DAG of the project."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import SettingError

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "dags" / "atelier_tasks.py"
DAG_FILES = sorted(set((ROOT / "dags").glob("*.py")) - {SHARED})
POOLS = json.loads((ROOT / "dags" / "pools.json").read_text(encoding="utf8"))
HEAVY = ("torch", "faiss", "pyarrow", "pandas", "duckdb", "deltalake", "kubernetes", "boto3")
MOST_MAPPED = 256
"""Mapped tasks of one task, at the most: thousands choke a scheduler, and each of ours is a large piece of work."""


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow writes its configuration where it is told to at first import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
        patch.syspath_prepend(str(ROOT / "dags"))  # as Airflow does with its DAG folder
        import airflow.sdk  # noqa: F401

        yield


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
sys.path.insert(0, {str(path.parent)!r})
before = set(sys.modules)
runpy.run_path({str(path)!r})
added = {{name.split(".")[0] for name in set(sys.modules) - before}}
print(" ".join(sorted(added & set({HEAVY!r}))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_shared_module_is_no_dag_file() -> None:
    assert SHARED.name in (ROOT / "dags" / ".airflowignore").read_text(encoding="utf8").split()


def test_every_dag_file_holds_the_dag_it_is_named_after(dags: dict) -> None:
    assert sorted(dags) == [path.stem for path in DAG_FILES]


def test_every_dag_explains_itself(dags: dict) -> None:
    for dag in dags.values():
        assert dag.doc_md is not None
        assert "**When a task fails**" in dag.doc_md
        assert "atelier" in dag.tags
        assert dag.params.keys() <= {word.strip("`:.,") for word in dag.doc_md.split()}, "a parameter is not explained"
        for name, param in dag.params.items():
            assert dag.params.get_param(name).description, (dag.dag_id, name, param)


def test_somebody_is_told_when_a_run_fails(dags: dict) -> None:
    for dag in dags.values():
        assert dag.has_on_failure_callback or dag.on_failure_callback


def test_every_dag_can_have_a_deadline() -> None:
    """Off where nothing is set: `airflow dags test` of Airflow 3.3 can't run a DAG that has one."""
    for path in DAG_FILES:
        text = path.read_text(encoding="utf8")
        assert "deadline=due(hours=" in text and "on_failure_callback=failed" in text, path.name


def test_every_task_has_an_owner_retries_a_pool_and_a_time_limit(dags: dict) -> None:
    for dag in dags.values():
        assert dag.max_active_runs == 1
        assert not dag.catchup, "what to do is the anti-join's answer, never a missed date's"
        for task in dag.tasks:
            assert task.owner == "data-engineering", task.task_id
            assert task.retries >= 3, task.task_id
            assert task.retry_exponential_backoff, task.task_id
            assert task.execution_timeout, task.task_id


def test_every_pool_is_declared_in_one_place(dags: dict) -> None:
    """A task whose pool does not exist is never scheduled, without an error anywhere."""
    used = {task.pool for dag in dags.values() for task in dag.tasks}
    assert used == set(POOLS), "default_pool is nobody's, and a pool that nobody waits in is a leftover"
    assert all(pool["slots"] >= 1 for pool in POOLS.values())
    assert "airflow pools import dags/pools.json" in (ROOT / "Makefile").read_text(encoding="utf8")
    for dag in dags.values():
        assert "airflow pools import dags/pools.json" in dag.doc_md


def test_an_index_is_built_by_one_task_at_a_time(dags: dict) -> None:
    assert POOLS["index"]["slots"] == 1
    touching = [task for dag in dags.values() for task in dag.tasks if task.task_id.endswith("_index")]
    assert touching
    assert {task.pool for task in touching} == {"index"}


def test_mapped_tasks_are_few(dags: dict) -> None:
    from pipeline.settings import load_settings

    for section, name in (("enrich", "parts"), ("airflow", "wave_parts")):
        with pytest.raises(SettingError):
            load_settings(**{section: {name: MOST_MAPPED + 1}})


def test_a_failed_publish_fails_the_run(dags: dict) -> None:
    """The report runs whatever happened, so it must not be the only last task."""
    (last,) = dags["catalog_enrichment"].leaves
    assert last.trigger_rule == "none_failed"
    assert {"publish_index", "publish_tables", "report"} <= last.upstream_task_ids


def test_nothing_is_published_before_the_checks(dags: dict) -> None:
    """What a blocking check refuses reaches neither the index nor the Parquet copies."""
    dag = dags["catalog_enrichment"]
    for task_id in ("publish_index", "publish_tables"):
        assert "check" in dag.get_task(task_id).get_flat_relative_ids(upstream=True)
    assert "drift" in dag.get_task("check").get_flat_relative_ids(upstream=True), "drift is one of the checks"
