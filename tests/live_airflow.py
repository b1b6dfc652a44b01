"""A real Airflow for tests: api-server, scheduler and dag-processor, each a process, on a free port.

It keeps its state in SQLite, or in the PostgreSQL of `live_postgres`.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
STARTED_WITHIN_S = 180


class LiveAirflow:
    """Its processes and its REST API (`/api/v2`).

    Args:
        home: AIRFLOW_HOME, made here.
        environment: variables for all processes beside those that make it an Airflow of its own.
        database: where its state is kept; None: SQLite in `home`.
    """

    def __init__(self, home: Path, environment: dict[str, str], database: str | None = None) -> None:
        self.home = home
        self.database = database or f"sqlite:///{home}/airflow.db?timeout=60"  # s
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.environment = {**os.environ, **self._own_settings(), **environment}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def _own_settings(self) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
            # the files stay as they are: read once
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            # a task whose process is gone is noticed in half a minute, where production takes its time
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        }

    def airflow(self, *arguments: str) -> str:
        """Run one of Airflow's commands to its end; returns its standard output."""
        done = subprocess.run(
            [str(BIN / "airflow"), *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"airflow {arguments} ended with {done.returncode}\n{done.stderr[-4000:]}"
        return done.stdout

    def start(self, name: str, *arguments: str) -> None:
        """Start one of the servers in a process group of its own; its output goes to a file in `home`."""
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(BIN / "airflow"), name, *arguments],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, no lock is taken
            )

    def kill(self, name: str) -> None:
        """Kill a server and all that it started, as a machine that goes away does."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        """The end of what a server wrote."""
        return (self.home / f"{name}.log").read_text(errors="replace")[-4000:]

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer of the REST API to a request.

        Raises:
            urllib.error.URLError: it refuses (HTTPError), or does not answer.
        """
        request = urllib.request.Request(f"{self.url}{path}", method=method)  # noqa: S310 - http, to this machine
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, timeout=90) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")

    def api(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """`call` below `/api/v2`."""
        return self.call(method, f"/api/v2{path}", body)

    def up(self, dags: set[str]) -> bool:
        """Whether the API answers and all DAGs have been read."""
        try:
            if not self._token:
                self._token = self.call("GET", "/auth/token")["access_token"]
            return dags <= {one["dag_id"] for one in self.api("GET", "/dags?limit=100")["dags"]}
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def unpause(self, dag: str) -> None:
        """Let the scheduler run a DAG."""
        self.api("PATCH", f"/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run by hand; returns its id. SQLite may be locked for a moment: then it is asked again."""
        body = {"logical_date": None, "conf": conf or {}, "dag_run_id": run_id or f"by_hand_{secrets.token_hex(4)}"}

        def started() -> bool:
            try:
                self.api("POST", f"/dags/{dag}/dagRuns", body)
            except urllib.error.HTTPError as error:
                if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code != HTTPStatus.CONFLICT:
                    raise
                return error.code == HTTPStatus.CONFLICT  # the refused request had started it
            return True

        wait_for(started, 30, lambda: self.log("api-server"))
        return str(body["dag_run_id"])

    def rests(self) -> None:
        """Wait until no run of any DAG is under way."""

        def idle() -> bool:
            runs = self.api("GET", "/dags/~/dagRuns?limit=1&state=running&state=queued")
            return runs["total_entries"] == 0

        wait_for(idle, 300, lambda: self.log("scheduler"))

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Runs of a DAG, in the order in which they were queued."""
        return list(self.api("GET", f"/dags/{dag}/dagRuns?limit=100&order_by=id")["dag_runs"])

    def tasks(self, dag: str, run_id: str) -> dict[str, str]:
        """State of each task of a run; of mapped tasks one key each, `task[0]`."""
        found = self.api("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return {
            one["task_id"] + (f"[{one['map_index']}]" if one["map_index"] >= 0 else ""): one["state"] for one in found
        }

    def finished(self, dag: str, run_id: str, within_s: float = 300) -> dict[str, str]:
        """Wait for a run's success; returns its tasks' states.

        Raises:
            AssertionError: it failed, or takes longer.
        """

        def through() -> bool:
            state = next((run["state"] for run in self.runs(dag) if run["dag_run_id"] == run_id), "unknown")
            assert state != "failed", f"{dag} {run_id} failed: {self.tasks(dag, run_id)}\n{self.log('scheduler')}"
            return state == "success"

        wait_for(through, within_s, lambda: f"{dag} {run_id}: {self.tasks(dag, run_id)}\n{self.log('scheduler')}")
        return self.tasks(dag, run_id)


def wait_for(done: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> None:
    """Ask until it is so; fails with what `otherwise` says."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"after {within_s} s: {otherwise()}"
        time.sleep(1)


@contextmanager
def live_airflow(
    home: Path, environment: dict[str, str], dags: set[str], database: str | None = None
) -> Iterator[LiveAirflow]:
    """An Airflow that has read `dags`, until the block ends; they are paused."""
    home.mkdir(parents=True)
    live = LiveAirflow(home, environment, database)
    live.airflow("db", "migrate")
    try:
        live.start("api-server", "--port", live.url.rpartition(":")[2], "--host", "127.0.0.1", "--workers", "1")
        live.start("dag-processor")
        live.airflow("pools", "import", str(ROOT / "dags" / "pools.json"))
        wait_for(lambda: live.up(dags), STARTED_WITHIN_S, lambda: live.log("api-server") + live.log("dag-processor"))
        live.start("scheduler")  # last: without the API its tasks would fail
        yield live
    finally:
        for name in list(live.processes):
            live.kill(name)


def _die_with_parent() -> None:
    """Have the kernel kill this child when the test process ends, however it ends."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
