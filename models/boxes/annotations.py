"""Boxes of garments as every reader gives them, and the check that each box passes before anybody trains on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

EDGE_TOLERANCE = 1.0
"""Pixels a box may reach over the photo's edge (rounding of tools); it is cut there. More is an error."""
MIN_SIDE = 1.0
"""Pixels; thinner boxes are empty."""


@dataclass(frozen=True)
class BoxProblem:
    """A box that was left out: `line` counts from 1 (rows of a Parquet file too; 0: the file as a whole)."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class BoxedImage:
    """A photo and its garments.

    Args:
        image: file name, relative to the folder of the photos.
        boxes: float32 (n, 4): x1, y1, x2, y2 in pixels of the upright photo, half-open; n may be 0.
        labels: n words of the source (`blouse`) or garment groups.
        width: of the photo in pixels; 0 where the source does not say.
        height: likewise.
        owner: photos with the same one (a product, a person) look alike and stay together in a split; may be empty.
        source: file that the boxes come from; may be empty.
        lines: of the boxes in it, n or none at all; 0 where unknown.
    """

    image: str
    boxes: np.ndarray
    labels: tuple[str, ...]
    width: int = 0
    height: int = 0
    owner: str = ""
    source: str = ""
    lines: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4):
            raise ValueError(f"{self.image}: {len(self.labels)} labels need boxes (n, 4), not {self.boxes.shape}")

    def line(self, box: int) -> int:
        """Line of a box in the source; 0 where unknown."""
        return self.lines[box] if box < len(self.lines) else 0

    def with_boxes(self, kept: Sequence[int], boxes: np.ndarray, labels: Sequence[str]) -> BoxedImage:
        """The same photo with some of its boxes, at positions `kept`, as `boxes` (n, 4) with `labels`."""
        lines = tuple(self.line(box) for box in kept)
        return replace(self, boxes=boxes.reshape(-1, 4), labels=tuple(labels), lines=lines)


@dataclass(frozen=True)
class BoxSet:
    """What a reader found: photos in the order of the source, and the boxes it left out."""

    images: tuple[BoxedImage, ...]
    problems: tuple[BoxProblem, ...] = ()


def box_fault(box: Sequence[float], width: float = 0, height: float = 0) -> str | None:
    """What is wrong with x1, y1, x2, y2 in a photo of `width` x `height` (0: unknown); None: nothing."""
    x1, y1, x2, y2 = box
    if not all(math.isfinite(value) for value in box):
        return f"a corner is not a number: {x1} {y1} {x2} {y2}"
    if x1 > x2 or y1 > y2:
        return f"corners are swapped: {x1} {y1} {x2} {y2}"
    if x2 - x1 < MIN_SIDE or y2 - y1 < MIN_SIDE:
        return f"the box is empty: {x1} {y1} {x2} {y2}"
    right, bottom = width or math.inf, height or math.inf
    if min(x1, y1) < -EDGE_TOLERANCE or x2 > right + EDGE_TOLERANCE or y2 > bottom + EDGE_TOLERANCE:
        size = f" of {width:g} x {height:g} pixels" if width and height else ""
        return f"the box reaches out of the photo{size}: {x1} {y1} {x2} {y2}"
    return None


def clipped(box: Sequence[float], width: float = 0, height: float = 0) -> tuple[float, float, float, float]:
    """The box without what reaches over the edge of a photo (0: that edge is unknown)."""
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, width or math.inf), min(y2, height or math.inf)


@dataclass
class BoxCollector:
    """Collects boxes photo by photo while a reader walks its file; bad ones become problems.

    Args:
        file: named in the problems.
    """

    file: str
    problems: list[BoxProblem] = field(default_factory=list)
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _found: dict[str, list[tuple[tuple[float, float, float, float], str, int]]] = field(default_factory=dict)

    def photo(self, image: str, width: int = 0, height: int = 0, owner: str = "") -> None:
        """Note a photo, also one without any garment."""
        self._found.setdefault(image, [])
        if owner:
            self._owners[image] = owner
        if width and height:
            self._sizes[image] = (width, height)

    def box(self, image: str, label: str, box: Sequence[float], line: int) -> None:
        """Note one box of a photo, if it is good."""
        self.photo(image)
        width, height = self._sizes.get(image, (0, 0))
        fault = "the label is empty" if not label else box_fault(box, width, height)
        if fault:
            self.fault(line, f"{image}: {fault}")
        else:
            self._found[image].append((clipped(box, width, height), label, line))

    def fault(self, line: int, message: str) -> None:
        """Note something that had to be left out."""
        self.problems.append(BoxProblem(self.file, line, message))

    def result(self) -> BoxSet:
        """Everything collected."""
        return BoxSet(tuple(self._images()), tuple(self.problems))

    def _images(self) -> Iterable[BoxedImage]:
        for image, found in self._found.items():
            boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
            labels = tuple(label for _, label, _ in found)
            width, height = self._sizes.get(image, (0, 0))
            lines = tuple(line for _, _, line in found)
            yield BoxedImage(image, boxes, labels, width, height, self._owners.get(image, ""), self.file, lines)
