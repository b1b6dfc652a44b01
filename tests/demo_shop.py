"""The demo catalog as a shop that grows night by night: rendered photos, really planned and enriched."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.catalog.plan import make_plan, read_batches
from pipeline.demo.generate import Order, make_product
from pipeline.demo.generate import generate as render
from pipeline.demo.vocabulary import TYPES
from pipeline.enrich.models import load_models
from pipeline.enrich.record import record
from pipeline.enrich.runner import Runner, utc_now
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import Warehouse, open_warehouse

SIZE = ((150, 200),)
SEED = 5


class DemoShop:
    """A catalog folder, a warehouse, and nights that enrich what is new; the release is loaded once."""

    def __init__(self, root: Path, release: Path, **sections: Any) -> None:
        (root / "catalog" / "photos").mkdir(parents=True)
        self.catalog = root / "catalog"
        self.settings: Settings = load_settings(
            catalog={"uri": str(self.catalog)},
            warehouse={"uri": str(root / "warehouse")},
            release={"uri": str(release)},
            decode={"working_side": 64},
            enrich={"batch_images": 64, "precision": "fp32", "threads": 1, "model_images": 8},
            sql={"spill": str(root / "spill"), "threads": 1},
            **sections,
        )
        self.release = load_models(self.settings)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    def generate(self, products: int, photos: int, dirty: bool = False) -> None:
        """A whole demo catalog with feed and truth, small photos."""
        render(self.catalog, products, SEED, photos, dirty=dirty, sizes=SIZE)

    def add(self, products: Iterable[int], photos: int = 2) -> None:
        """Render some products of the demo catalog into it, without a feed."""
        order = Order(str(self.catalog), SEED, photos, SIZE)
        for index in products:
            make_product(order, index)

    def add_changed(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Put a changed copy of every photo beside it, as another product's."""
        for path in sorted((self.catalog / "photos").glob("p*.jpg")):
            pixels = change(np.asarray(Image.open(path).convert("RGB")))
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "JPEG", quality=90)
            path.with_name(f"changed{path.name}").write_bytes(stream.getvalue())

    def night(self, snapshot: bool = True) -> str:
        """Enrich what is pending; returns the run_id."""
        plan = make_plan(self.settings, self.warehouse, self.release.release_id)
        runner = Runner(
            self.settings, open_store(self.settings.catalog.uri, self.settings), self.warehouse, self.release
        )
        if plan.plan_id and plan.batches:
            started_at = utc_now()
            outcome = runner.run(plan.run_id, read_batches(self.settings, plan.plan_id, 0, 1))
            record(self.warehouse, outcome, self.release, run_id=plan.run_id, part=0, started_at=started_at)
        if snapshot:
            self.warehouse.snapshot(self.release.release_id, plan.run_id)
        return plan.run_id


def of_type(name: str, count: int) -> list[int]:
    """Indices of products of one type in the demo catalog."""
    shift = int(np.random.default_rng(SEED).integers(len(TYPES)))
    first = (TYPES.index(name) - shift) % len(TYPES)
    return [first + number * len(TYPES) for number in range(count)]
