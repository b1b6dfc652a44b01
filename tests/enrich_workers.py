"""A night as another process runs it, meant to be killed: importable, so that a fork server can start it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import torch

from models.release import load_release
from pipeline.catalog.plan import make_plan, read_batches
from pipeline.enrich.runner import Runner
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import Warehouse, open_warehouse

WRITES = ("replace_batch", "commit_images", "replace_keys", "overwrite")
"""Methods of the warehouse that commit something."""


def night(sections: dict[str, Any], plan_id: str | None, kill_at_write: int | None, reports: Any) -> None:
    """Plan (or take up `plan_id`) and enrich, as `atelier plan` and `atelier enrich` do.

    Args:
        sections: settings.
        plan_id: go on with this plan, as a retried task does; None: make a new one, as the next night does.
        kill_at_write: end by SIGKILL at this write to the tables, before it when even, after it when odd.
        reports: queue that is told the plan's name, and at the end what came of it.
    """
    torch.set_num_threads(1)
    settings = load_settings(**sections)
    if kill_at_write is not None:
        _kill_at(kill_at_write)
    warehouse = open_warehouse(settings)
    release = load_release(release_folder(settings), "cpu", "fp32", 1, settings.enrich.model_images)
    if plan_id is None:
        plan_id = make_plan(settings, warehouse, release.release_id).plan_id
        assert plan_id
        reports.put(plan_id)
    outcome = _enrich(settings, warehouse, release, plan_id)
    reports.put((outcome.images, sum(outcome.rejects.values())))


def _enrich(settings: Settings, warehouse: Warehouse, release: Any, plan_id: str) -> Any:
    store = open_store(settings.catalog.uri, settings)
    return Runner(settings, store, warehouse, release).run(plan_id, read_batches(settings, plan_id, 0, 1))


def _kill_at(number: int) -> None:
    """Have this process end itself at the given write, without a word and with nothing cleaned up."""
    count = 0

    def killing(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            mine, count = count, count + 1
            if mine == number // 2 and number % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            made = real(*arguments, **named)
            if mine == number // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return write

    for name in WRITES:
        setattr(Warehouse, name, killing(getattr(Warehouse, name)))
