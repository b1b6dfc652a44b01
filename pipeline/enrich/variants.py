"""Variants of photos: pictures of other garments that translators make while a batch is enriched.

    readings --rule--> crop of the main garment --full passes--> picture --> feature, type head, color
                                                                    +--> PNG in the warehouse

Crops come from pixels that are in memory anyway. Only crops at the translator's size wait for a pass to fill, so memory
stays bounded by one pass a rule; a finished picture is stored at once, under a key that its source and the generator
decide. A row that names it is committed later, with its batch: a key in `variants` always has its picture.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from models.errors import ModelError
from models.release import Release
from models.translation.distances import hellinger
from pipeline.catalog import PlannedImage
from pipeline.enrich.generators import TYPE, Generator
from pipeline.enrich.reading import HISTOGRAM, Reader, Reading
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.storage import ObjectStore

log = logging.getLogger("atelier")

FOLDER = "variants/"
"""Where the pictures lie under the warehouse root."""

WHOLE_IMAGE = -1
"""`garment_index` of what speaks of the whole picture, among embeddings and variants."""


@dataclass(frozen=True)
class Source:
    """What a variant is made of: a photo's main garment or, with `garment_index` -1, all of it.

    Args:
        pixels: uint8 (3, S, S), as the translator takes them.
    """

    image: PlannedImage
    garment_index: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Variant:
    """A generated picture that is stored, and what was measured of it.

    Args:
        feature: float32 (D,), of the release's backbone.
        target_probability: of the type head, in [0, 1]; None where it knows no label of the target.
        color_distance: Hellinger distance of the colors of source and variant, in [0, 1].
    """

    source: Source
    generator: Generator
    key: str
    feature: np.ndarray
    target_probability: float | None
    color_distance: float


Wish = tuple[Generator, Source]


class VariantMaker:
    """Makes the variants that the rules ask for; without rules it does nothing.

    A variant does not depend, to the last bit, on which photos come with it: every pass is filled up to one size. A
    photo whose variant can't be made goes without, and is counted in `failed`; its neighbors keep theirs.

    Args:
        generators: one a rule.
        reader: its release judges the pictures, its streams run the passes, its watch takes the step `variants`.
        store: of the warehouse.
    """

    def __init__(self, generators: Sequence[Generator], reader: Reader, store: ObjectStore) -> None:
        self.generators = tuple(generators)
        self.release: Release = reader.release
        self.failed = 0
        self._reader = reader
        self._store = store
        self._lock = threading.Lock()

    def wishes(self, reading: Reading) -> Iterator[Wish]:
        """What the rules want made of a photo; nothing of its pixels but the crop is kept."""
        row = min(1, len(reading.garments))
        answers = {head: given[row] for head, given in reading.answers.items()}
        wanted = [one for one in self.generators if one.wants(answers)]
        if not wanted:
            return
        pixels = reading.photo.decoded.pixels
        if reading.garments:
            pixels = crop(pixels, reading.garments[0].box)
        for generator in wanted:
            try:
                resized = generator.translator.preprocessing.resize_image(pixels).numpy()
            except (ModelError, RuntimeError) as error:
                self._count(reading.photo.image, generator, error)
                continue
            yield generator, Source(reading.photo.image, 0 if reading.garments else WHOLE_IMAGE, resized)

    def make(self, wishes: Iterable[Wish]) -> Iterator[Variant]:
        """A variant for each wish that can be fulfilled, in passes; in no particular order."""
        passes = self._full_passes(wishes)
        return chain.from_iterable(self._reader.streams.map(lambda one: self._made(*one), passes))

    def _full_passes(self, wishes: Iterable[Wish]) -> Iterator[tuple[Generator, list[Source]]]:
        waiting: dict[str, list[Source]] = {one.name: [] for one in self.generators}
        for generator, source in wishes:
            waiting[generator.name].append(source)
            if len(waiting[generator.name]) == generator.translator.batch:
                yield generator, waiting[generator.name]
                waiting[generator.name] = []
        yield from ((one, waiting[one.name]) for one in self.generators if waiting[one.name])

    def _made(self, generator: Generator, sources: list[Source]) -> list[Variant]:
        with self._reader.watch("variants"):
            try:
                return self._pass(generator, sources)
            except torch.OutOfMemoryError:
                raise
            except (ModelError, RuntimeError) as error:
                if len(sources) == 1:
                    self._count(sources[0].image, generator, error)
                    return []
        return [made for source in sources for made in self._made(generator, [source])]  # which one is it?

    def _pass(self, generator: Generator, sources: list[Source]) -> list[Variant]:
        before = np.stack([source.pixels for source in sources])
        after = generator.translator(before)
        pictures = [_upright(one) for one in after]
        inputs = torch.stack([self.release.preprocessing.resize_image(picture) for picture in pictures])
        features = self.release.features(inputs)
        colors = np.stack([color_histogram(picture) for picture in pictures])
        distances = hellinger(np.stack([color_histogram(_upright(one)) for one in before]), colors)
        probabilities = self._target_probabilities(generator, features, colors)
        lengths = np.linalg.norm(features, axis=1)
        made = []
        for row, source in enumerate(sources):
            if not (np.isfinite(lengths[row]) and lengths[row] > 0):
                self._count(source.image, generator, "the backbone has no feature for it")
                continue
            key = variant_key(source.image, self.release.release_id, generator)
            self._store.put(key, png(pictures[row], generator))
            made.append(
                Variant(source, generator, key, features[row], probabilities[row], float(distances[row])),
            )
        return made

    def _target_probabilities(
        self, generator: Generator, features: np.ndarray, colors: np.ndarray
    ) -> Sequence[float | None]:
        if generator.targets is None:
            return [None] * len(features)
        said = self.release.probabilities(TYPE, features, {HISTOGRAM: colors})
        return np.clip(said[:, generator.targets].sum(axis=1), 0, 1).tolist()

    def _count(self, image: PlannedImage, generator: Generator, why: object) -> None:
        log.warning("no variant of %s by %s: %s", image.image_key, generator.name, why)
        with self._lock:
            self.failed += 1


def variant_key(image: PlannedImage, release_id: str, generator: Generator) -> str:
    """Where a variant lies under the warehouse root: another one for other bytes, another release, other weights.

    A digest stands for the photo's key, which may hold any character and be of any length.
    """
    name = "\0".join((image.image_key, image.etag, release_id))
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    of = re.sub(r"[^A-Za-z0-9_]+", "-", generator.name)[:40]
    return f"{FOLDER}{of}-{generator.generator_id}/{digest[:2]}/{digest}.png"


def png(picture: np.ndarray, generator: Generator) -> bytes:
    """A picture, uint8 (S, S, 3), as PNG that says of itself that it is synthetic: the same bytes every time."""
    words = PngImagePlugin.PngInfo()
    words.add_text("synthetic", "true")
    words.add_itxt("generator", f"{generator.name} {generator.generator_id}")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=words)
    return buffer.getvalue()


def _upright(picture: np.ndarray) -> np.ndarray:
    """uint8 (3, S, S) as (S, S, 3), C-contiguous."""
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def collected(
    readings: Iterable[Reading], maker: VariantMaker | None, seen: Callable[[Reading], object]
) -> Iterator[Variant]:
    """Hand every reading to `seen`, one at a time, and yield the variants that come of them meanwhile."""
    if maker is None:
        for reading in readings:
            seen(reading)
        return

    def wishes() -> Iterator[Wish]:
        for reading in readings:
            seen(reading)
            yield from maker.wishes(reading)

    yield from maker.make(wishes())
