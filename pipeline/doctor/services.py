"""What runs beside the jobs: Airflow and Dask."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.doctor.finding import Finding, fail, fine, warn
from pipeline.errors import SettingError, TransientError
from pipeline.settings import Settings

DAGS = Path(__file__).parents[2] / "dags"
"""The DAGs of this checkout, looked at where Airflow's own folder has none of them."""

AIRFLOW_LIMIT_S = 180.0

# Airflow is no import of the pipeline, so another process asks it. The first argument is a folder that stands in for
# AIRFLOW_HOME where that does not exist: importing Airflow would make it. Prints one JSON line.
_ASK_AIRFLOW = """
import json, logging, os, sys
from pathlib import Path

spare, project = sys.argv[1], sys.argv[2]
home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
told = {"home": str(home), "home_exists": home.is_dir()}
if not home.is_dir():
    os.environ["AIRFLOW_HOME"] = spare
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
import airflow
from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag

told["version"] = airflow.__version__
own = Path(conf.get("core", "dags_folder"))
folder = own if own.is_dir() else Path(project)
told |= {"dags_folder": str(own), "own_folder": own.is_dir(), "parsed": str(folder)}
sys.path.insert(0, str(folder))
bag = DagBag(str(folder))
told["dags"] = sorted(bag.dags)
told["errors"] = {Path(p).name: (e.strip().splitlines() or [""])[-1][:300] for p, e in bag.import_errors.items()}
told["pools_used"] = sorted({task.pool for dag in bag.dags.values() for task in dag.tasks})
place = conf.get("database", "sql_alchemy_conn")
told["database"] = place.partition(":")[0]
file = Path(place.partition(":///")[2]) if place.startswith("sqlite") else None
if file is not None and not file.is_file():
    told["pools"] = None
else:
    try:
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            told["pools"] = sorted(session.scalars(select(Pool.pool)))
    except Exception as error:
        told["pools"], told["database_error"] = None, type(error).__name__
print(json.dumps(told))
"""


def check_airflow(settings: Settings) -> Iterator[Finding]:
    """Import Airflow, parse the DAGs, look for their pools in the metadata database where there is one."""
    yield from judge_airflow(ask_airflow(), DAGS / "pools.json")


def ask_airflow() -> dict[str, Any]:
    """What Airflow, in a process of its own, says about itself.

    Raises:
        SettingError: it can't be imported.
        TransientError: it takes longer than three minutes.
    """
    with TemporaryDirectory() as spare:
        command = [sys.executable, "-W", "ignore", "-c", _ASK_AIRFLOW, spare, str(DAGS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=AIRFLOW_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise TransientError(f"Airflow did not say anything within {AIRFLOW_LIMIT_S:g} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]
        raise SettingError(f"Airflow can't be used in this environment: {last}")
    told: dict[str, Any] = json.loads(lines[-1])
    return told


def judge_airflow(told: dict[str, Any], pools_file: Path) -> Iterator[Finding]:
    """Findings about what `ask_airflow` returned."""
    for name, error in told["errors"].items():
        yield fail("airflow", f"{name} in {told['parsed']} can't be parsed: {error}", "the settings, or that file")
    if not told["dags"] and not told["errors"]:
        yield fail("airflow", f"there is no DAG in {told['parsed']}", "AIRFLOW__CORE__DAGS_FOLDER")
        return
    yield fine("airflow", f"Airflow {told['version']}: {', '.join(told['dags'])} parse, from {told['parsed']}")
    if not told["own_folder"]:
        found = f"Airflow's own DAG folder {told['dags_folder']} does not exist"
        yield warn("airflow", found, f"AIRFLOW__CORE__DAGS_FOLDER={DAGS}")
    if told.get("database_error"):
        change = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, or start the database; `airflow db migrate`"
        yield fail("airflow pools", f"the {told['database']} database: {told['database_error']}", change, 75)
    elif told["pools"] is None:
        where = told["home"] if told["home_exists"] else f"{told['home']}, which does not exist"
        yield warn("airflow pools", f"no metadata database yet (AIRFLOW_HOME is {where})", "`airflow db migrate`")
    elif missing := sorted(set(told["pools_used"]) - set(told["pools"])):
        found = f"pools are missing: {', '.join(missing)}: their tasks would wait for ever"
        yield fail("airflow pools", found, f"`airflow pools import {pools_file}`")
    else:
        yield fine("airflow pools", f"{', '.join(told['pools_used'])}, in the {told['database']} database")


def check_dask(settings: Settings) -> Iterator[Finding]:
    """Connect to the scheduler that the settings name; count workers, compare versions."""
    dask = settings.dask
    if dask.address is None:
        from pipeline.cluster.connect import worker_count

        here = f"no dask.address: {worker_count(dask)} workers on this machine, started with each job"
        yield fine("dask", here if dask.enabled else "not used (dask.enabled)")
        return
    from pipeline.cluster.connect import capacity, open_cluster, workers

    with open_cluster(settings) as client:
        count, room = len(workers(client)), capacity(client, dask.resources)
        theirs = {one["packages"]["distributed"] for one in client.get_versions()["workers"].values()}
    found = f"{dask.address}: {count} workers, {room} batches at once"
    if others := sorted(theirs - {version("distributed")}):
        change = "the same image for scheduler, workers and jobs"
        yield warn("dask", f"{found}; distributed {version('distributed')} here, {', '.join(others)} there", change)
    else:
        yield fine("dask", found)
    if not dask.enabled:
        yield warn("dask", "dask.address is set, but jobs don't use it", "dask.enabled")


CHECKS = {"airflow": check_airflow, "dask": check_dask}
