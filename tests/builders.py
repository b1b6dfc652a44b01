"""Small, valid warehouses for tests of every area: rows that pass all checks unless a test says otherwise.

warehouse = new_warehouse(tmp_path)
commit(warehouse, [Photo("a.jpg", type="Dress", garments=2), Photo("b.jpg")])
list_catalog(warehouse, ["a.jpg", "b.jpg"])
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.settings import load_settings
from pipeline.tables import Warehouse, open_warehouse
from pipeline.tables.schema import TABLES, Column

RELEASE = "0123456789ab"
"""Digits first: it must stay text wherever it passes."""

RUN = "20261123T020000Z-aaaaaa"
START = datetime(2026, 11, 23, 2, tzinfo=UTC)
DIM = 8


@dataclass(frozen=True)
class Photo:
    """One enriched photo; `columns` are values of further columns of `images`."""

    image_key: str
    etag: str = "e1"
    product_id: str | None = None
    garments: int = 1
    columns: Mapping[str, Any] = field(default_factory=dict)


def new_warehouse(folder: Path, **sections: Any) -> Warehouse:
    """An empty warehouse under `folder`; `sections` are settings."""
    sections.setdefault("warehouse", {"uri": str(folder / "warehouse")})
    sections.setdefault("sql", {"spill": str(folder / "spill"), "threads": 2})
    return open_warehouse(load_settings(**sections))


def rows_of(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of a table from partial ones: what is left out is null where it may be, else something valid."""
    columns = TABLES[table].columns
    data = [[row.get(c.name, _default(c)) for row in rows] for c in columns]
    arrays = [pa.array(values, c.type) for values, c in zip(data, columns, strict=True)]
    return pa.table(arrays, schema=TABLES[table].arrow_schema)


def image_rows(photos: Sequence[Photo], batch_id: str, release_id: str = RELEASE, run_id: str = RUN) -> pa.Table:
    """Rows of `images` for photos of one batch."""
    return rows_of("images", [_image(photo, batch_id, release_id, run_id) for photo in photos])


def garment_rows(photos: Sequence[Photo], batch_id: str, release_id: str = RELEASE, run_id: str = RUN) -> pa.Table:
    """Rows of `garments`: as many a photo as it says, the first being the main one."""
    rows = [
        _identity(photo, batch_id, release_id)
        | {"run_id": run_id, "garment_index": index, "is_main": index == 0, "group": "upper-body", "score": 0.9}
        | {"x1": 1.0, "y1": 2.0, "x2": 50.0, "y2": 60.0}
        for photo in photos
        for index in range(photo.garments)
    ]
    return rows_of("garments", rows)


def embedding_rows(photos: Sequence[Photo], batch_id: str, release_id: str = RELEASE) -> pa.Table:
    """Rows of `embeddings`: a random unit vector of each photo (index -1) and of each of its garments."""
    rows = [
        _identity(photo, batch_id, release_id)
        | {"kind": "garment" if index >= 0 else "image", "garment_index": index, "feature_id": "f1", "dim": DIM}
        | {"norm": 1.5, "vector": vector(photo.image_key, index)}
        for photo in photos
        for index in range(-1, photo.garments)
    ]
    return rows_of("embeddings", rows)


def vector(image_key: str, index: int, dim: int = DIM) -> bytes:
    """A unit vector that depends on nothing but its arguments, float16 bytes."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{image_key} {index}".encode()).digest()[:8], "big"))
    values = rng.normal(size=dim)
    return (values / np.linalg.norm(values)).astype("<f2").tobytes()


def commit(
    warehouse: Warehouse,
    photos: Sequence[Photo],
    batch_id: str = "b1",
    release_id: str = RELEASE,
    run_id: str = RUN,
) -> None:
    """Write a whole batch in the order of the runner: `images` last."""
    warehouse.replace_batch("garments", batch_id, garment_rows(photos, batch_id, release_id, run_id))
    warehouse.replace_batch("embeddings", batch_id, embedding_rows(photos, batch_id, release_id))
    warehouse.commit_images(batch_id, release_id, image_rows(photos, batch_id, release_id, run_id))


def list_catalog(warehouse: Warehouse, photos: Sequence[Photo | str]) -> None:
    """Make the table `catalog` hold exactly these photos."""
    listed = [photo if isinstance(photo, Photo) else Photo(photo) for photo in photos]
    rows = [
        {"image_key": p.image_key, "etag": p.etag, "bytes": 1000, "product_id": p.product_id}
        for p in sorted(listed, key=lambda p: p.image_key)
    ]
    warehouse.replace_keys("catalog", "", rows_of("catalog", rows).to_batches())


def _identity(photo: Photo, batch_id: str, release_id: str) -> dict[str, Any]:
    return {"image_key": photo.image_key, "etag": photo.etag, "release_id": release_id, "batch_id": batch_id}


def _image(photo: Photo, batch_id: str, release_id: str, run_id: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{photo.image_key} {photo.etag}".encode()).hexdigest()
    return (
        _identity(photo, batch_id, release_id)
        | {"run_id": run_id, "feature_id": "f1", "product_id": photo.product_id, "format": "jpeg"}
        | {"bytes": 1000, "width": 100, "height": 120, "sha256": digest, "phash": digest[:16]}
        | {"garments": photo.garments, "main_group": "upper-body" if photo.garments else None}
        | {"enriched_at": START + timedelta(minutes=10)}
        | photo.columns
    )


def _default(column: Column) -> Any:
    """Null where that is allowed, else a valid value of the type."""
    if column.nullable:
        return None
    if pa.types.is_string(column.type):
        return "{}" if column.name == "details" else column.name
    if pa.types.is_timestamp(column.type):
        return START
    if pa.types.is_boolean(column.type):
        return True
    return b"" if pa.types.is_binary(column.type) else 0
