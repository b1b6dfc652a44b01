"""kill -9 again and again, at random moments of a night under a real Airflow: every photo has one row in the end."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_airflow import LiveAirflow, wait_for
from live_shop import NIGHT, LiveShop, live_shop

pytestmark = [pytest.mark.integration, pytest.mark.endurance, pytest.mark.timeout(2400)]

PHOTOS = 40
KINDS = ("scheduler", "task", "command") * 2
"""What is killed: the scheduler with all its tasks, the process of one task, the command that a task waits for."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveShop]:
    with live_shop(tmp_path / "live", {"ATELIER_ENRICH__PARTS": "2"}) as opened:
        yield opened


@dataclass(frozen=True)
class Command:
    """A process `python -m pipeline NAME ...` that a task waits for."""

    pid: int
    task_pid: int
    name: str


def commands(scheduler: int) -> list[Command]:
    """Those of the tasks of a scheduler, which is the leader of their session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            _, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if int(session) == scheduler and words[1:3] == [b"-m", b"pipeline"]:
            found.append(Command(int(folder.name), int(parent), words[3].decode()))
    return found


def kill(live: LiveAirflow, kind: str, victim: Command) -> None:
    """Kill -9; a scheduler is followed by the next."""
    if kind == "scheduler":
        live.kill("scheduler")
        live.start("scheduler")
    else:
        os.kill(victim.task_pid if kind == "task" else victim.pid, signal.SIGKILL)


def test_killed_again_and_again(shop: LiveShop) -> None:
    live, chance = shop.airflow, random.Random(7)
    keys = shop.receive("killed/", PHOTOS, seed=51)
    kinds = chance.sample(KINDS, len(KINDS))
    kills: Counter[tuple[str, str]] = Counter()
    nights: list[str] = []
    started = time.monotonic()

    def under_way() -> bool:
        """A command runs; where the night has come to its end, another one begins."""
        states = {run["dag_run_id"]: run["state"] for run in live.runs(NIGHT)}
        if not nights or states[nights[-1]] in ("success", "failed"):
            nights.append(live.trigger(NIGHT, {"prefix": "killed/"}))
        return bool(commands(live.processes["scheduler"].pid))

    for kind in kinds:
        deadline = time.monotonic() + chance.uniform(0, 20)
        running: list[Command] = []
        while time.monotonic() < deadline or not running:
            wait_for(under_way, 600, lambda: str(live.tasks(NIGHT, nights[-1])))
            time.sleep(0.2)
            running = commands(live.processes["scheduler"].pid)
        victim = chance.choice(running)
        kill(live, kind, victim)
        kills[kind, victim.name] += 1

    def through() -> bool:
        """The night on which the last kill fell has ended; after a failed one the next finds what is left."""
        state = next(run["state"] for run in live.runs(NIGHT) if run["dag_run_id"] == nights[-1])
        if state == "failed":
            nights.append(live.trigger(NIGHT, {"prefix": "killed/"}))
        return state == "success"

    wait_for(through, 1200, lambda: f"{live.tasks(NIGHT, nights[-1])}\n{live.log('scheduler')}")
    live.rests()
    assert shop.enriched("killed/") == Counter(keys)
    assert shop.check_live_index() == PHOTOS
    of_kind = Counter({kind: kinds.count(kind) for kind in set(KINDS)})
    assert Counter(kind for kind, _ in kills.elements()) == of_kind
    hit = ", ".join(f"{kind} during {name}: {times}" for (kind, name), times in sorted(kills.items()))
    print(f"kills: {hit}; {len(nights)} nights, {time.monotonic() - started:.0f} s; {PHOTOS} photos, {PHOTOS} rows")
