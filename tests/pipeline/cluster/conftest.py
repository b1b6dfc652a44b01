"""A cluster of two processes for all tests here, and what one process makes of the same photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cluster_shop import Rows, Shop, rows_that_count
from distributed import Client
from tiny_release import dirty_files, photo_bytes, write_tiny_release

from models.release import load_release
from pipeline.catalog.plan import Plan, read_batches
from pipeline.cluster.connect import open_cluster
from pipeline.cluster.enrich import enrich_on
from pipeline.enrich.runner import Outcome, Runner
from pipeline.releases import release_folder
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Photos clean and dirty."""
    root = tmp_path_factory.mktemp("shop")
    write_tiny_release(root / "release")
    photos = {f"new/{seed:02}.jpg": photo_bytes(seed, 90, 120) for seed in range(18)}
    photos |= {f"odd/{key}": data for key, (data, _) in dirty_files().items()}
    shop = Shop(root, tuple(sorted(photos)))
    settings = shop.settings("none")
    store = open_store(settings.catalog.uri, settings)
    for key, data in photos.items():
        store.put(key, data)
    return shop


@pytest.fixture(scope="session")
def undisturbed(shop: Shop) -> Rows:
    """The rows that one process without a cluster makes."""
    settings = shop.settings("undisturbed")
    plan = shop.plan(settings)
    assert plan.plan_id
    release = load_release(release_folder(settings), "cpu", "fp32", batch_images=4)
    runner = Runner(settings, open_store(settings.catalog.uri, settings), open_warehouse(settings), release)
    runner.run(plan.run_id, read_batches(settings, plan.plan_id, 0, 1))
    rows = rows_that_count(settings)
    assert len(rows["images"]) + len(rows["quarantine"]) == len(shop.keys)
    return rows


@pytest.fixture(scope="session")
def client(shop: Shop) -> Iterator[Client]:
    """A cluster of two worker processes on this machine."""
    with open_cluster(shop.settings("none")) as client:
        yield client


@pytest.fixture
def enrich(client: Client) -> Callable[..., Outcome]:
    """`enrich(settings, plan, advance)` on that cluster."""

    def on_cluster(settings: Settings, plan: Plan, advance: Callable[[int], object] = lambda count: None) -> Outcome:
        assert plan.plan_id
        batches = read_batches(settings, plan.plan_id, 0, 1)
        return enrich_on(client, settings, open_warehouse(settings), plan, batches, advance)[0]

    return on_cluster
