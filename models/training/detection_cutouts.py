"""Boxes and cut-outs for photos that show one kind of garment and say which, without anybody drawing them.

A salient-object network (U2-Net's small form, as ONNX) finds what the photo is about; only clear cases are kept.
It helps to prepare training data and is no part of a release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from models.boxes.annotations import BoxedImage
from models.boxes.photos import read_photo
from models.errors import DataError

SIDE = 320  # input of the network, pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_DOUBT = 0.12
"""Largest share of half-salient pixels, relative to the salient ones."""
MIN_AREA, MAX_AREA = 0.04, 0.92
PART = 0.25
"""Parts smaller than this share of the largest are litter; with footwear, larger ones are a shoe each."""


class Saliency:
    """A salient-object network: pixels in, a mask out.

    Raises:
        DataError: the file is no ONNX network.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise DataError(f"{path} can't be read as an ONNX network: {error.err}") from None
        self._output = self._network.getUnconnectedOutLayersNames()[0]

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        """How salient each pixel is: uint8 (H, W, 3) in, uint8 (H, W) out, 255 most."""
        small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        ready = (small / max(float(small.max()), 1.0) - MEAN) / STD
        self._network.setInput(np.ascontiguousarray(ready.transpose(2, 0, 1)[None], np.float32))
        made = self._network.forward(self._output)[0, 0]
        spread = (made - made.min()) / max(float(made.max() - made.min()), 1e-6)
        return cv2.resize((spread * 255).astype(np.uint8), pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Labelled:
    """A photo of one kind of garment.

    Args:
        file: relative to the folder of the photos.
        group: of its garment.
        owner: for splits.
    """

    file: str
    group: str
    owner: str = ""


@dataclass(frozen=True)
class Cut:
    """What was found in a photo: boxes, and whether its outline is clean enough for a cut-out."""

    boxes: np.ndarray
    clean: bool


def find_boxes(mask: np.ndarray, group: str) -> Cut | None:
    """Boxes of the garment (of each shoe, with footwear) in a mask uint8 (H, W); None: not a clear case."""
    height, width = mask.shape
    salient = mask >= 128
    area = salient.mean()
    doubt = ((mask > 50) & (mask < 205)).mean() / max(area, 1e-6)
    if not MIN_AREA <= area <= MAX_AREA or doubt > MAX_DOUBT:
        return None
    _, _, stats, _ = cv2.connectedComponentsWithStats(salient.astype(np.uint8))
    parts = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= PART * stats[1:, cv2.CC_STAT_AREA].max()]
    if len(parts) > (2 if group == "footwear" else 1):
        return None
    boxes = [[x, y, x + w, y + h] for x, y, w, h, _ in sorted(parts.tolist())]
    found = np.array(boxes, np.float32)
    inside = (found[:, :2] > 1).all() and (found[:, 2:] < (width - 1, height - 1)).all()
    return Cut(found, bool(inside) and doubt < MAX_DOUBT / 2)


def cut_out(
    photos: Path, labelled: Iterable[Labelled], saliency: Saliency, folder: Path, masks: Path | None = None
) -> Iterator[BoxedImage | None]:
    """Find the garment of each photo; clean ones become `folder/<group>/<file>.png` with an alpha channel.

    Cut-outs and masks lie in folders as the photos do: `a/front.jpg` and `b/front.jpg` are two photos.

    Args:
        photos: folder the files start from.
        masks: folder to keep masks in (`a/front.jpg.png`), so that a second run is quick; None: not kept.

    Yields:
        One item a photo: its boxes, or None where it is not a clear case.
    """
    for item in labelled:
        pixels = read_photo(photos / item.file)
        place = inside(item.file)
        mask = _kept_mask(pixels, saliency, masks / f"{place}.png" if masks else None)
        cut = find_boxes(mask, item.group)
        if cut is None:
            yield None
            continue
        if cut.clean:
            _write(pixels, mask, cut.boxes, folder / item.group / place.with_suffix(".png"))
        labels = (item.group,) * len(cut.boxes)
        yield BoxedImage(item.file, cut.boxes, labels, pixels.shape[1], pixels.shape[0], item.owner)


def inside(file: str) -> PurePosixPath:
    """The file's path without what would lead out of a folder it is put into: a root, `..`."""
    return PurePosixPath(*(part for part in PurePosixPath(file).parts if part not in {"/", "..", "."}))


def _kept_mask(pixels: np.ndarray, saliency: Saliency, path: Path | None) -> np.ndarray:
    kept = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path and path.is_file() else None
    if kept is not None:
        return cv2.resize(kept, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    mask = saliency.mask(pixels)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)
    return mask


def _write(pixels: np.ndarray, mask: np.ndarray, boxes: np.ndarray, path: Path) -> None:
    """The first box's part of the photo, with the mask as alpha, its soft rim drawn in by a pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x1, y1, x2, y2 = (int(value) for value in boxes[0])
    alpha = cv2.erode(mask, np.ones((3, 3), np.uint8))
    whole = np.dstack([pixels[..., ::-1], np.where(alpha > 100, alpha, 0)])
    cv2.imwrite(str(path), whole[y1:y2, x1:x2])


def read_labelled(
    path: Path, words: Mapping[str, str], columns: tuple[str, str, str] = ("file", "type", "sender_id")
) -> list[Labelled]:
    """Photos with a type from a CSV file; those whose type belongs to no group are left out.

    Args:
        words: type in lower case to group.
        columns: names of the columns with the file, the type and (it may be absent) the owner.

    Raises:
        DataError: no such file, or a column is missing.
    """
    import csv

    file, kind, owner = columns
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if missing := [name for name in (file, kind) if name not in (rows.fieldnames or [])]:
                raise DataError(f"{path} lacks the columns {missing}")
            found = [(row[file], words.get((row[kind] or "").strip().lower()), row.get(owner) or "") for row in rows]
    except OSError as error:
        raise DataError(f"there is no file of labels {path}: {error.strerror}") from None
    return [Labelled(name, group, who) for name, group, who in found if name and group]
