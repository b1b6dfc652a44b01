"""Enrichment on a real cluster of processes: the rows of one process, also when workers are killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_shop import Rows, Shop, rows_that_count
from cluster_workers import EndsAtCommit, Poison, loaded
from distributed import Client
from typer.testing import CliRunner

from pipeline.catalog.plan import Plan, read_batches
from pipeline.cli import app, register
from pipeline.cluster.connect import open_cluster
from pipeline.cluster.enrich import enrich_on
from pipeline.enrich.runner import FAILED_IN_A_ROW, Outcome
from pipeline.errors import InputError, TransientError
from pipeline.settings import settings as settings_of_process
from pipeline.storage import open_store
from pipeline.tables import open_warehouse

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

Enrich = Callable[..., Outcome]


def test_the_rows_are_those_of_one_process_and_models_load_once(
    client: Client, enrich: Enrich, shop: Shop, undisturbed: Rows
) -> None:
    settings = shop.settings("same")
    plan = shop.plan(settings)
    told: list[int] = []
    held: dict[str, set[int]] = {}

    def advance(count: int) -> None:
        told.append(count)
        for worker, runners in client.run(loaded, on_error="ignore").items():
            held.setdefault(worker, set()).update(runners)

    outcome = enrich(settings, plan, advance)
    assert rows_that_count(settings) == undisturbed
    assert (outcome.images, outcome.batches) == (len(undisturbed["images"]), plan.batches)
    assert sum(outcome.rejects.values()) == len(undisturbed["quarantine"])
    assert sum(told) == plan.pending == len(shop.keys)
    assert outcome.images_per_s > 0 and outcome.peak_rss_mib > 50 and {"fetch", "backbone"} <= set(outcome.steps)
    assert plan.batches > 2 and len(held) == 2
    assert all(len(runners) == 1 for runners in held.values())
    again = enrich(settings, plan)
    assert (again.skipped, again.batches, again.images) == (plan.batches, 0, outcome.images)


def test_workers_killed_with_a_batch_in_hand(client: Client, enrich: Enrich, shop: Shop, undisturbed: Rows) -> None:
    """Whenever a batch is through, the worker that is at another one ends by kill -9, twice."""
    settings = shop.settings("killed")
    plan = shop.plan(settings)
    killed: list[int] = []

    def kill(_: int) -> None:
        pids = client.run(os.getpid, on_error="ignore")  # the one killed before may not be back yet
        busy = [pids[address] for address, keys in client.processing().items() if keys and address in pids]
        if busy and len(killed) < 2:
            killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)

    outcome = enrich(settings, plan, kill)
    assert len(killed) == 2 and not outcome.failures
    assert rows_that_count(settings) == undisturbed


def test_workers_killed_before_and_after_their_commit(
    client: Client, enrich: Enrich, shop: Shop, undisturbed: Rows, tmp_path: Path
) -> None:
    settings = shop.settings("commit")
    plan = shop.plan(settings)
    plugin = EndsAtCommit(tmp_path)
    client.register_plugin(plugin)
    try:
        outcome = enrich(settings, plan)
    finally:
        client.unregister_worker_plugin(plugin.name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["after", "before"] and not outcome.failures
    assert rows_that_count(settings) == undisturbed


@pytest.mark.slow
def test_a_photo_that_workers_die_of_goes_to_quarantine(shop: Shop, undisturbed: Rows) -> None:
    settings = shop.settings("poison", dask={"workers": 1, "dashboard": "", "timeout_s": 240, "allowed_failures": 0})
    plan = shop.plan(settings)
    assert plan.plan_id
    with open_cluster(settings) as client:
        client.register_plugin(Poison("new/07.jpg"))
        batches = read_batches(settings, plan.plan_id, 0, 1)
        outcome, _ = enrich_on(client, settings, open_warehouse(settings), plan, batches)
    assert not outcome.failures
    rows = rows_that_count(settings)
    (reject,) = [row for row in rows["quarantine"] if row["image_key"] == "new/07.jpg"]
    assert reject["reason"] == "worker_killed" and reject["permanent"]
    assert [row for row in undisturbed["images"] if row["image_key"] != "new/07.jpg"] == rows["images"]
    assert [row for row in undisturbed["embeddings"] if row["image_key"] != "new/07.jpg"] == rows["embeddings"]
    assert shop.plan(settings).pending == 0


def test_a_batch_that_the_store_fails_on_is_given_up_alone(
    enrich: Enrich, shop: Shop, undisturbed: Rows, tmp_path: Path
) -> None:
    settings = shop.settings("gone", catalog={"uri": str(tmp_path / "catalog")})
    here, there = (open_store(uri, settings) for uri in (settings.catalog.uri, str(shop.root / "catalog")))
    for key in shop.keys:
        here.put(key, there.get(key).data)
    plan = shop.plan(settings)
    (tmp_path / "catalog" / "new").rename(tmp_path / "new")
    gone = [
        sum(image.image_key.startswith("new/") for image in batch.images) / len(batch.images)
        for batch in read_batches(settings, str(plan.plan_id), 0, 1)
    ]
    broken = sum(share > settings.enrich.max_transient_share for share in gone)
    assert 0 < broken < plan.batches
    outcome = enrich(settings, plan)
    given_up = len(outcome.failures)
    # After several failures in a row nothing more is handed out, and the order of landing is the workers' own.
    assert min(broken, FAILED_IN_A_ROW) <= given_up <= broken
    with pytest.raises(TransientError, match=f"{given_up} batches were given up"):
        outcome.raise_failures()
    (tmp_path / "new").rename(tmp_path / "catalog" / "new")
    assert not enrich(settings, plan).failures
    assert len(rows_that_count(settings)["images"]) == len(undisturbed["images"])


def test_a_worker_with_another_release_refuses(enrich: Enrich, shop: Shop) -> None:
    settings = shop.settings("other")
    plan: Plan = replace(shop.plan(settings), release_id="0123456789ab")
    with pytest.raises(InputError, match="the plan was made for release 0123456789ab"):
        enrich(settings, plan)


def test_a_worker_that_does_not_see_the_warehouse_says_so(enrich: Enrich, shop: Shop) -> None:
    settings = shop.settings("seen")
    plan = shop.plan(settings)
    with pytest.raises(InputError, match=r"there is no plan .*warehouse\.uri"):
        enrich(shop.settings("unseen"), plan)


def test_the_command_works_on_the_cluster_at_the_address(
    client: Client,
    shop: Shop,
    undisturbed: Rows,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="atelier")
    settings = shop.settings("command", dask={"enabled": True, "address": client.scheduler.address})
    for section, values in settings.model_dump(mode="json", exclude_defaults=True).items():
        for name, value in values.items():
            monkeypatch.setenv(f"ATELIER_{section}__{name}".upper(), str(value))
    plan = shop.plan(settings)
    settings_of_process.cache_clear()
    register()
    try:
        done = CliRunner().invoke(app, ["enrich", "--plan", str(plan.plan_id)], catch_exceptions=False)
    finally:
        settings_of_process.cache_clear()
    line = json.loads(done.stdout)
    assert (line["images"], line["batches"]) == (len(undisturbed["images"]), plan.batches)
    assert (line["device"], line["precision"]) == ("cpu", "fp32")
    assert f"at {client.scheduler.address}: 2 workers, 2 batches at once; dashboard" in caplog.text
    assert rows_that_count(settings) == undisturbed
