"""What there is: where the tables, the index and the report lie, and how many photos are in which state."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.index.gallery import read_pointer
from pipeline.index.job import index_store
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.tables import connect, open_warehouse

_COUNTS = """
SELECT
    (SELECT count(*) FROM catalog) AS photos,
    (SELECT count(*) FROM enriched) AS enriched,
    (SELECT coalesce(sum(garments), 0) FROM enriched) AS garments,
    (SELECT count(DISTINCT product_id) FROM enriched) AS products,
    (SELECT count(*) FROM quarantined) AS quarantined
"""


@dataclass(frozen=True)
class Status:
    """Counts are of photos that are in the catalog now; None: there is no such thing yet."""

    catalog_uri: str
    tables_uri: str
    index_uri: str
    report_uri: str | None
    snapshot: int | None
    release_id: str | None
    photos: int = 0
    enriched: int = 0
    garments: int = 0
    products: int = 0
    quarantined: int = 0
    index_version: str | None = None
    sample_key: str | None = None

    @property
    def pending(self) -> int:
        """Photos of the last listing that are neither enriched nor in quarantine."""
        return max(0, self.photos - self.enriched - self.quarantined)


def gather(settings: Settings) -> Status:
    """Read the latest snapshot and the index pointer; lists no catalog, so it answers at once.

    Raises:
        SettingError, TransientError: the warehouse can't be reached.
    """
    warehouse = open_warehouse(settings)
    snapshot = warehouse.latest_snapshot()
    root = warehouse.store.uri
    index = index_store(settings)
    pointer, _ = read_pointer(index)
    counts: dict[str, int] = {}
    sample = None
    if snapshot is not None:
        with connect(warehouse, snapshot) as con:
            answer = con.execute(_COUNTS)
            names = [column[0] for column in answer.description or ()]
            counts = dict(zip(names, answer.fetchone() or (), strict=True))
            found = con.execute("SELECT image_key FROM enriched ORDER BY type_score DESC NULLS LAST, image_key LIMIT 1")
            sample = (found.fetchone() or (None,))[0]
    report = f"reports/{snapshot.run_id}.html" if snapshot else None
    return Status(
        catalog_uri=open_store(settings.catalog.uri, settings).uri,
        tables_uri=f"{root}/tables",
        index_uri=index.uri,
        report_uri=f"{root}/{report}" if report and warehouse.store.head(report) else None,
        snapshot=snapshot.number if snapshot else None,
        release_id=snapshot.release_id if snapshot else None,
        index_version=pointer.version if pointer else None,
        sample_key=sample,
        **counts,
    )
