"""Compaction and vacuum of a warehouse in an S3-protocol store, with a writer beside them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from builders import RELEASE, RUN, Photo, commit, new_warehouse

from pipeline.tables.upkeep import compact, vacuum

BATCHES = 4


@pytest.mark.integration
def test_a_warehouse_on_s3_is_kept_small(s3_uri: str, tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path, warehouse={"uri": f"{s3_uri}/warehouse"})
    for batch in range(BATCHES):
        commit(warehouse, [Photo(f"{batch}.jpg")], f"b{batch}")
    first = warehouse.snapshot(RELEASE, RUN)
    before = sorted(warehouse.read("images").to_pylist(), key=str)
    writer = threading.Thread(target=commit, args=(warehouse, [Photo("beside.jpg")], "beside"))
    writer.start()
    joined = {one.table: one.replaced for one in compact(warehouse, 2)}
    writer.join()
    assert joined["images"] >= BATCHES
    keys = sorted(warehouse.read("images").column("image_key").to_pylist())
    assert keys == [*(f"{batch}.jpg" for batch in range(BATCHES)), "beside.jpg"]
    warehouse.snapshot(RELEASE, RUN)

    def data_files() -> int:
        return sum(info.key.endswith(".parquet") for info in warehouse.store.list("tables/images/release_id"))

    vacuum(warehouse, 0, pins={1})  # what was joined and is in no snapshot may go: the batch beside
    files = data_files()
    assert sorted(warehouse.read("images", version=first.versions["images"]).to_pylist(), key=str) == before
    assert vacuum(warehouse, 0, pins=(), dry_run=True).retired == (1,)
    assert data_files() == files
    warehouse.snapshots.retire(1)
    warehouse.snapshots.forget(1)
    assert vacuum(warehouse, 0, pins=()).files["images"] == BATCHES
    assert data_files() == files - BATCHES
    assert sorted(warehouse.read("images").column("image_key").to_pylist()) == keys
