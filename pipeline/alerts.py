"""Tell a person, or the system that wakes one: one JSON document on the standard input of a command of theirs.

Imports nothing heavy and no Airflow: DAG files import it, and Airflow's triggerer calls `late`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.settings import settings

log = logging.getLogger("atelier")

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Alert:
    """What happened: a run failed, or is not through in time. `reason` is for a person."""

    kind: Literal["run_failed", "run_late"]
    dag_id: str
    run_id: str
    reason: str


def tell(alert: Alert) -> bool:
    """Log the alert and hand it to `airflow.alert`; returns whether that command took it (False where none is set).

    A command that fails is logged and no error: whoever calls has failed already, and must say why.
    """
    log.error("%s: %s %s: %s", alert.kind, alert.dag_id, alert.run_id, alert.reason)
    command = settings().airflow.alert
    if not command:
        return False
    try:
        done = subprocess.run(
            command, input=json.dumps(asdict(alert)), text=True, timeout=TIMEOUT_S, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        # not the error's own text: it may quote the whole command, and with that a token in it
        log.error("the alert was not delivered: airflow.alert (%s): %s", command[0], type(error).__name__)
        return False
    if done.returncode != 0:
        log.error("the alert was not delivered: %s ended with %d: %s", command[0], done.returncode, done.stderr[-500:])
    return done.returncode == 0


async def late(hours: float, context: dict[str, Any] | None = None, **more: Any) -> None:
    """Tell that a run is not through after `hours`; for a deadline of Airflow, which gives the run as `context`."""
    run = (context or more).get("dag_run") or {}
    dag_id, run_id = (str(run.get(name, "")) for name in ("dag_id", "dag_run_id"))
    alert = Alert("run_late", dag_id, run_id, f"not through {hours:g} hours after it was queued")
    await asyncio.to_thread(tell, alert)
