"""The scheduler ends by kill -9 in the middle of a job: the job says so, and the same job again does the rest."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_shop import Rows, Shop, rows_that_count

from pipeline.catalog.plan import read_batches
from pipeline.cluster.connect import open_cluster
from pipeline.cluster.enrich import enrich_on
from pipeline.enrich.runner import Outcome
from pipeline.errors import TransientError
from pipeline.tables import open_warehouse

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

START_LIMIT_S = 240.0


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    """`dask ARGUMENTS...`, which ends with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),  # noqa: PLW1509 - one call, no lock is taken
    )


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler with one worker, each a process as an operator starts it; the scheduler and its address."""
    file = tmp_path / "scheduler.json"
    process = _start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    worker = None
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not file.exists() or not file.read_text():
            assert process.poll() is None and time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        worker = _start("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
        yield process, address
    finally:
        for one in (worker, process):
            if one is not None:
                one.kill()
                one.wait()


def test_a_lost_scheduler_costs_time_only(
    scheduler: tuple[subprocess.Popen[bytes], str], enrich: Callable[..., Outcome], shop: Shop, undisturbed: Rows
) -> None:
    process, address = scheduler
    settings = shop.settings("lost", dask={"address": address, "timeout_s": START_LIMIT_S})
    plan = shop.plan(settings)
    assert plan.plan_id

    def kill(_: int) -> None:
        if process.poll() is None:
            process.kill()
            process.wait()

    batches = read_batches(settings, plan.plan_id, 0, 1)
    with pytest.raises(TransientError, match="scheduler was lost"), open_cluster(settings) as client:
        enrich_on(client, settings, open_warehouse(settings), plan, batches, kill)
    assert not enrich(settings, plan).failures
    assert rows_that_count(settings) == undisturbed
