"""Plan and enrich with catalog and warehouse in an S3-protocol store: the same rows as on a local disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_release import dirty_files, photo_bytes, write_tiny_release

from pipeline.catalog.plan import make_plan, read_batches
from pipeline.enrich.models import load_models
from pipeline.enrich.runner import Outcome, Runner
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse

VOLATILE = {"etag", "batch_id", "run_id", "enriched_at", "fetch_ms", "decode_ms", "model_ms"}


@pytest.fixture(scope="module")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def settings_at(release_folder: Path) -> Callable[[str], Settings]:
    def made(root: str) -> Settings:
        return load_settings(
            catalog={"uri": f"{root}/shop/photos"},
            warehouse={"uri": f"{root}/warehouse"},
            release={"uri": str(release_folder)},
            decode={"working_side": 64, "max_pixels": 1_000_000},
            fetch={"max_bytes": 2**20},
            enrich={"batch_images": 10, "precision": "fp32"},
        )

    return made


def night(settings: Settings) -> Outcome:
    warehouse = open_warehouse(settings)
    release = load_models(settings)
    plan = make_plan(settings, warehouse, release.release_id)
    assert plan.plan_id
    runner = Runner(settings, open_store(settings.catalog.uri, settings), warehouse, release)
    return runner.run(plan.run_id, read_batches(settings, plan.plan_id, 0, 1))


def rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    warehouse = open_warehouse(settings)
    return {
        table: sorted(
            ({name: value for name, value in row.items() if name not in VOLATILE} for row in read.to_pylist()),
            key=lambda row: (row["image_key"], row.get("garment_index", 0)),
        )
        for table in ("images", "garments", "embeddings")
        for read in [warehouse.read(table)]
    }


@pytest.mark.integration
def test_rows_are_the_same_as_on_a_local_disk(
    s3_uri: str, tmp_path: Path, settings_at: Callable[[str], Settings]
) -> None:
    photos = {f"new/{seed}.jpg": photo_bytes(seed, 90, 120) for seed in range(14)}
    photos |= {f"odd/{key}": data for key, (data, _) in dirty_files().items()}
    both = [settings_at(s3_uri), settings_at(str(tmp_path))]
    for settings in both:
        store = open_store(settings.catalog.uri, settings)
        for key, data in photos.items():
            store.put(key, data)
    there, here = (night(settings) for settings in both)
    assert there.images == here.images and there.rejects == here.rejects
    assert there.images + sum(there.rejects.values()) == len(photos)
    assert rows(both[0]) == rows(both[1])
    again = night(both[0])
    assert (again.images, again.batches, again.skipped) == (0, 0, 0), "the second night found something to do"
