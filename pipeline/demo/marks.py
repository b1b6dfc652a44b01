"""The invented brands' marks: a drawn sign and lettering, as RGBA pictures that are printed on garments."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 192


def mark(brand: str, rgb: tuple[float, float, float], lettering: bool) -> np.ndarray:
    """The brand's sign, with its name beneath where `lettering`; uint8 (h, w, 4) in one ink color."""
    cover = _sign(brand)
    if lettering:
        cover = _with_name(brand)
    ink = np.empty((*cover.shape, 4), np.uint8)
    ink[..., :3] = np.round(rgb)
    ink[..., 3] = cover
    return ink


def label(brand: str) -> np.ndarray:
    """A sewn neck label: name in black on white; uint8 (h, w, 4)."""
    name = _name(brand)
    cover = np.zeros((name.shape[0] + 30, name.shape[1] + 40), np.uint8)
    cover[15 : 15 + name.shape[0], 20 : 20 + name.shape[1]] = name
    picture = np.full((*cover.shape, 4), 255, np.uint8)
    picture[..., :3] = (244 - cover[..., None] * (210 / 255)).astype(np.uint8)
    return picture


@lru_cache(maxsize=32)
def _sign(brand: str) -> np.ndarray:
    """Cover of the drawn sign, uint8 (SIDE, SIDE)."""
    big = np.zeros((SIDE * 2, SIDE * 2), np.uint8)
    _SIGNS[brand](big)
    return cv2.resize(big, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=32)
def _name(brand: str) -> np.ndarray:
    """Cover of the brand's lettering, uint8; each brand has its own weight, slant and spacing."""
    style = sum(map(ord, brand))
    text = brand.upper() if style % 3 else brand.lower()
    text = (" " if style % 4 == 1 else "").join(text)
    font = ImageFont.load_default(72)
    left, top, right, bottom = font.getbbox(text, stroke_width=3)
    picture = Image.new("L", (int(right - left) + 40, int(bottom - top) + 12))
    ImageDraw.Draw(picture).text((20 - left, 6 - top), text, 255, font, stroke_width=style % 4)
    cover = np.asarray(picture)
    slant = (0.0, 0.22, -0.12)[style % 3]
    matrix = np.array([[1, -slant, slant * cover.shape[0] / 2], [0, 1, 0]])
    return cv2.warpAffine(cover, matrix, (cover.shape[1], cover.shape[0]))


@lru_cache(maxsize=32)
def _with_name(brand: str) -> np.ndarray:
    """Sign above name, the name as wide as it is."""
    sign, name = _sign(brand), _name(brand)
    width = max(sign.shape[1], 420)
    high = round(name.shape[0] * width / name.shape[1])
    name = cv2.resize(name, (width, high), interpolation=cv2.INTER_AREA)
    cover = np.zeros((SIDE + 20 + high, width), np.uint8)
    start = (width - SIDE) // 2
    cover[:SIDE, start : start + SIDE] = sign
    cover[SIDE + 20 :] = name
    return cover


def _fill(picture: np.ndarray, points: list[tuple[float, float]], value: int = 255) -> None:
    """A polygon in unit coordinates."""
    side = picture.shape[0]
    cv2.fillPoly(picture, [np.round(np.array(points) * side * 16).astype(np.int32)], value, cv2.LINE_AA, 4)


def _disc(picture: np.ndarray, x: float, y: float, radius: float, value: int = 255) -> None:
    side = picture.shape[0]
    cv2.circle(picture, (round(x * side * 16), round(y * side * 16)), round(radius * side * 16), value, -1, 16, 4)


def _norvik(p: np.ndarray) -> None:  # two peaks over a line
    _fill(p, [(0.05, 0.75), (0.36, 0.18), (0.52, 0.47), (0.63, 0.3), (0.95, 0.75)])
    _fill(p, [(0.36, 0.18), (0.27, 0.36), (0.36, 0.42), (0.45, 0.34)], 0)
    _fill(p, [(0.05, 0.8), (0.95, 0.8), (0.95, 0.88), (0.05, 0.88)])


def _alder(p: np.ndarray) -> None:  # a leaf with a vein
    t = np.linspace(0, np.pi, 30)
    right = [(0.5 + 0.3 * np.sin(a) ** 1.2, 0.08 + 0.8 * a / np.pi) for a in t]
    _fill(p, [*right, *[(1 - x, y) for x, y in reversed(right)]])
    _fill(p, [(0.485, 0.2), (0.515, 0.2), (0.52, 0.98), (0.48, 0.98)], 0)
    for y in (0.4, 0.55, 0.7):
        _fill(p, [(0.5, y), (0.72, y - 0.14), (0.73, y - 0.1), (0.5, y + 0.05)], 0)
        _fill(p, [(0.5, y), (0.28, y - 0.14), (0.27, y - 0.1), (0.5, y + 0.05)], 0)


def _solenne(p: np.ndarray) -> None:  # a sun of rays
    for k in range(12):
        a = k * np.pi / 6
        c, s = np.cos(a), np.sin(a)
        _fill(
            p,
            [
                (0.5 + 0.27 * c - 0.04 * s, 0.5 + 0.27 * s + 0.04 * c),
                (0.5 + 0.47 * c, 0.5 + 0.47 * s),
                (0.5 + 0.27 * c + 0.04 * s, 0.5 + 0.27 * s - 0.04 * c),
            ],
        )
    _disc(p, 0.5, 0.5, 0.22)


def _tessaro(p: np.ndarray) -> None:  # four tiles, one turned
    for x, y in ((0.08, 0.08), (0.54, 0.08), (0.08, 0.54)):
        _fill(p, [(x, y), (x + 0.38, y), (x + 0.38, y + 0.38), (x, y + 0.38)])
    _fill(p, [(0.73, 0.5), (0.96, 0.73), (0.73, 0.96), (0.5, 0.73)])


def _kitefox(p: np.ndarray) -> None:  # a fox's head
    _fill(p, [(0.08, 0.1), (0.35, 0.3), (0.65, 0.3), (0.92, 0.1), (0.88, 0.55), (0.5, 0.92), (0.12, 0.55)])
    _fill(p, [(0.28, 0.5), (0.42, 0.56), (0.38, 0.63)], 0)
    _fill(p, [(0.72, 0.5), (0.58, 0.56), (0.62, 0.63)], 0)


def _brunwick(p: np.ndarray) -> None:  # a shield with a chevron
    _fill(p, [(0.12, 0.08), (0.88, 0.08), (0.86, 0.55), (0.5, 0.95), (0.14, 0.55)])
    _fill(p, [(0.2, 0.5), (0.5, 0.25), (0.8, 0.5), (0.8, 0.62), (0.5, 0.38), (0.2, 0.62)], 0)


def _umbra(p: np.ndarray) -> None:  # a crescent
    _disc(p, 0.46, 0.5, 0.42)
    _disc(p, 0.62, 0.42, 0.34, 0)
    _disc(p, 0.72, 0.42, 0.09)


def _pacer(p: np.ndarray) -> None:  # three slanted bars that grow
    for k in range(3):
        x, top = 0.06 + 0.28 * k, 0.62 - 0.24 * k
        _fill(p, [(x + 0.14, top), (x + 0.3, top), (x + 0.2, 0.88), (x + 0.04, 0.88)])


def _marzipan(p: np.ndarray) -> None:  # a heart in a ring
    _disc(p, 0.5, 0.5, 0.47)
    _disc(p, 0.5, 0.5, 0.4, 0)
    _disc(p, 0.4, 0.43, 0.125)
    _disc(p, 0.6, 0.43, 0.125)
    _fill(p, [(0.285, 0.48), (0.715, 0.48), (0.5, 0.76)])


def _ostrava(p: np.ndarray) -> None:  # an arrow through a diamond
    _fill(p, [(0.5, 0.05), (0.9, 0.5), (0.5, 0.95), (0.1, 0.5)])
    _fill(p, [(0.5, 0.22), (0.75, 0.5), (0.5, 0.78), (0.25, 0.5)], 0)
    _fill(p, [(0.02, 0.46), (0.98, 0.46), (0.98, 0.54), (0.02, 0.54)])


_SIGNS: dict[str, Callable[[np.ndarray], None]] = {
    "Norvik": _norvik,
    "Alder & Finch": _alder,
    "Solenne": _solenne,
    "Tessaro": _tessaro,
    "Kitefox": _kitefox,
    "Brunwick": _brunwick,
    "Umbra Lane": _umbra,
    "Pacer9": _pacer,
    "Marzipan": _marzipan,
    "Ostrava": _ostrava,
}
