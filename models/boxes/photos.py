"""The photos that boxes belong to: their upright sizes, their pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from models.boxes.annotations import BoxedImage, BoxProblem, BoxSet, box_fault, clipped
from models.errors import DataError

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 are turned by 90 degrees
Image.MAX_IMAGE_PIXELS = None  # photos for training are our own files, not a stranger's


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of the upright photo, from its header alone.

    Raises:
        DataError: no such file, or no image.
    """
    try:
        with Image.open(path) as photo:
            width, height = photo.size
            turned = photo.getexif().get(ORIENTATION, 1) >= 5
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} can't be read as a photo: {error}") from None
    return (height, width) if turned else (width, height)


def read_photo(path: Path, max_side: int = 0) -> np.ndarray:
    """Pixels of the upright photo.

    Args:
        max_side: the longer side is reduced to it (0: as it is).

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: no such file, or no image.
    """
    try:
        with Image.open(path) as photo:
            if max_side:
                photo.draft("RGB", (max_side, max_side))  # JPEG: decode at a reduced scale
            upright = ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} can't be read as a photo: {error}") from None
    longer = max(upright.size)
    if max_side and longer > max_side:
        width, height = (max(1, round(side * max_side / longer)) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(upright)


def checked_against(found: BoxSet, photos: Path, file: str) -> BoxSet:
    """The same boxes with the true sizes of the photos; missing photos and boxes that reach out of one are left out.

    Args:
        photos: folder that the names of the images start from.
        file: named in the problems.
    """
    images: list[BoxedImage] = []
    problems = list(found.problems)
    for image in found.images:
        try:
            width, height = photo_size(photos / image.image)
        except DataError as error:
            problems.append(BoxProblem(file, 0, str(error)))
            continue
        faults = [box_fault(box, width, height) for box in image.boxes.tolist()]
        problems += [BoxProblem(file, 0, f"{image.image}: {fault}") for fault in faults if fault]
        keep = [i for i, fault in enumerate(faults) if fault is None]
        boxes = [clipped(image.boxes[i].tolist(), width, height) for i in keep]
        images.append(
            replace(
                image,
                boxes=np.array(boxes, np.float32).reshape(-1, 4),
                labels=tuple(image.labels[i] for i in keep),
                width=width,
                height=height,
            )
        )
    return BoxSet(tuple(images), tuple(problems))
