"""A night that a fault test can break: a dozen photos, the tiny release, plan and enrich as the commands do them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from cluster_shop import Rows, rows_that_count
from tiny_release import dirty_files, photo_bytes

from models.release import Release, load_release
from models.release_cards import release_id_of
from pipeline.catalog.plan import Plan, load_plan, make_plan, read_batches
from pipeline.enrich.models import check_release
from pipeline.enrich.runner import Outcome, Runner
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse

__all__ = ["Rows", "enrich", "etags_aside", "fill", "night", "photos", "plan", "rows_that_count", "settings_at"]

DIRTY = ("dirty-empty.jpg", "dirty-truncated.jpg", "dirty-rotated.jpg", "dirty-html.jpg")


@lru_cache(maxsize=1)
def photos() -> dict[str, bytes]:
    """Key -> bytes: nine clean ones, three that go to quarantine, an odd one."""
    dirty = dirty_files()
    clean = {f"new/{seed:02}.jpg": photo_bytes(seed, 90, 120) for seed in range(9)}
    return clean | {f"odd/{key}": dirty[key][0] for key in DIRTY}


def settings_at(root: str, release: Path, scratch: Path, **sections: Any) -> Settings:
    """Batches of five, one thread of each kind but two for fetching."""
    base: dict[str, Any] = {
        "catalog": {"uri": f"{root}/photos"},
        "warehouse": {"uri": f"{root}/warehouse"},
        "release": {"uri": str(release)},
        "s3": {"read_timeout_s": 0.4},
        "sql": {"spill": str(scratch), "threads": 1},
        "decode": {"threads": 1, "working_side": 64, "max_pixels": 1_000_000},
        "fetch": {"threads": 2, "max_bytes": 2**20},
        "enrich": {"batch_images": 5, "model_images": 4, "threads": 1, "device": "cpu", "precision": "fp32"},
    }
    return load_settings(**{name: base.get(name, {}) | sections.get(name, {}) for name in base | sections})


def fill(settings: Settings) -> None:
    """Put the photos into the catalog."""
    store = open_store(settings.catalog.uri, settings)
    for key, data in photos().items():
        store.put(key, data)


def plan(settings: Settings) -> Plan:
    """What `atelier plan` does."""
    made = make_plan(settings, open_warehouse(settings), release_id_of(release_folder(settings)))
    assert made.plan_id
    return made


def enrich(settings: Settings, plan_id: str, advance: Callable[[int], object] = lambda count: None) -> Outcome:
    """What `atelier enrich --plan` does; a model that is loaded is kept."""
    batches = read_batches(settings, plan_id, 0, 1)
    planned = load_plan(settings, plan_id)
    folder = release_folder(settings)
    check_release(release_id_of(folder), planned.release_id)
    release = _loaded(str(folder))
    store = open_store(settings.catalog.uri, settings)
    outcome = Runner(settings, store, open_warehouse(settings), release, advance).run(planned.run_id, batches)
    outcome.raise_failures()
    return outcome


def night(settings: Settings) -> Outcome:
    """Plan and enrich."""
    plan_id = plan(settings).plan_id
    assert plan_id
    return enrich(settings, plan_id)


def etags_aside(rows: Rows) -> Rows:
    """Rows to compare between stores, which have etags of their own."""
    return {table: [{k: v for k, v in row.items() if k != "etag"} for row in found] for table, found in rows.items()}


def only_whole_batches(settings: Settings) -> int:
    """Assert that every photo in the ledger has its garments and vectors, and is there once; returns how many."""
    warehouse = open_warehouse(settings)
    images = warehouse.read("images", columns=["image_key", "etag", "batch_id", "garments"])
    keys = images.column("image_key").to_pylist()
    assert len(keys) == len(set(keys))
    embeddings, garments = (
        warehouse.read(name, columns=["image_key", "batch_id"]) for name in ("embeddings", "garments")
    )
    for row in images.to_pylist():
        counts = [
            pc.sum(
                pc.and_(pc.equal(t["image_key"], row["image_key"]), pc.equal(t["batch_id"], row["batch_id"]))
            ).as_py()
            for t in (embeddings, garments)
        ]
        assert [count or 0 for count in counts] == [row["garments"] + 1, row["garments"]], row
    return len(keys)


@lru_cache(maxsize=1)
def _loaded(folder: str) -> Release:
    return load_release(Path(folder), "cpu", "fp32", 1, batch_images=4)
