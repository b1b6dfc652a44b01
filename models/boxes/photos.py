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


def _rgb_on_white(photo: Image.Image) -> Image.Image:
    """8-bit RGB; transparent pixels lie on white and 16 bits are reduced, as the pipeline's photos are."""
    if photo.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        photo = Image.fromarray((np.asarray(photo) >> 8).astype(np.uint8))
    if photo.has_transparency_data:
        over = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return photo.convert("RGB")


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
            upright = _rgb_on_white(ImageOps.exif_transpose(photo))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} can't be read as a photo: {error}") from None
    longer = max(upright.size)
    if max_side and longer > max_side:
        width, height = (max(1, round(side * max_side / longer)) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(upright)


def _another_size(image: BoxedImage, width: int, height: int) -> str | None:
    """What to say where the source gives another size than the photo's `width` x `height`; a pixel is rounding."""
    if not (image.width and image.height) or max(abs(image.width - width), abs(image.height - height)) <= 1:
        return None
    return (
        f"its boxes are for a photo of {image.width} x {image.height} pixels, but upright it has {width} x {height}; "
        "all are left out"
    )


def checked_against(found: BoxSet, photos: Path, file: str) -> BoxSet:
    """The same boxes with the true sizes of the photos; missing photos and boxes that reach out of one are left out.

    So are the boxes of a photo whose source gives another size than the upright photo has: they were drawn on a reduced
    or turned copy and would lie elsewhere here.

    Args:
        photos: folder that the names of the images start from.
        file: named in the problems of photos whose source is not known.
    """
    images: list[BoxedImage] = []
    problems = list(found.problems)
    for image in found.images:
        try:
            width, height = photo_size(photos / image.image)
        except DataError as error:
            problems.append(BoxProblem(image.source or file, image.line(0), str(error)))
            continue
        if other := image.labels and _another_size(image, width, height):
            problems.append(BoxProblem(image.source or file, image.line(0), f"{image.image}: {other}"))
            continue
        faults = [box_fault(box, width, height) for box in image.boxes.tolist()]
        problems += [
            BoxProblem(image.source or file, image.line(i), f"{image.image}: {fault}")
            for i, fault in enumerate(faults)
            if fault
        ]
        keep = [i for i, fault in enumerate(faults) if fault is None]
        boxes = np.array([clipped(image.boxes[i].tolist(), width, height) for i in keep], np.float32)
        kept = image.with_boxes(keep, boxes, [image.labels[i] for i in keep])
        images.append(replace(kept, width=width, height=height))
    return BoxSet(tuple(images), tuple(problems))
