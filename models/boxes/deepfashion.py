"""DeepFashion landmark lists (`list_landmarks*.txt`): boxes around the landmarks of each garment.

24823
image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1 ...
img/00000001.jpg  1  1  0 146 102  0 173 095  ...

clothes_type: 1 upper-body, 2 lower-body, 3 full-body. Visibility: 0 visible, 1 hidden, 2 cut off or not there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.boxes.annotations import BoxCollector, BoxSet
from models.errors import DataError

CLOTHES_TYPES = {"1": "upper-body", "2": "lower-body", "3": "full-body"}
NOT_THERE = "2"
MARGIN = 0.05
"""Share of the box's sides added around the landmarks, which lie on seams and not on the outline."""


def read_deepfashion(path: Path, size_of: Callable[[str], tuple[int, int]] = lambda name: (0, 0)) -> BoxSet:
    """Read a landmark list.

    Args:
        path: the list.
        size_of: width and height in pixels of a photo by its name, (0, 0) where unknown; boxes are cut there.

    Raises:
        DataError: no such file, or its second line is not the header of a landmark list.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"there is no landmark list {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a DeepFashion landmark list: {error}") from None
    columns = lines[1].split() if len(lines) > 1 else []
    if "image_name" not in columns or "clothes_type" not in columns or "landmark_visibility_1" not in columns:
        raise DataError(f"{path} is not a DeepFashion landmark list: line 2 must name image_name, clothes_type, ...")
    found = BoxCollector(str(path))
    for number, line in enumerate(lines[2:], start=3):
        if line.strip():
            _add(line.split(), number, columns, found, size_of)
    return found.result()


def _add(
    fields: list[str],
    line: int,
    columns: list[str],
    found: BoxCollector,
    size_of: Callable[[str], tuple[int, int]],
) -> None:
    first = columns.index("landmark_visibility_1")
    if len(fields) < first:
        found.fault(line, f"a row needs {first} columns and landmarks, not {len(fields)} columns")
        return
    image, kind = fields[columns.index("image_name")], fields[columns.index("clothes_type")]
    if kind not in CLOTHES_TYPES:
        found.fault(line, f"{image}: clothes_type is 1, 2 or 3, not {kind}")
        return
    width, height = size_of(image)
    found.photo(image, width, height)
    numbers = fields[first:]
    try:
        marks = [
            (float(x), float(y))
            for shown, x, y in zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
            if shown != NOT_THERE
        ]
    except ValueError:
        found.fault(line, f"{image}: landmarks come in threes: visibility, x, y")
        return
    if len(marks) < 2:
        found.fault(line, f"{image}: fewer than two landmarks to draw a box around")
        return
    found.box(image, CLOTHES_TYPES[kind], _around(marks, width, height), line)


def _around(marks: list[tuple[float, float]], width: int, height: int) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in marks], [y for _, y in marks]
    across, down = MARGIN * (max(xs) - min(xs)), MARGIN * (max(ys) - min(ys))
    x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    # the margin is ours, so it is cut at the edge; a landmark outside of the photo stays an error
    right = max(x2, min(x2 + across, width)) if width else x2 + across
    bottom = max(y2, min(y2 + down, height)) if height else y2 + down
    return min(x1, max(x1 - across, 0.0)), min(y1, max(y1 - down, 0.0)), right, bottom
