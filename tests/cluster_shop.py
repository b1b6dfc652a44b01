"""A small shop to enrich on a cluster, and the rows that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from models.release_cards import release_id_of
from pipeline.catalog.plan import Plan, load_plan, make_plan
from pipeline.catalog.quarantine import standing
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.tables import open_warehouse
from pipeline.tables.schema import TABLES

VOLATILE = {
    *("run_id", "batch_id", "enriched_at", "fetch_ms", "decode_ms", "model_ms"),
    *("happened_at", "next_retry_at", "attempts"),
}

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Shop:
    """A catalog with a release; `settings(warehouse)` are those of a night with that warehouse."""

    root: Path
    keys: tuple[str, ...]

    def settings(self, warehouse: str, **sections: Any) -> Settings:
        """Batches of five photos."""
        base: dict[str, Any] = {
            "catalog": {"uri": str(self.root / "catalog")},
            "warehouse": {"uri": str(self.root / warehouse)},
            "release": {"uri": str(self.root / "release")},
            "sql": {"spill": str(self.root / "spill"), "threads": 1},
            "decode": {"threads": 1, "working_side": 64, "max_pixels": 1_000_000},
            "fetch": {"threads": 2, "max_bytes": 2**20},
            "enrich": {"batch_images": 5, "model_images": 4, "threads": 1, "device": "cpu", "precision": "fp32"},
            "dask": {"enabled": True, "workers": 2, "dashboard": "", "timeout_s": 240},
        }
        return load_settings(**base | sections)

    def plan(self, settings: Settings) -> Plan:
        """A plan of all that is pending."""
        made = make_plan(settings, open_warehouse(settings), release_id_of(release_folder(settings)))
        assert made.plan_id
        return load_plan(settings, made.plan_id)


def rows_that_count(settings: Settings) -> Rows:
    """All rows that readers see: the ledger's, those of its batches, photos in quarantine; less volatile columns."""
    warehouse = open_warehouse(settings)
    images = warehouse.read("images")
    batches = images.column("batch_id").unique()
    found = {"images": images, "quarantine": standing(warehouse)}
    for name in ("garments", "embeddings"):
        rows = warehouse.read(name)
        found[name] = rows.filter(pc.is_in(rows.column("batch_id"), value_set=batches))
    return {
        name: sorted(
            ({key: value for key, value in row.items() if key not in VOLATILE} for row in table.to_pylist()),
            key=lambda row, name=name: tuple(str(row[key]) for key in TABLES[name].key if key in row),
        )
        for name, table in found.items()
    }
