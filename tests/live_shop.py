"""A shop whose photos a real Airflow reads: its catalog, its warehouse, and what is in there at the end."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from live_airflow import LiveAirflow, live_airflow
from tiny_release import write_tiny_release

from pipeline import demo
from pipeline.index.gallery import Index
from pipeline.settings import Settings, load_settings
from pipeline.tables import open_warehouse

NIGHT, BACKFILL, REBUILD = "catalog_enrichment", "catalog_backfill", "index_rebuild"
WAVE = 4
"""Photos of one wave of the backfill."""


@dataclass(frozen=True)
class LiveShop:
    """A shop's photos, a warehouse and an Airflow."""

    root: Path
    airflow: LiveAirflow

    def receive(self, prefix: str, photos: int, seed: int) -> set[str]:
        """New photos below a prefix of the catalog; returns their keys."""
        made = self.root / f"made-{seed}"
        demo.generate(made, products=photos, seed=seed, photos_per_product=1, sizes=((180, 240),))
        found = sorted((made / "photos").glob("*.jpg"))[:photos]
        folder = self.root / "catalog" / prefix
        folder.mkdir(parents=True)
        for photo in found:
            shutil.copy(photo, folder / photo.name)
        assert len(found) == photos
        return {f"{prefix}{photo.name}" for photo in found}

    def enriched(self, prefix: str) -> Counter[str]:
        """How many rows each photo below a prefix has: in the ledger, and as many whole-picture embeddings."""
        warehouse = open_warehouse(self.settings())
        images = warehouse.read("images").to_pylist()
        found = Counter(row["image_key"] for row in images if row["image_key"].startswith(prefix))
        embedded = (row["image_key"] for row in self._pictures() if row["image_key"].startswith(prefix))
        assert found == Counter(embedded)
        return found

    def check_live_index(self) -> int:
        """The live index holds each photo of the ledger, and finds it by its own vector; returns how many it found.

        Opening it and each of its shards compares their checksums with those that were published.
        """
        index = Index.open(None, self.settings())
        pictures = self._pictures()
        assert {row["image_key"] for row in pictures} == set(index.rows.image_keys())
        vectors = np.stack([np.frombuffer(row["vector"], "<f2") for row in pictures]).astype(np.float32)
        for row, hits in zip(pictures, index.search(vectors, 10), strict=True):
            assert any(hit.image_key == row["image_key"] and hit.score > 0.99 for hit in hits), row["image_key"]
        return len(pictures)

    def settings(self) -> Settings:
        """To look into the warehouse with."""
        return load_settings(warehouse={"uri": str(self.root / "warehouse")})

    def _pictures(self) -> list[dict[str, Any]]:
        """Embeddings of whole photos whose batch is in the ledger."""
        warehouse = open_warehouse(self.settings())
        batches = set(warehouse.read("images").column("batch_id").to_pylist())
        rows = warehouse.read("embeddings").to_pylist()
        return [row for row in rows if row["batch_id"] in batches and row["kind"] == "image"]


@contextmanager
def live_shop(root: Path, more: dict[str, str] | None = None, database: str | None = None) -> Iterator[LiveShop]:
    """An empty catalog and an Airflow whose DAGs of nights, backfills and indexes wait for photos.

    Args:
        root: where all of it lies.
        more: variables beside those that are set here.
        database: as in `live_airflow`.
    """
    (root / "catalog").mkdir(parents=True)
    environment = {
        "ATELIER_CATALOG__URI": str(root / "catalog"),
        "ATELIER_WAREHOUSE__URI": str(root / "warehouse"),
        "ATELIER_RELEASE__URI": str(write_tiny_release(root / "release")),
        "ATELIER_ENRICH__MODEL_IMAGES": "8",
        "ATELIER_ENRICH__BATCH_IMAGES": "2",
        "ATELIER_AIRFLOW__SCHEDULE": "",
        "ATELIER_AIRFLOW__MAINTENANCE_SCHEDULE": "",
        "ATELIER_AIRFLOW__WAVE_IMAGES": str(WAVE),
        "ATELIER_AIRFLOW__WAVE_PARTS": "1",
        "ATELIER_AIRFLOW__PARTITION": "incoming/%Y-%m-%d/",
        "OMP_NUM_THREADS": "1",
        **(more or {}),
    }
    with live_airflow(root / "airflow", environment, {NIGHT, BACKFILL, REBUILD}, database) as airflow:
        for dag in (NIGHT, BACKFILL, REBUILD):
            airflow.unpause(dag)
        yield LiveShop(root, airflow)
