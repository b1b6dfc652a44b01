"""What other processes do in tests of the warehouse: importable, so that a fork server can start them at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from builders import RELEASE, Photo, commit, embedding_rows, garment_rows, image_rows, new_warehouse

from pipeline.catalog.batches import batch_id as id_of
from pipeline.tables import OverlapError, Warehouse


@lru_cache(maxsize=1)
def processes() -> ForkServerContext:
    """Processes that start in milliseconds, because their parent has imported everything, and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "pandas", "warehouse_workers"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # the server finds its preloads by nothing else
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def open_at(uri: str, environment: dict[str, str] | None = None) -> Warehouse:
    """The warehouse at `uri`; `environment` as a test has set it (the fork server is older than the test)."""
    os.environ.update(environment or {})
    spill = Path(tempfile.gettempdir()) / "atelier-tests" if "://" in uri else Path(uri) / "spill"
    return new_warehouse(Path(uri), warehouse={"uri": uri}, sql={"spill": str(spill), "threads": 2})


def photos_of_batch(number: int) -> list[Photo]:
    """Always the same photos for one number, 3 to 6 of them with 0 to 2 garments, shared with no other number."""
    rng = random.Random(number)
    return [Photo(f"{number:03d}/{i}.jpg", garments=rng.randrange(3)) for i in range(rng.randrange(3, 7))]


def commit_batches(uri: str, numbers: Sequence[int]) -> None:
    """Commit batches one after the other. Meant to be killed."""
    warehouse = open_at(uri)
    for number in numbers:
        commit(warehouse, photos_of_batch(number), f"batch{number}")


def commit_overlapping(
    uri: str, seed: int, rounds: int, universe: int, barrier: Any, environment: dict[str, str] | None = None
) -> None:
    """Commit batches of random photos, as the runner does: what others have committed meanwhile is left out."""
    warehouse = open_at(uri, environment)
    rng = random.Random(seed)
    for _ in range(rounds):
        start = rng.randrange(universe)
        photos = [Photo(f"{i:05d}.jpg", garments=0) for i in range(start, min(start + rng.randrange(1, 20), universe))]
        barrier.wait(60)
        while photos:
            batch_id = id_of(RELEASE, [(photo.image_key, photo.etag) for photo in photos])
            try:
                warehouse.commit_images(batch_id, RELEASE, image_rows(photos, batch_id))
                break
            except OverlapError as error:
                photos = [photo for photo in photos if photo.image_key not in error.keys]


def replace_same_batch(uri: str, table: str, rounds: int, barrier: Any) -> None:
    """Write the same batch again and again, as two attempts of one task would."""
    warehouse = open_at(uri)
    rows = {"garments": garment_rows, "embeddings": embedding_rows}[table]
    for number in range(rounds):
        barrier.wait(60)
        warehouse.replace_batch(table, f"batch{number}", rows(photos_of_batch(number), f"batch{number}"))


def overwrite_feed_for_ever(uri: str, started: Any) -> None:
    """Replace the feed until killed."""
    from builders import rows_of

    warehouse = open_at(uri)
    number = 0
    while True:
        number += 1
        warehouse.overwrite("feed", rows_of("feed", [{"product_id": str(number)}]))
        started.set()


def compact_for_ever(uri: str, photos: Sequence[Photo]) -> None:
    """Join small files and make new ones of the same batch, in turn. Meant to be killed."""
    from pipeline.tables.upkeep import compact

    warehouse = open_at(uri)
    while True:
        commit(warehouse, photos, "b2")
        compact(warehouse, 2)
