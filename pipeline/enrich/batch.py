"""Enrichment of a batch, the pure heart of the job: bytes and a release in, rows and rejects out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from models.release import Release
from pipeline.catalog import PlannedImage
from pipeline.enrich.models import streams_of
from pipeline.enrich.photo import Photo, Reject, prepare
from pipeline.enrich.reading import Reader
from pipeline.enrich.rows import Rows, Stamp
from pipeline.enrich.streams import Streams
from pipeline.enrich.variants import VariantMaker, collected
from pipeline.enrich.watch import Watch
from pipeline.errors import PhotoError
from pipeline.images.decode import Limits
from pipeline.settings import Settings
from pipeline.tables.schema import TABLES

MODEL_STEPS = ("detect", "crops", "backbone", "heads", "caption")


@dataclass(frozen=True)
class Enriched:
    """What became of a batch: `images.num_rows + len(rejects)` is its length.

    Args:
        images: rows of the table `images`, in the order of the batch.
        garments: rows of `garments`.
        embeddings: rows of `embeddings`.
        rejects: photos that can't be enriched, in the order of the batch.
        variants: rows of `variants`, by photo and generator; their vectors are among the embeddings.
    """

    images: pa.Table
    garments: pa.Table
    embeddings: pa.Table
    rejects: tuple[Reject, ...]
    variants: pa.Table = field(default_factory=TABLES["variants"].arrow_schema.empty_table)


def enrich_batch(
    images: Sequence[tuple[PlannedImage, bytes | PhotoError]], release: Release, settings: Settings, stamp: Stamp
) -> Enriched:
    """Enrich photos whose bytes are at hand; a `PhotoError` in their place is a reject already.

    Pure but for the timings: the rows depend on the bytes and the release only, bit by bit, not on the batch. Variants
    are not made: those are written somewhere.
    """
    limits = Limits.of(settings)

    def prepared() -> Iterator[Photo | Reject]:
        for image, data in images:
            try:
                if isinstance(data, PhotoError):
                    raise data
                yield prepare(image, data, limits, release.preprocessing)
            except PhotoError as error:
                yield Reject(image, error.reason, error.message)

    with Streams(streams_of(settings, release)) as streams:
        return assemble(prepared(), Reader(release, settings.enrich.max_garments, Watch(), streams), stamp)


def assemble(
    photos: Iterable[Photo | Reject], reader: Reader, stamp: Stamp, maker: VariantMaker | None = None
) -> Enriched:
    """Read a stream of prepared photos into the rows of one batch; only a few of them are in memory at a time.

    Args:
        maker: makes the variants that the rules ask for and stores them; None: none are made.
    """
    rejects: list[Reject] = []

    def good() -> Iterator[Photo]:
        for photo in photos:
            if isinstance(photo, Reject):
                rejects.append(photo)
            else:
                yield photo

    before = _model_seconds(reader.watch)
    rows = Rows(stamp)
    for variant in collected(reader.read(good()), maker, rows.add):
        rows.add_variant(variant)
    with reader.watch("rows"):
        tables = rows.tables(_model_seconds(reader.watch) - before)
    return Enriched(**tables, rejects=tuple(rejects))


def stamp_of(batch_id: str, run_id: str, release: Release) -> Stamp:
    """The stamp of a batch that is computed now."""
    return Stamp(batch_id, run_id, release.release_id, release.feature_id, datetime.now(UTC))


def _model_seconds(watch: Watch) -> float:
    seconds = watch.seconds
    return sum(seconds.get(step, 0.0) for step in MODEL_STEPS)
