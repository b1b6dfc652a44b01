"""A small shop: real photos in a real store, real tables written as a run writes them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import Warehouse, open_warehouse
from pipeline.tables.schema import TABLES

RELEASE = "0123456789ab"
FIRST_NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)
COLORS = ("Red", "Blue", "Green", "Black")


def photo(color: str, width: int = 60, height: int = 80) -> bytes:
    """A garment of one color on white, as JPEG."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).rectangle((width // 5, height // 8, width * 4 // 5, height * 7 // 8), fill=color.lower())
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def filled(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of a table; columns that are not given are null or, where that is not allowed, empty."""
    schema = TABLES[table].arrow_schema
    empty = {pa.string(): "", pa.bool_(): False, pa.binary(): b"", pa.timestamp("us", tz="UTC"): FIRST_NIGHT}
    default = {f.name: None if f.nullable else empty.get(f.type, 0) for f in schema}
    unknown = {name for row in rows for name in row} - set(schema.names)
    assert not unknown
    return pa.Table.from_pylist([{**default, **row} for row in rows], schema)


@dataclass
class Shop:
    """A catalog and a warehouse in two folders, and short ways to fill them."""

    settings: Settings
    first_night: datetime = FIRST_NIGHT
    release_id: str = RELEASE
    etags: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def reports(self) -> Path:
        return Path(self.settings.warehouse.uri) / "reports"

    def page(self, run_id: str) -> str:
        return (self.reports / f"{run_id}.html").read_text(encoding="utf-8")

    def put(self, key: str, data: bytes | None = None, color: str = "Red") -> None:
        """Put a photo into the catalog, as the next listing will find it."""
        data = photo(color) if data is None else data
        etag = open_store(self.settings.catalog.uri, self.settings).put(key, data)
        self.etags[key] = etag, len(data)

    def list_catalog(self) -> None:
        rows = [
            {"image_key": key, "etag": etag, "bytes": size, "product_id": product_of(key)}
            for key, (etag, size) in sorted(self.etags.items())
        ]
        self.warehouse.replace_keys("catalog", "", filled("catalog", rows).to_batches())

    def feed(self, rows: list[dict[str, Any]]) -> None:
        self.warehouse.overwrite("feed", filled("feed", rows))

    def job(self, run_id: str, job: str, start: datetime, seconds: float, part: int = 0, **more: Any) -> None:
        """Record a job; `details` may be given as any value."""
        name = f"job-{run_id}.{job}.{part}".replace("/", "_")
        details = json.dumps(more.pop("details", {}))
        row = {"batch_id": name, "run_id": run_id, "job": job, "part": part, "started_at": start, "seconds": seconds}
        self.warehouse.replace_batch("runs", name, filled("runs", [{**row, "details": details, **more}]))

    def enrich(self, run_id: str, images: list[dict[str, Any]], garments: list[dict[str, Any]] | None = None) -> None:
        """Commit images (any columns) and their garments as one batch."""
        of_batch = {"release_id": RELEASE, "run_id": run_id, "batch_id": f"batch.{run_id}"}
        rows = [{**of_batch, "etag": self.etags[row["image_key"]][0], **row} for row in images]
        boxes = [{**of_batch, "etag": self.etags[row["image_key"]][0], **row} for row in garments or []]
        self.warehouse.replace_batch("garments", of_batch["batch_id"], filled("garments", boxes))
        self.warehouse.commit_images(of_batch["batch_id"], RELEASE, filled("images", rows))

    def reject(self, run_id: str, key: str, reason: str, message: str, **more: Any) -> None:
        name = f"rejects-{hashlib.sha256(f'{run_id} {key}'.encode()).hexdigest()[:16]}"
        row = {"image_key": key, "etag": self.etags[key][0], "release_id": RELEASE, "run_id": run_id, "batch_id": name}
        event = {"reason": reason, "message": message, "permanent": True, "attempts": 1, **more}
        self.warehouse.replace_batch("quarantine", name, filled("quarantine", [{**row, **event}]))

    def index(self, run_id: str, snapshot: int, *, live: bool, recall: float | None = None) -> str:
        """Build an index of a few vectors as that run's; returns its version. `recall` goes into the table only."""
        from pipeline.index.build import build_index
        from pipeline.index.job import index_row, index_store
        from pipeline.index.matrix import MatrixSource
        from pipeline.index.publish import publish

        vectors = np.random.default_rng(snapshot).normal(size=(60, 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        groups = ["footwear"] * 20 + ["full-body"] * 40
        source = MatrixSource(vectors, {"group": groups}, snapshot=snapshot)
        store = index_store(self.settings)
        manifest = build_index(source, store, self.settings.index)
        row = index_row(manifest, run_id)
        if recall is not None:
            at = row.schema.get_field_index("recall_at_10")
            row = row.set_column(at, row.schema.field(at), pa.array([recall], pa.float64()))
        self.warehouse.replace_batch("indexes", manifest.version, row)
        if live:
            publish(store, self.settings.index, manifest.version)
        return manifest.version

    def check(self, run_id: str, results: list[dict[str, Any]]) -> None:
        """Record what checks found in a run: name, severity, rows, examples (any values)."""
        rows = [
            {"batch_id": f"check-{run_id}", "run_id": run_id, "snapshot": 1, "passed": not result["rows"], **result}
            | {"examples": json.dumps(result.get("examples", []))}
            for result in results
        ]
        self.warehouse.replace_batch("check_results", f"check-{run_id}", filled("check_results", rows))

    def variant(self, key: str, run_id: str, group: str = "footwear", probability: float = 0.75) -> str:
        """Put a generated picture of an enriched photo into the warehouse; returns its key."""
        made = f"variants/{hashlib.sha256(f'{key} {group}'.encode()).hexdigest()[:16]}.jpg"
        self.warehouse.store.put(made, photo("Blue"))
        of_photo = {"image_key": key, "etag": self.etags[key][0], "release_id": RELEASE, "run_id": run_id}
        said = {"generator": "dress-to-shoe", "target_group": group, "variant_key": made, "synthetic": True}
        row = {**of_photo, **said, "target_probability": probability, "garment_index": 0, "batch_id": f"batch.{run_id}"}
        known = self.warehouse.read("variants").to_pylist() if self.warehouse.facts()["variants"] else []
        rows = [old for old in known if old["batch_id"] == row["batch_id"]] + [row]
        self.warehouse.replace_batch("variants", row["batch_id"], filled("variants", rows))
        return made

    def read(self, key: str, **said: Any) -> dict[str, Any]:
        """A row of `images` for `enrich`."""
        return read_photo(key, "Red") | said

    def stock(self, count: int) -> list[str]:
        """Put `count` photos, two a product, into the catalog; returns their keys."""
        keys = [f"photos/{n // 2:05d}_{n % 2}.jpg" for n in range(count)]
        for n, key in enumerate(keys):
            self.put(key, color=COLORS[n % len(COLORS)])
        return keys

    def night(self, number: int, photos: list[str], **said: Any) -> str:
        """A whole run that enriches `photos`, which have to be in the catalog; returns its run_id.

        `said` replaces columns of every image.
        """
        start = FIRST_NIGHT + timedelta(days=number)
        run_id = f"{start:%Y%m%dT%H%M%SZ}-{number:06x}"
        self.list_catalog()
        self.job(run_id, "plan", start, 1.5, release_id=RELEASE)
        images, garments = [], []
        for n, key in enumerate(photos):
            color = COLORS[n % len(COLORS)]
            images.append(read_photo(key, color, abstain=n % 3 == 2) | {"enriched_at": start} | said)
            garments.append(read_garment(key))
        self.enrich(run_id, images, garments)
        steps = {"seconds": {"fetch": 1.0, "decode": 3.0, "models": 6.5}}
        enrich = {"images": len(photos), "device": "cpu fp32", "release_id": RELEASE, "details": steps}
        self.job(run_id, "enrich", start + timedelta(seconds=2), 8.0, **enrich)
        self.warehouse.snapshot(RELEASE, run_id)
        return run_id


def product_of(key: str) -> str:
    return key.split("/")[-1].split("_")[0]


def read_photo(key: str, color: str, abstain: bool = False) -> dict[str, Any]:
    """What the models said of a photo."""
    return {
        "image_key": key,
        "product_id": product_of(key),
        "bytes": 1000,
        "format": "jpeg",
        "width": 60,
        "height": 80,
        "type": None if abstain else "Dress",
        "type_score": 0.31 if abstain else 0.92,
        "color": color,
        "color_score": 0.8,
        "brand_score": 0.2,
        "color_measured": "Gray" if abstain else color,
        "color_measured_share": 0.7,
        "color_agrees": not abstain,
        "caption": f"a {color.lower()} dress",
        "caption_score": 0.5,
        "attributes": [{"head": "sleeve", "label": "long", "score": 0.7}],
        "garments": 1,
        "main_group": "full-body",
        "enriched_at": FIRST_NIGHT,
        "phash": "0" * 16,
    }


def read_garment(key: str) -> dict[str, Any]:
    box = {"x1": 12.0, "y1": 10.0, "x2": 48.0, "y2": 70.0}
    return {
        "image_key": key,
        "group": "full-body",
        "score": 0.9,
        "is_main": True,
        "type": "Dress",
        "type_score": 0.9,
    } | box


def open_shop(folder: Path, catalog: str, warehouse: str) -> Shop:
    """A shop whose catalog and warehouse lie at two uris; caches lie in `folder`."""
    return Shop(
        load_settings(
            catalog={"uri": catalog},
            warehouse={"uri": warehouse},
            sql={"spill": str(folder / "spill"), "threads": 1},
            index={"cache": str(folder / "cache"), "threads": 1, "held_out": 20},
            drift={"min_photos": 2},
        )
    )


@pytest.fixture
def shop_at(tmp_path: Path) -> Callable[[str, str], Shop]:
    """Make a shop whose catalog and warehouse lie at two uris."""
    return lambda catalog, warehouse: open_shop(tmp_path, catalog, warehouse)


@pytest.fixture
def shop(tmp_path: Path, shop_at: Callable[[str, str], Shop]) -> Shop:
    return shop_at(str(tmp_path / "catalog"), str(tmp_path / "warehouse"))


@pytest.fixture(scope="session")
def full_shop_in() -> Callable[[Path], tuple[Shop, str]]:
    """Make a shop in a folder with something for every section, long words included; and its second run."""
    return lambda folder: fill(open_shop(folder, str(folder / "catalog"), str(folder / "warehouse")))


@pytest.fixture
def full_shop(full_shop_in: Callable[[Path], tuple[Shop, str]], tmp_path: Path) -> tuple[Shop, str]:
    """Such a shop for one test."""
    return full_shop_in(tmp_path)


def fill(shop: Shop) -> tuple[Shop, str]:
    """Two nights with rejects, conflicts, drift, variants, checks and indexes."""
    from pipeline.drift.measure import measure_run

    long_key = f"photos/00099_{'long' * 40}.jpg"
    shop.put(long_key, b"\xff\xd8\xff\xe0 broken")
    shop.put("photos/00098_0.jpg", photo("Red", 12, 12))
    keys = shop.stock(16)
    shop.feed([{"product_id": "00004", "type": "Skirt" * 20, "title": "A skirt"}])
    measure_run(shop.warehouse, shop.night(1, keys[:8]))
    shop.reject("earlier", long_key, "corrupt", "unbroken" * 40)
    shop.reject("earlier", "photos/00098_0.jpg", "too_small", "12x12 pixels, decode.min_side is 16")
    run_id = shop.night(2, keys[8:], caption="word" * 60, type="Coat", type_score=0.2)
    measure_run(shop.warehouse, run_id)
    shop.variant(keys[8], run_id)
    shop.variant(keys[8], run_id, "bag")
    shop.warehouse.snapshot(RELEASE, run_id)
    shop.check(
        run_id,
        [
            {"name": "unique_keys", "severity": "blocking", "rows": 2, "examples": [{"image_key": "k" * 200}]},
            {"name": "fresh", "severity": "warning", "rows": 7, "examples": ["odd"]},
            {"name": "not_null", "severity": "blocking", "rows": 0},
        ],
    )
    shop.index("earlier", 1, live=True, recall=0.9)
    shop.index(run_id, 2, live=False)
    return shop, run_id
