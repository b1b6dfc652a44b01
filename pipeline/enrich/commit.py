"""Committing a batch: garments, embeddings, variants, quarantine, and `images` last, which makes the others count."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.catalog import Batch, batch_id
from pipeline.catalog.quarantine import earlier_events, rejects_table
from pipeline.enrich.batch import Enriched
from pipeline.enrich.patience import patiently
from pipeline.enrich.rows import Stamp
from pipeline.enrich.watch import Watch
from pipeline.errors import PhotoError
from pipeline.settings import EnrichSettings
from pipeline.tables import OverlapError, Warehouse
from pipeline.tables.schema import TABLES

SIDE_TABLES = ("garments", "embeddings", "variants", "quarantine")
"""Tables written before `images`; their rows count only when their batch is in it."""


@dataclass(frozen=True)
class Committed:
    """What one batch brought: photos entered into the ledger, photos sent to quarantine by reason, photos that another
    batch had entered meanwhile, variants of the photos entered."""

    images: int
    rejects: dict[str, int]
    overlapped: int
    variants: int = 0


def commit(warehouse: Warehouse, batch: Batch, enriched: Enriched, stamp: Stamp, enrich: EnrichSettings) -> Committed:
    """Write a batch; running it again replaces its own rows.

    Photos that another batch has entered into the ledger meanwhile are left to it: the rest is a batch of its own,
    under the name that its contents give it, and what was written under the old name is taken back. Only a batch that
    is in the ledger already keeps its name: what lies in the other tables under it belongs to photos that are done.
    Of such a batch, photos that only could not be fetched this time stay done, with the rows they have.
    """
    overlapped = 0
    enriched = _with_done(warehouse, enriched, stamp)
    while True:
        try:
            _write(warehouse, enriched, stamp, enrich)
        except OverlapError as error:
            overlapped += len(error.keys)
            old = stamp.batch_id
            name = old if _in_ledger(warehouse, old) else None
            batch, enriched, stamp = _without(set(error.keys), batch, enriched, stamp, name)
            if name is None:
                for table in SIDE_TABLES:
                    _replace(warehouse, table, old, TABLES[table].arrow_schema.empty_table())
            if batch.images:
                continue
        reasons = count_reasons(enriched)
        return Committed(enriched.images.num_rows, reasons, overlapped, enriched.variants.num_rows)


def _write(warehouse: Warehouse, enriched: Enriched, stamp: Stamp, enrich: EnrichSettings) -> None:
    rejects = [(one.image, PhotoError(one.reason, one.message)) for one in enriched.rejects]
    quarantine = rejects_table(
        rejects,
        patiently(lambda: earlier_events(warehouse, [image.image_key for image, _ in rejects])),
        batch_id=stamp.batch_id,
        release_id=stamp.release_id,
        run_id=stamp.run_id,
        happened_at=stamp.enriched_at,
        enrich=enrich,
    )
    written = (enriched.garments, enriched.embeddings, enriched.variants, quarantine)
    for table, rows in zip(SIDE_TABLES, written, strict=True):
        _replace(warehouse, table, stamp.batch_id, rows)
    patiently(lambda: warehouse.commit_images(stamp.batch_id, stamp.release_id, enriched.images))


def _replace(warehouse: Warehouse, table: str, name: str, rows: pa.Table) -> None:
    """Make `rows` those of the batch; a warehouse whose shop has never made variants gets no table of them."""

    def write() -> None:
        if rows.num_rows or table != "variants" or warehouse.version(table) is not None:
            warehouse.replace_batch(table, name, rows)

    patiently(write)


def _with_done(warehouse: Warehouse, enriched: Enriched, stamp: Stamp) -> Enriched:
    """With the rows of photos that an earlier attempt at this batch enriched, where now only their bytes are missing.

    A batch's name covers its photos' etags and the release: the rows are what another fetch would bring again.
    """
    missing = [one.image.image_key for one in enriched.rejects if not one.reason.permanent]
    if not missing:
        return enriched
    ours = pc.field("batch_id") == stamp.batch_id
    keys = warehouse.read("images", columns=["image_key"], filter=ours & pc.field("image_key").isin(missing))
    done = keys.column("image_key").to_pylist()
    if not done:
        return enriched

    def joined(table: str, rows: pa.Table) -> pa.Table:
        stored = warehouse.read(table, filter=ours & pc.field("image_key").isin(done))
        return pa.concat_tables([rows, stored]).sort_by("image_key")

    return replace(
        enriched,
        images=joined("images", enriched.images),
        garments=joined("garments", enriched.garments),
        embeddings=joined("embeddings", enriched.embeddings),
        variants=joined("variants", enriched.variants),
        rejects=tuple(one for one in enriched.rejects if one.image.image_key not in set(done)),
    )


def _in_ledger(warehouse: Warehouse, name: str) -> bool:
    """Whether a batch of that name has rows in `images`."""
    return warehouse.read("images", columns=["batch_id"], filter=pc.field("batch_id") == name).num_rows > 0


def _without(
    keys: set[str], batch: Batch, enriched: Enriched, stamp: Stamp, name: str | None
) -> tuple[Batch, Enriched, Stamp]:
    """The batch less the photos `keys`, under `name`, or (None) under the one that its contents give it."""
    images = tuple(image for image in batch.images if image.image_key not in keys)
    name = name or batch_id(stamp.release_id, [(image.image_key, image.etag) for image in images])
    gone = pa.array(sorted(keys), pa.string())

    def kept(rows: pa.Table) -> pa.Table:
        rows = rows.filter(pc.invert(pc.is_in(rows.column("image_key"), value_set=gone)))
        column = rows.schema.get_field_index("batch_id")
        return rows.set_column(column, rows.schema.field(column), pa.array([name] * len(rows), pa.string()))

    rest = replace(
        enriched,
        images=kept(enriched.images),
        garments=kept(enriched.garments),
        embeddings=kept(enriched.embeddings),
        variants=kept(enriched.variants),
        rejects=tuple(one for one in enriched.rejects if one.image.image_key not in keys),
    )
    return Batch(name, batch.number, images), rest, replace(stamp, batch_id=name)


def count_reasons(enriched: Enriched) -> dict[str, int]:
    """Rejects by reason."""
    counts: dict[str, int] = {}
    for reject in enriched.rejects:
        counts[reject.reason] = counts.get(reject.reason, 0) + 1
    return counts


class Committer:
    """Commits one batch in the background while the models read the next; errors come out at the next call.

    Use as a context manager; leaving it waits for the commit that is under way.
    """

    def __init__(self, warehouse: Warehouse, enrich: EnrichSettings, watch: Watch) -> None:
        self.warehouse = warehouse
        self.enrich = enrich
        self.watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._last: Future[Committed] | None = None

    def __enter__(self) -> Committer:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    def submit(self, batch: Batch, enriched: Enriched, stamp: Stamp) -> Committed | None:
        """Wait for the batch before, whose result is returned, and begin with this one."""
        done = self.finish()
        self._last = self._thread.submit(self._commit, batch, enriched, stamp)
        return done

    def finish(self) -> Committed | None:
        """Wait for the last batch; its result, or None where there was none."""
        last, self._last = self._last, None
        with self.watch("commit_wait"):
            return last.result() if last else None

    def _commit(self, batch: Batch, enriched: Enriched, stamp: Stamp) -> Committed:
        with self.watch("commit"):
            return commit(self.warehouse, batch, enriched, stamp, self.enrich)
