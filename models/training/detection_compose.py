"""Training pictures composed of cut-out garments on scenes: loose ones side by side, and outfits as a person wears.

Cut-outs are PNG files with an alpha channel in folders named by garment group (`cutouts/footwear/17.png`), or in
folders in those, as the photos lay that they were cut from (`cutouts/footwear/a/front.png`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.boxes.photos import read_photo
from models.errors import DataError
from models.training.detection_augment import Picture

HIDDEN_IOU = 0.6
"""A garment of whose box later ones cover more than this is not counted as visible."""
SKIN = ((236, 198, 174), (212, 164, 134), (170, 118, 88), (112, 74, 54), (74, 48, 38))

# Where garments sit on a standing figure: center x, top, width, height as shares of its height (a figure is 0.4 wide)
WORN = {
    "upper-body": (0.0, 0.15, 0.34, 0.34),
    "lower-body": (0.0, 0.44, 0.26, 0.46),
    "full-body": (0.0, 0.16, 0.32, 0.56),
    "headwear": (0.0, 0.0, 0.13, 0.08),
    "bag": (0.16, 0.45, 0.15, 0.17),
}
SHOES = (0.055, 0.92, 0.075, 0.075)
SHORT_LOWER = 0.25
"""Height of shorts and skirts; trousers take WORN's."""


@dataclass(frozen=True)
class CutOuts:
    """Cut-out garments by class, and scenes to put them on.

    Args:
        files: paths of RGBA PNG files for each class of the detector; a class may have none.
        scenes: photos without garments; none: plain grounds only.
    """

    files: tuple[tuple[Path, ...], ...]
    scenes: tuple[Path, ...] = ()

    @property
    def count(self) -> int:
        """Cut-outs of all classes."""
        return sum(map(len, self.files))


def find_cutouts(
    folder: Path, groups: Sequence[str], scenes: Path | None = None, without: Collection[Path] = ()
) -> CutOuts:
    """Cut-outs of a folder.

    Args:
        without: paths of photos whose cut-outs must not be used: those held out.

    Raises:
        DataError: there is none in it, or no scene where a folder of scenes is named.
    """
    unseen = {end for path in without for end in _ends(path)}
    found = CutOuts(
        tuple(
            tuple(
                sorted(
                    p for p in (folder / g).rglob("*.png") if p.relative_to(folder / g).with_suffix("") not in unseen
                )
            )
            for g in groups
        ),
        tuple(sorted(p for p in scenes.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})) if scenes else (),
    )
    if not found.count:
        raise DataError(f"there are no cut-outs {folder}/<group>/*.png; `atelier detect cutouts` makes them")
    if scenes and not found.scenes:
        raise DataError(f"there are no scenes (.jpg or .png) in {scenes}")
    return found


def _ends(path: Path) -> list[Path]:
    """`front`, `a/front`, `photos/a/front` of photos/a/front.jpg: what its cut-out can be called."""
    parts = path.with_suffix("").parts
    return [Path(*parts[at:]) for at in range(len(parts))]


class Composer:
    """Composes pictures of `side` pixels from cut-outs."""

    def __init__(self, cutouts: CutOuts, groups: Sequence[str], side: int = 384) -> None:
        self.cutouts = cutouts
        self.groups = tuple(groups)
        self.side = side
        self._filled = [i for i, files in enumerate(cutouts.files) if files]

    def draw(self, rng: np.random.Generator) -> Picture:
        """A new picture: an outfit where there are garments for one, else loose garments."""
        wearable = {self.groups[i] for i in self._filled} >= {"upper-body", "lower-body"}
        return self._outfit(rng) if wearable and rng.random() < 0.6 else self._loose(rng)

    def _loose(self, rng: np.random.Generator) -> Picture:
        """One to four garments anywhere."""
        height, width = self.side, int(self.side * rng.uniform(0.7, 1.2))
        canvas = _Canvas(self._scene(rng, width, height))
        count = int(rng.integers(1, 5))
        for _ in range(count):
            group = int(rng.choice(self._filled))
            side = self.side * rng.uniform(0.25, 0.95) / count**0.5
            garment = _fitted(self._cutout(rng, group), side, side)
            garment = _turned(garment, rng.normal(0, 12))
            x = rng.uniform(0, max(1, width - garment.shape[1]))
            y = rng.uniform(0, max(1, height - garment.shape[0]))
            canvas.paste(garment, x, y, group)
        return canvas.picture()

    def _outfit(self, rng: np.random.Generator) -> Picture:
        """A crude standing figure in garments, as large as on a street photo."""
        height, width = self.side, int(self.side * rng.uniform(0.6, 0.9))
        canvas = _Canvas(self._scene(rng, width, height))
        tall = height * rng.uniform(0.75, 0.98)
        left, top = width * rng.uniform(0.35, 0.65), rng.uniform(0, height - tall)
        _figure(canvas.pixels, left, top, tall, np.array(SKIN[int(rng.integers(len(SKIN)))]))
        for group in self._worn(rng):
            if group == "footwear":
                self._shoes(rng, canvas, (left, top, tall))
                continue
            x, y, wide, high = WORN[group]
            if group == "lower-body" and rng.random() < 0.35:
                high = SHORT_LOWER
            stretch = rng.normal(1, 0.1, 2)
            piece = self._cutout(rng, self.groups.index(group))
            garment = _fitted(piece, wide * tall * stretch[0], high * tall * stretch[1], 1.6)
            garment = _turned(garment, rng.normal(0, 3))
            side = rng.choice([-1, 1])
            canvas.paste(
                garment, left + side * x * tall - garment.shape[1] / 2, top + y * tall, self.groups.index(group)
            )
        return canvas.picture()

    def _worn(self, rng: np.random.Generator) -> list[str]:
        """Groups of an outfit in the order they are put on."""
        there = {self.groups[i] for i in self._filled}
        body = ["full-body"] if "full-body" in there and rng.random() < 0.3 else ["lower-body", "upper-body"]
        extras = [("footwear", 0.9), ("headwear", 0.3), ("bag", 0.4)]
        chosen = [group for group, share in extras if group in there and rng.random() < share]
        return ["footwear"] * ("footwear" in chosen) + body + [group for group in chosen if group != "footwear"]

    def _shoes(self, rng: np.random.Generator, canvas: _Canvas, frame: tuple[float, float, float]) -> None:
        left, top, tall = frame
        x, y, wide, high = SHOES
        group = self.groups.index("footwear")
        piece = self._cutout(rng, group)
        for side in (-1, 1):
            shoe = _fitted(
                piece[:, ::side], wide * tall * rng.uniform(0.7, 1.4), high * tall * rng.uniform(0.7, 1.2), 1.6
            )
            canvas.paste(shoe, left + side * x * tall - shoe.shape[1] / 2, top + y * tall, group)

    def _cutout(self, rng: np.random.Generator, group: int) -> np.ndarray:
        """A random garment, uint8 (h, w, 4)."""
        files = self.cutouts.files[group]
        path = files[int(rng.integers(len(files)))]
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
            raise DataError(f"the cut-out {path} is not a PNG with an alpha channel")
        return np.ascontiguousarray(pixels[..., [2, 1, 0, 3]])

    def _scene(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """uint8 (height, width, 3): a piece of a scene, or a plain ground with a soft change of light."""
        if self.cutouts.scenes and rng.random() < 0.75:
            scene = read_photo(self.cutouts.scenes[int(rng.integers(len(self.cutouts.scenes)))], 2 * self.side)
            high, wide = scene.shape[:2]
            share = rng.uniform(0.5, 1.0) * min(wide / width, high / height)
            across, down = max(1, int(width * share)), max(1, int(height * share))
            x, y = int(rng.integers(wide - across + 1)), int(rng.integers(high - down + 1))
            return cv2.resize(scene[y : y + down, x : x + across], (width, height), interpolation=cv2.INTER_AREA)
        light = cv2.resize(
            rng.uniform(0.8, 1.1, (3, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        color = rng.uniform(200, 255, 3) if rng.random() < 0.5 else rng.uniform(20, 235, 3)
        noise = rng.normal(0, rng.uniform(0, 6), (height, width, 1))
        return np.clip(light[..., None] * color + noise, 0, 255).astype(np.uint8)


class _Canvas:
    """A picture in the making: later garments cover earlier ones."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self._boxes: list[tuple[float, float, float, float]] = []
        self._classes: list[int] = []

    def paste(self, garment: np.ndarray, x: float, y: float, group: int) -> None:
        """Put a garment, uint8 (h, w, 4), with its left top corner at x, y."""
        height, width = self.pixels.shape[:2]
        left, top = round(x), round(y)
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + garment.shape[1], width), min(top + garment.shape[0], height)
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
        piece = garment[y1 - top : y2 - top, x1 - left : x2 - left]
        alpha = piece[..., 3:].astype(np.float32) / 255
        ground = self.pixels[y1:y2, x1:x2]
        self.pixels[y1:y2, x1:x2] = (piece[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)
        rows, columns = (np.flatnonzero((alpha[..., 0] > 0.5).any(axis=axis)) for axis in (1, 0))
        if len(rows) and len(columns):
            self._boxes.append((x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1))
            self._classes.append(group)

    def picture(self) -> Picture:
        """The picture with the boxes of garments that later ones do not hide."""
        boxes = np.array(self._boxes, np.float32).reshape(-1, 4)
        keep = [i for i in range(len(boxes)) if not any(_hides(over, boxes[i]) for over in boxes[i + 1 :])]
        return Picture(self.pixels, boxes[keep], np.array(self._classes, np.int64)[keep])


def _hides(over: np.ndarray, under: np.ndarray) -> bool:
    sides = np.minimum(over[2:], under[2:]) - np.maximum(over[:2], under[:2])
    return bool(np.prod(np.maximum(sides, 0)) > HIDDEN_IOU * np.prod(under[2:] - under[:2]))


def _fitted(garment: np.ndarray, wide: float, high: float, stretch: float = 1.0) -> np.ndarray:
    """The garment at a size inside wide x high; its shape may change by the factor `stretch` to fill it."""
    height, width = garment.shape[:2]
    across, down = wide / width, high / height
    least = min(across, down)
    across, down = min(across, least * stretch), min(down, least * stretch)
    size = (max(2, round(width * across)), max(2, round(height * down)))
    return cv2.resize(garment, size, interpolation=cv2.INTER_AREA if across < 1 else cv2.INTER_LINEAR)


def _turned(garment: np.ndarray, degrees: float) -> np.ndarray:
    """The garment turned about its center, in a larger picture where needed."""
    height, width = garment.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    wide = int(height * abs(matrix[0, 1]) + width * abs(matrix[0, 0])) + 1
    high = int(height * abs(matrix[0, 0]) + width * abs(matrix[0, 1])) + 1
    matrix[:, 2] += (wide - width) / 2, (high - height) / 2
    return cv2.warpAffine(garment, matrix, (wide, high), flags=cv2.INTER_LINEAR)


def _figure(pixels: np.ndarray, left: float, top: float, tall: float, skin: np.ndarray) -> None:
    """Head, neck, arms and legs as plain shapes: no person, but skin where a person's skin would be."""
    color = [int(value) for value in skin]

    def at(x: float, y: float) -> tuple[int, int]:
        return round(left + x * tall), round(top + y * tall)

    cv2.ellipse(pixels, at(0, 0.075), (round(0.045 * tall), round(0.065 * tall)), 0, 0, 360, color, -1, cv2.LINE_AA)
    cv2.line(pixels, at(0, 0.1), at(0, 0.2), color, max(1, round(0.05 * tall)), cv2.LINE_AA)
    for side in (-1, 1):
        cv2.line(pixels, at(side * 0.11, 0.2), at(side * 0.15, 0.5), color, max(1, round(0.035 * tall)), cv2.LINE_AA)
        cv2.line(pixels, at(side * 0.05, 0.45), at(side * 0.055, 0.96), color, max(1, round(0.05 * tall)), cv2.LINE_AA)
