"""The enrich job: one part of a plan from the store to the tables.

    batches of the part --Ahead: fetch, decode--> Reader: models --Committer--> tables

The plan says what to do, the ledger what is done: batches of this run that are complete there are skipped, so a retried
task goes on where the killed one stopped. A batch the store fails on is given up alone; the others go on, and the job
fails loudly at the end.
"""

from __future__ import annotations

import errno
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pyarrow.compute as pc
import torch

from models.release import Release
from pipeline.catalog import Batch
from pipeline.enrich.ahead import Ahead, BatchFailedError
from pipeline.enrich.batch import assemble, stamp_of
from pipeline.enrich.commit import Committed, Committer
from pipeline.enrich.generators import load_generators
from pipeline.enrich.models import streams_of
from pipeline.enrich.patience import patiently
from pipeline.enrich.photo import Photo, Reject
from pipeline.enrich.reading import Reader
from pipeline.enrich.streams import Streams
from pipeline.enrich.variants import VariantMaker
from pipeline.enrich.watch import Watch
from pipeline.errors import SettingError, TransientError
from pipeline.settings import Settings
from pipeline.storage import ObjectStore
from pipeline.tables import Warehouse

log = logging.getLogger("atelier")

FAILED_IN_A_ROW = 3
"""Batches that fail one after the other until the part gives up: the store is down, and waiting it out costs hours."""


@dataclass
class Outcome:
    """What a part brought.

    Args:
        images: photos in the ledger, those of batches that were done before included.
        rejects: photos in quarantine by reason; those of batches that were done before are not counted again.
        batches: batches committed.
        skipped: batches that an earlier attempt of this run had done.
        skipped_images: their photos.
        overlapped: photos that another batch had done meanwhile.
        failures: what became of the batches that were given up.
        seconds: wall time.
        steps: seconds by step, summed over the threads that work on it side by side; `wait` and `commit_wait` are wall
            time that went by until a photo was there and until a commit was through.
        peak_rss_mib: most memory the process has held.
        variants: of the batches committed, those of photos done before included where only those could not be fetched.
        variants_failed: variants that could not be made.
        generators: name -> id of the generators that ran, whether or not a photo met their rules.
    """

    images: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    skipped: int = 0
    skipped_images: int = 0
    overlapped: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    peak_rss_mib: int = 0
    variants: int = 0
    variants_failed: int = 0
    generators: dict[str, str] = field(default_factory=dict)

    @property
    def images_per_s(self) -> float:
        """Photos enriched a second of wall time, by this attempt alone."""
        return (self.images - self.skipped_images) / max(self.seconds, 1e-9)

    def add(self, committed: Committed | None) -> None:
        """Enter a committed batch."""
        if committed:
            self.batches += 1
            self.images += committed.images
            self.overlapped += committed.overlapped
            self.variants += committed.variants
            for reason, count in committed.rejects.items():
                self.rejects[reason] = self.rejects.get(reason, 0) + count

    def include(self, other: Outcome) -> None:
        """Add what another process brought; `seconds` stay, as both worked at the same time."""
        for name in ("images", "batches", "skipped", "skipped_images", "overlapped", "variants", "variants_failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures += other.failures
        self.generators |= other.generators
        for reason, count in other.rejects.items():
            self.rejects[reason] = self.rejects.get(reason, 0) + count
        for step, seconds in other.steps.items():
            self.steps[step] = self.steps.get(step, 0.0) + seconds
        self.peak_rss_mib = max(self.peak_rss_mib, other.peak_rss_mib)

    def raise_failures(self) -> None:
        """Fail loudly where batches were given up.

        Raises:
            TransientError: the same command again does the rest.
        """
        if self.failures:
            raise TransientError(
                f"{len(self.failures)} batches were given up, {self.batches} committed; run it again. "
                f"First: {self.failures[0]}"
            )


class Runner:
    """Runs parts of plans.

    Args:
        settings: how.
        store: the catalog's photos.
        warehouse: the tables.
        release: loaded models.
        advance: told how many more photos are through.

    Raises:
        SettingError: a translator that `variants.rules` names can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        warehouse: Warehouse,
        release: Release,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.warehouse = warehouse
        self.release = release
        self.advance = advance
        self.generators = load_generators(settings, release)

    def run(self, run_id: str, batches: Iterable[Batch]) -> Outcome:
        """Enrich and commit batches; see `Outcome.failures` for those that were given up.

        Raises:
            SettingError: no such bucket, no credentials, warehouse not writable, models too large for the device.
            TransientError: disk full, memory full, tables out of reach.
        """
        outcome = Outcome()
        return self.work(run_id, unfinished(self.warehouse, run_id, batches, outcome, self.advance), outcome)

    def work(self, run_id: str, todo: Iterable[Batch], outcome: Outcome) -> Outcome:
        """Enrich and commit batches without asking whether they are done; enters into `outcome` what they bring.

        Raises what `run` raises.
        """
        watch, started = Watch(), time.perf_counter()
        with translated():
            self._work(run_id, todo, outcome, watch)
        outcome.seconds = time.perf_counter() - started
        outcome.steps = {step: round(seconds, 3) for step, seconds in watch.seconds.items()}
        outcome.peak_rss_mib = peak_rss_mib()
        return outcome

    def _work(self, run_id: str, todo: Iterable[Batch], outcome: Outcome, watch: Watch) -> None:
        enrich = self.settings.enrich
        with (
            Streams(streams_of(self.settings, self.release)) as streams,
            Ahead(self.store, self.settings, self.release.preprocessing, watch, streams.count) as ahead,
            Committer(self.warehouse, enrich, watch) as committer,
        ):
            reader = Reader(self.release, enrich.max_garments, watch, streams)
            maker = VariantMaker(self.generators, reader, self.warehouse.store)
            in_a_row = 0
            for batch, photos in ahead.batches(todo):
                stamp = stamp_of(batch.batch_id, run_id, self.release)
                try:
                    enriched = assemble(self._counted(photos), reader, stamp, maker)
                except BatchFailedError as error:
                    log.warning("%s", error)
                    outcome.failures.append(str(error))
                    in_a_row += 1
                    if in_a_row == FAILED_IN_A_ROW:
                        break
                    continue
                in_a_row = 0
                outcome.add(committer.submit(batch, enriched, stamp))
            outcome.add(committer.finish())
        outcome.variants_failed += maker.failed
        outcome.generators |= {one.name: one.generator_id for one in self.generators}

    def _counted(self, photos: Iterable[Photo | Reject]) -> Iterator[Photo | Reject]:
        for photo in photos:
            yield photo
            self.advance(1)


def unfinished(
    warehouse: Warehouse, run_id: str, batches: Iterable[Batch], outcome: Outcome, advance: Callable[[int], object]
) -> Iterator[Batch]:
    """Batches that this run has not finished: neither enriched nor rejected all of their photos.

    The others are entered into `outcome` as skipped, and `advance` is told.
    """
    images, rejects = (
        patiently(partial(_rows_by_batch, warehouse, table, run_id)) for table in ("images", "quarantine")
    )
    for batch in batches:
        enriched = images.get(batch.batch_id, 0)
        if enriched + rejects.get(batch.batch_id, 0) < len(batch.images):
            yield batch
            continue
        outcome.skipped += 1
        outcome.skipped_images += enriched
        outcome.images += enriched
        advance(len(batch.images))


def _rows_by_batch(warehouse: Warehouse, table: str, run_id: str) -> dict[str, int]:
    """Rows of a run by batch."""
    counts: dict[str, int] = {}
    for rows in warehouse.scan(table, columns=["batch_id"], filter=pc.field("run_id") == run_id):
        for pair in rows.column("batch_id").value_counts().to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
    return counts


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the machine runs out of into errors that say who acts."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SettingError(
            f"the device's memory is too small for enrich.model_images; set it lower: {str(error).splitlines()[0]}"
        ) from error
    except MemoryError as error:
        raise TransientError("memory is full; fewer decode.threads or enrich.model_images need less of it") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientError(f"the disk is full: {error}") from error
        raise


def peak_rss_mib() -> int:
    """Most memory this process has held, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))


def utc_now() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)
