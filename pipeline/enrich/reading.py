"""Photos through the models, as a stream: detect, cut, ONE backbone pass over pictures and crops, heads, caption.

    photos --detect--> garments --crops--> backbone rows, always full passes --> heads, caption --> readings

A stream, so that memory is bounded by a few passes of pictures however large the batch is. Crops of one photo and the
next share a pass: only the last pass of a stream is padded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import torch

from models.heads import Answer
from models.release import Release
from pipeline.enrich.garments import Garment, garments_of
from pipeline.enrich.photo import Colors, Photo
from pipeline.enrich.streams import Streams
from pipeline.enrich.watch import Watch

T = TypeVar("T")

PHOTOS_A_PIECE = 8
"""Photos that are searched for garments together: few, so that several streams have work also in a small batch."""

HISTOGRAM = "color_histogram"
"""Name under which a head asks for the measured histogram beside the feature."""


@dataclass(frozen=True)
class Reading:
    """What the models say of one photo. Row 0 is the whole picture, row 1 + i is garment i.

    Args:
        photo: as it was prepared.
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
        watch: takes the seconds of every step, summed over threads.
        streams: passes that run at once, see `Streams`.
    """

    def __init__(self, release: Release, max_garments: int, watch: Watch, streams: Streams) -> None:
        self.release = release
        self.max_garments = max_garments
        self.watch = watch
        self.streams = streams

    def read(self, photos: Iterable[Photo]) -> Iterator[Reading]:
        """One reading a photo, in order; a photo's reading does not depend, to the last bit, on the others."""
        found = chain.from_iterable(self.streams.map(self._detected, _pieces(photos, PHOTOS_A_PIECE)))
        pieces = _pieces(self._with_features(found), self.release.batch_images)
        return chain.from_iterable(self.streams.map(self._answered, pieces))

    def _detected(self, piece: Sequence[Photo]) -> list[_Found]:
        with self.watch("detect"):
            detections = self.release.detect([photo.decoded.pixels for photo in piece])
        with self.watch("crops"):
            return [
                _Found(photo, garments_of(photo, found, self.release.preprocessing, self.max_garments))
                for photo, found in zip(piece, detections, strict=True)
            ]

    def _with_features(self, stream: Iterable[_Found]) -> Iterator[tuple[_Found, np.ndarray]]:
        """Each photo with its features. Inputs queue up until a pass is full; both queues are in the same order."""
        waiting: deque[_Found] = deque()
        rows: deque[np.ndarray] = deque()

        def inputs() -> Iterator[torch.Tensor]:
            for found in stream:
                waiting.append(found)
                yield found.photo.input
                yield from (garment.input for garment in found.garments)

        for made in self.streams.map(self._features, _pieces(inputs(), self.release.batch_images)):
            rows.extend(made)
            while waiting and waiting[0].rows <= len(rows):
                found = waiting.popleft()
                yield found, np.stack([rows.popleft() for _ in range(found.rows)])

    def _features(self, inputs: Sequence[torch.Tensor]) -> np.ndarray:
        """One pass: float32 (n, D)."""
        with self.watch("backbone"):
            return self.release.features(torch.stack(list(inputs)))

    def _answered(self, piece: Sequence[tuple[_Found, np.ndarray]]) -> list[Reading]:
        features = np.concatenate([rows for _, rows in piece])
        histograms = np.stack([colors.histogram for found, _ in piece for colors in found.colors])
        with self.watch("heads"):
            answers = self.release.classify(features, {HISTOGRAM: histograms})
        with self.watch("caption"):
            # The caption speaks of what the photo is about: the main garment, row 1, where there is one.
            main = [min(1, len(rows) - 1) for _, rows in piece]
            measured = np.stack([found.colors[row].histogram for (found, _), row in zip(piece, main, strict=True)])
            shown = np.stack([rows[row] for (_, rows), row in zip(piece, main, strict=True)])
            captions = self.release.caption(shown, {HISTOGRAM: measured})
        readings, begin = [], 0
        for number, (found, rows) in enumerate(piece):
            said = {head: given[begin : begin + found.rows] for head, given in answers.items()}
            begin += found.rows
            caption = captions[number] if captions else None
            readings.append(Reading(found.photo, found.garments, rows, said, caption))
        return readings


def _pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    source = iter(items)
    while piece := list(islice(source, size)):
        yield piece
