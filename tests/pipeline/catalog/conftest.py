"""A small shop on disk, and ways to stand in for the enrichment job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.catalog import Batch, PlannedImage
from pipeline.catalog.plan import Plan, make_plan, read_batches
from pipeline.catalog.quarantine import earlier_events, rejects_table
from pipeline.errors import PhotoError, Reason
from pipeline.settings import Settings, load_settings
from pipeline.tables import Warehouse, open_warehouse
from pipeline.tables.schema import TABLES

FILLERS: dict[Any, Any] = {
    pa.string(): "x",
    pa.bool_(): False,
    pa.timestamp("us", tz="UTC"): datetime(2026, 1, 1, tzinfo=UTC),
}


def make_rows(table: str, given: Iterable[dict[str, Any]], **common: Any) -> pa.Table:
    """Rows of `table`: the given values, nulls where allowed, something plain elsewhere."""
    filled = [
        {c.name: values.get(c.name, None if c.nullable else FILLERS.get(c.type, 0)) for c in TABLES[table].columns}
        for values in (common | one for one in given)
    ]
    return pa.Table.from_pylist(filled, TABLES[table].arrow_schema)


@pytest.fixture(name="rows", scope="session")
def rows_fixture() -> Callable[..., pa.Table]:
    return make_rows


@dataclass
class Shop:
    """Photos in a folder, a warehouse beside it."""

    root: Path
    settings: Settings
    release_id: str = "r1"
    plans: list[Plan] = field(default_factory=list)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    def put(self, key: str, data: bytes = b"photo") -> None:
        path = self.root / "photos" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, key: str) -> None:
        (self.root / "photos" / key).unlink()

    def with_settings(self, **sections: Any) -> Shop:
        given = {"catalog": {"uri": str(self.root / "photos")}, "warehouse": {"uri": str(self.root / "warehouse")}}
        merged = {name: given.get(name, {}) | sections.get(name, {}) for name in {*given, *sections}}
        return replace(self, settings=load_settings(**merged))

    def plan(self, **options: Any) -> Plan:
        plan = make_plan(self.settings, self.warehouse, self.release_id, **options)
        self.plans.append(plan)
        return plan

    def batches(self, plan: Plan) -> list[Batch]:
        assert plan.plan_id is not None
        return list(read_batches(self.settings, plan.plan_id, 0, 1))

    def pending(self, **options: Any) -> list[str]:
        """Keys of a new plan."""
        return [image.image_key for batch in self.batches(self.plan(**options)) for image in batch.images]

    def enrich(self, plan: Plan, rejects: dict[str, Reason] | None = None, only: int | None = None) -> None:
        """Do what the job does with the ledger: some photos go to quarantine, the others to `images`."""
        rejects = rejects or {}
        for batch in self.batches(plan)[:only]:
            good = [image for image in batch.images if image.image_key not in rejects]
            bad = [(i, PhotoError(rejects[i.image_key], "no")) for i in batch.images if i.image_key in rejects]
            self.reject(bad, batch.batch_id, plan.run_id)
            keys = ({"image_key": image.image_key, "etag": image.etag} for image in good)
            common = {"release_id": self.release_id, "batch_id": batch.batch_id, "enriched_at": datetime.now(UTC)}
            done = make_rows("images", keys, **common)
            self.warehouse.commit_images(batch.batch_id, self.release_id, done)

    def reject(self, bad: list[tuple[PlannedImage, PhotoError]], batch_id: str, run_id: str) -> None:
        table = rejects_table(
            bad,
            earlier_events(self.warehouse, [image.image_key for image, _ in bad]),
            batch_id=batch_id,
            release_id=self.release_id,
            run_id=run_id,
            happened_at=datetime.now(UTC),
            enrich=self.settings.enrich,
        )
        self.warehouse.replace_batch("quarantine", batch_id, table)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop; batches of four photos, failed fetches due again at once."""
    (tmp_path / "photos").mkdir()
    shop = Shop(tmp_path, load_settings())
    return shop.with_settings(enrich={"batch_images": 4, "parts": 3, "retry_after_s": 0, "retry_attempts": 3})
