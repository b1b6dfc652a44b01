"""Photos through the models, as a stream: detect, cut, ONE backbone pass over pictures and crops, heads, caption.

    photos --detect--> garments --crops--> backbone rows, always full passes --> heads, caption --> readings

A stream, so that memory is bounded by a few passes of pictures however large the batch is. Crops of one photo and the
next share a pass: only the last pass of a stream is padded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from models.heads import Answer
from models.release import Release
from pipeline.enrich.garments import Garment, garments_of
from pipeline.enrich.photo import Colors, Photo
from pipeline.enrich.watch import Watch

T = TypeVar("T")

HISTOGRAM = "color_histogram"
"""Name under which a head asks for the measured histogram beside the feature."""


@dataclass(frozen=True)
class Reading:
    """What the models say of one photo. Row 0 is the whole picture, row 1 + i is garment i.

    Args:
        photo: without its pixels' use any more.
        garments: the main one first.
        features: float32 (1 + garments, D).
        answers: head -> 1 + garments answers.
        caption: sentence and score; None where the release has no captioner.
    """

    photo: Photo
    garments: list[Garment]
    features: np.ndarray
    answers: dict[str, list[Answer]]
    caption: tuple[str, float] | None


@dataclass
class _Found:
    photo: Photo
    garments: list[Garment]

    @property
    def rows(self) -> int:
        return 1 + len(self.garments)

    @property
    def colors(self) -> list[Colors]:
        return [self.photo.colors, *(garment.colors for garment in self.garments)]


class Reader:
    """The models of a release, applied to streams of photos.

    Args:
        release: loaded models.
        max_garments: kept a photo.
        watch: takes the seconds of every step.
        workers: cut and measure crops in parallel; None: one after the other.
    """

    def __init__(self, release: Release, max_garments: int, watch: Watch, workers: Executor | None = None) -> None:
        self.release = release
        self.max_garments = max_garments
        self.watch = watch
        self.workers = workers

    def read(self, photos: Iterable[Photo]) -> Iterator[Reading]:
        """One reading a photo, in order; a photo's reading does not depend, to the last bit, on the others."""
        for piece in _pieces(self._with_features(self._detected(photos)), self.release.batch_images):
            yield from self._answered(piece)

    def _detected(self, photos: Iterable[Photo]) -> Iterator[_Found]:
        for piece in _pieces(photos, self.release.batch_images):
            with self.watch("detect"):
                detections = self.release.detect([photo.decoded.pixels for photo in piece])
            with self.watch("crops"):
                each: Callable[..., Iterable[list[Garment]]] = self.workers.map if self.workers else map
                garments = list(
                    each(
                        lambda photo, found: garments_of(photo, found, self.release.preprocessing, self.max_garments),
                        piece,
                        detections,
                    )
                )
            yield from (_Found(photo, cut) for photo, cut in zip(piece, garments, strict=True))

    def _with_features(self, stream: Iterable[_Found]) -> Iterator[tuple[_Found, np.ndarray]]:
        """Each photo with its features. Inputs queue up until a pass is full; both queues are in the same order."""
        waiting: deque[_Found] = deque()
        inputs: deque[torch.Tensor] = deque()
        rows: deque[np.ndarray] = deque()
        for found in stream:
            waiting.append(found)
            inputs.extend([found.photo.input, *(garment.input for garment in found.garments)])
            while len(inputs) >= self.release.batch_images:
                rows.extend(self._features(inputs))
            yield from _complete(waiting, rows)
        while inputs:
            rows.extend(self._features(inputs))
        yield from _complete(waiting, rows)

    def _features(self, inputs: deque[torch.Tensor]) -> np.ndarray:
        """One pass over the oldest inputs: float32 (n, D)."""
        with self.watch("backbone"):
            count = min(self.release.batch_images, len(inputs))
            return self.release.features(torch.stack([inputs.popleft() for _ in range(count)]))

    def _answered(self, piece: Sequence[tuple[_Found, np.ndarray]]) -> Iterator[Reading]:
        features = np.concatenate([rows for _, rows in piece])
        with self.watch("heads"):
            answers = self.release.classify(features, self._extra([found for found, _ in piece]))
        with self.watch("caption"):
            # The caption speaks of what the photo is about: the main garment, row 1, where there is one.
            captions = self.release.caption(np.stack([rows[min(1, len(rows) - 1)] for _, rows in piece]))
        begin = 0
        for number, (found, rows) in enumerate(piece):
            end = begin + found.rows
            said = {head: given[begin:end] for head, given in answers.items()}
            yield Reading(found.photo, found.garments, rows, said, captions[number] if captions else None)
            begin = end

    def _extra(self, piece: list[_Found]) -> dict[str, np.ndarray]:
        return {HISTOGRAM: np.stack([colors.histogram for found in piece for colors in found.colors])}


def _complete(waiting: deque[_Found], rows: deque[np.ndarray]) -> Iterator[tuple[_Found, np.ndarray]]:
    """Take the photos off the queue whose features are all there."""
    while waiting and waiting[0].rows <= len(rows):
        found = waiting.popleft()
        yield found, np.stack([rows.popleft() for _ in range(found.rows)])


def _pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    source = iter(items)
    while piece := list(islice(source, size)):
        yield piece
