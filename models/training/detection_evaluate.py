"""Running a detector over photos with boxes, and pictures of what it finds."""

from __future__ import annotations

import colorsys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.detections import Detections
from models.detector import Judgement, LoadedDetector
from models.training.detection_data import Photo, PhotoReader
from models.training.detection_metrics import Truth

READ_SIDE = 640
"""Photos are judged at this longer side at the most; the detector's own input is smaller."""
FLOOR = 0.02
"""Threshold while judging: average precision needs the unlikely detections too."""


@dataclass(frozen=True)
class Outcome:
    """Detections and truths of the same photos, in pixels of the photos; seconds spent in the detector."""

    found: list[Detections]
    truths: list[Truth]
    seconds: float


def without_threshold(detector: LoadedDetector) -> LoadedDetector:
    """The same detector that says nearly everything it suspects, for judging."""
    judgement = Judgement(
        detector.judgement.groups,
        dict.fromkeys(detector.judgement.groups, FLOOR),
        detector.judgement.nms_iou,
        max_garments=100,
    )
    return LoadedDetector(
        detector.network, detector.preprocessing, judgement, detector.placement, detector.batch_images
    )


def run_over(
    detector: LoadedDetector, photos: Sequence[Photo], advance: Callable[[int], None] = lambda count: None
) -> Outcome:
    """Detect on every photo."""
    reader = PhotoReader(READ_SIDE, cache_mib=0)
    found: list[Detections] = []
    truths: list[Truth] = []
    seconds = 0.0
    for batch in _batches(photos, detector.batch_images):
        pictures = [reader.read(photo)[0] for photo in batch]
        started = time.perf_counter()
        made = detector.detect(pictures)
        seconds += time.perf_counter() - started
        for one, photo, picture in zip(made, batch, pictures, strict=True):
            scale = np.array([photo.width / picture.shape[1], photo.height / picture.shape[0]] * 2, np.float32)
            found.append(Detections(one.boxes * scale, one.scores, one.groups))
            truths.append(Truth(photo.boxes, photo.classes))
        advance(len(batch))
    return Outcome(found, truths, seconds)


def _batches(photos: Sequence[Photo], size: int) -> Iterator[Sequence[Photo]]:
    for begin in range(0, len(photos), size):
        yield photos[begin : begin + size]


def drawn(pixels: np.ndarray, found: Detections, groups: Sequence[str]) -> np.ndarray:
    """A copy of the picture, uint8 (H, W, 3), with boxes, groups and scores; a color a group."""
    made = np.ascontiguousarray(pixels).copy()
    thick = max(1, round(max(made.shape[:2]) / 300))
    letter = max(0.35, max(made.shape[:2]) / 1100)
    for box, score, group in zip(found.boxes, found.scores, found.groups, strict=True):
        hue = list(groups).index(group) / len(groups)
        color = [int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.9)]
        x1, y1, x2, y2 = (int(value) for value in box.round())
        cv2.rectangle(made, (x1, y1), (x2, y2), color, thick)
        text = f"{group} {score:.2f}"
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, letter, thick)
        top = max(y1, high + 4)
        cv2.rectangle(made, (x1, top - high - 4), (x1 + wide + 2, top), color, -1)
        cv2.putText(
            made, text, (x1 + 1, top - 3), cv2.FONT_HERSHEY_SIMPLEX, letter, (255, 255, 255), thick, cv2.LINE_AA
        )
    return made


def contact_sheet(
    pictures: Sequence[np.ndarray],
    found: Sequence[Detections],
    groups: Sequence[str],
    side: int = 220,
    columns: int = 7,
) -> np.ndarray:
    """Pictures with what was found in them, side by side, uint8 (rows * side, columns * side, 3)."""
    rows = max(1, -(-len(pictures) // columns))
    sheet = np.full((rows * side, columns * side, 3), 90, np.uint8)
    for number, (picture, one) in enumerate(zip(pictures, found, strict=True)):
        factor = side / max(picture.shape[:2])
        size = (max(1, int(picture.shape[1] * factor)), max(1, int(picture.shape[0] * factor)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        # drawn at the final size: words drawn before would be too small to read
        small = drawn(small, Detections(one.boxes * np.float32(factor), one.scores, one.groups), groups)
        y, x = side * (number // columns), side * (number % columns)
        sheet[y : y + size[1], x : x + size[0]] = small
    return sheet
