"""What lies behind the products: studio white, surfaces of a home, streets. All made from noise and polygons.

Every function returns float32 (height, width, 3), RGB 0-255.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.demo import noise
from pipeline.demo.patterns import painted

Rng = np.random.Generator


def studio(width: int, height: int, rng: Rng) -> np.ndarray:
    """White or off-white, at most a faint gradient."""
    tone = 255.0 if rng.random() < 0.55 else rng.uniform(228, 252)
    tint = rng.normal(0, 1.6, 3) if tone < 255 else np.zeros(3)
    fall = rng.uniform(0, 14) if rng.random() < 0.4 else 0.0
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    field = tone - fall * (y * rng.uniform(-0.5, 1) + 0.4 * x * x)
    return np.clip(field + tint.astype(np.float32), 0, 255).astype(np.float32)


def _mottled(width: int, height: int, base: np.ndarray, rng: Rng, slow: float, fine: float) -> np.ndarray:
    """A plain color with blotches and grain."""
    size = (width, height)
    start = (rng.uniform(0, 512), rng.uniform(0, 512))
    blotch = noise.sample(noise.field(1.4), size, (width * 1.2, width * 1.2), rng.uniform(0, 3), start)
    color = base.astype(np.float32) + (blotch * slow)[..., None]
    return color + (noise.grain_patch(height, width, rng) * np.float32(fine))[..., None]


def wood(width: int, height: int, rng: Rng) -> np.ndarray:
    """Floor boards: planks with grain along them and dark joints."""
    base = np.array(
        [(176, 132, 88), (140, 98, 62), (206, 176, 138), (108, 76, 52), (190, 178, 164)][int(rng.integers(5))], float
    )
    upright = rng.random() < 0.6
    w, h = (width, height) if upright else (height, width)
    plank = max(24, round(w / rng.uniform(2.6, 7)))
    out = np.empty((h, w, 3), np.float32)
    shift = int(rng.integers(0, plank))
    for number, left in enumerate(range(-shift, w, plank)):
        x1, x2 = max(left, 0), min(left + plank, w)
        size = (x2 - x1, h)
        where = (rng.uniform(0, 512), rng.uniform(0, 512))
        rings = noise.sample(noise.field(1.2, 1), size, (plank * 2.2, h * 4.5), rng.normal(0, 0.015), where)
        fibers = noise.sample(noise.field(0.6, 2), size, (plank * 1.6, h * 14.0), rng.normal(0, 0.01), where[::-1])
        tone = base * rng.normal(1, 0.06) + rings[..., None] * 11 + fibers[..., None] * 6
        out[:, x1:x2] = tone
        out[:, x1 : x1 + max(1, w // 300)] *= 0.55
        if rng.random() < 0.7 and number >= 0:
            y = int(rng.integers(0, h))
            out[y : y + max(1, w // 300), x1:x2] *= 0.6
    return out if upright else np.ascontiguousarray(out.transpose(1, 0, 2))


def sheet(width: int, height: int, rng: Rng) -> np.ndarray:
    """A bed sheet or blanket with soft folds; plain, striped or printed with flowers or checks."""
    base = np.array(_SHEETS[int(rng.integers(len(_SHEETS)))], float)
    out = _mottled(width, height, base, rng, 2.0, 2.2)
    if rng.random() < 0.4:
        out += 0.8 * (_printed(width, height, base, rng) - base.astype(np.float32))
    turn, start = rng.uniform(0, 3.1), (rng.uniform(0, 512), rng.uniform(0, 512))
    relief = noise.sample(noise.field(2.0, 1, 1, 40), (width, height), (width * 2.2, width * 6.0), turn, start)
    crease = noise.sample(
        noise.folds(int(rng.integers(3))), (width, height), (width * 3.0, width * 9.0), turn + 0.4, start
    )
    height_map = (relief * 1.0 + crease * 0.22) * (width / 16)
    gx = cv2.Sobel(height_map, cv2.CV_32F, 1, 0, scale=0.125)
    gy = cv2.Sobel(height_map, cv2.CV_32F, 0, 1, scale=0.125)
    slope = gx * rng.uniform(-0.5, 0.5) + gy * rng.uniform(0.2, 0.5)
    out *= (1 + np.clip(slope * rng.uniform(0.4, 1.1), -0.25, 0.16))[..., None]
    return out


def _printed(width: int, height: int, base: np.ndarray, rng: Rng) -> np.ndarray:
    """A printed cloth on the ground color `base`."""
    second = np.clip(base * rng.uniform(0.6, 0.85) + rng.normal(0, 18, 3), 10, 245)
    third = np.clip(base + rng.normal(0, 55, 3), 10, 245)
    inks = tuple((float(c[0]), float(c[1]), float(c[2])) for c in (base, second, third))
    name = ("Striped", "Floral", "Checked", "Dotted")[int(rng.integers(4))]
    tile = painted(name, (inks[0], inks[1], inks[2]), width / rng.uniform(70, 130), 1.6, int(rng.integers(2**31)))
    rows, columns = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    return np.tile(tile, (rows, columns, 1))[:height, :width].astype(np.float32)


_SHEETS = (
    (222, 216, 206), (236, 234, 230), (186, 176, 160), (150, 160, 176), (196, 60, 56), (60, 66, 80), (214, 190, 170),
    (168, 150, 186), (228, 204, 150), (120, 140, 120),
)  # fmt: skip


def carpet(width: int, height: int, rng: Rng) -> np.ndarray:
    """Pile: strong grain, blotches, perhaps a border or rhombs."""
    palette = [(140, 128, 112), (98, 88, 84), (168, 152, 124), (116, 60, 52), (88, 98, 110), (196, 186, 168)]
    base = np.array(palette[int(rng.integers(len(palette)))], float)
    tuft = cv2.GaussianBlur(noise.grain_patch(height, width, rng), (0, 0), max(0.8, width / 520))
    out = _mottled(width, height, base, rng, 6.0, 6.0) + (tuft * 26)[..., None]
    if rng.random() < 0.4:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / width
        n = rng.uniform(3, 7)
        rhomb = (np.abs((x * n) % 1 - 0.5) + np.abs((y * n) % 1 - 0.5)) < rng.uniform(0.2, 0.42)
        out[rhomb] += rng.uniform(-32, 32)
    return out


def concrete(width: int, height: int, rng: Rng) -> np.ndarray:
    """Concrete, plaster or linoleum: blotches and pores."""
    base = np.full(3, rng.uniform(110, 205)) + rng.normal(0, 5, 3)
    out = _mottled(width, height, base, rng, 7.0, 3.5)
    spots = noise.sample(
        noise.field(0.3, 3), (width, height), (width * 0.6, width * 0.6), 0.3, (rng.uniform(0, 512), 0)
    )
    out -= (np.maximum(spots - 2.0, 0) * 24)[..., None]
    return out


def tiles(width: int, height: int, rng: Rng) -> np.ndarray:
    """Stone or ceramic tiles with joints."""
    base = np.array([(206, 198, 184), (176, 168, 160), (120, 116, 112), (224, 220, 214)][int(rng.integers(4))], float)
    out = _mottled(width, height, base, rng, 6.0, 2.0)
    step = width / rng.uniform(1.6, 4)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    a = rng.choice([0.0, 0.79]) + rng.normal(0, 0.05)
    u, v = np.cos(a) * x + np.sin(a) * y, np.cos(a) * y - np.sin(a) * x
    joint = np.minimum(np.abs(u / step % 1 - 0.5), np.abs(v / step % 1 - 0.5)) * step
    out *= (1 - 0.3 * np.clip(1.6 * width / 480 - joint, 0, 1))[..., None]
    return out


_SURFACES: tuple[Callable[[int, int, Rng], np.ndarray], ...] = (wood, sheet, sheet, carpet, concrete, tiles)


def surface(width: int, height: int, rng: Rng) -> np.ndarray:
    """A home's floor, bed or table, lit unevenly."""
    out = _SURFACES[int(rng.integers(len(_SURFACES)))](width, height, rng)
    return np.clip(out, 4, 250)


def wall(width: int, height: int, rng: Rng) -> np.ndarray:
    """A painted wall, a door with panels or a wooden wardrobe: where people hang clothes to photograph them."""
    if rng.random() < 0.3:
        return np.clip(wood(width, height, rng), 4, 250)
    base = np.array(
        [(226, 222, 214), (206, 200, 190), (232, 226, 206), (190, 198, 206), (170, 164, 158)][int(rng.integers(5))],
        float,
    )
    out = _mottled(width, height, base, rng, 2.5, 1.2)
    if rng.random() < 0.45:
        for x in rng.uniform(0.08, 0.92, 2) * width:
            edge = np.abs(np.arange(width, dtype=np.float32) - np.float32(x))
            out *= (1 - 0.3 * np.exp(-edge / (0.012 * width)))[None, :, None]
    if rng.random() < 0.25:
        y = round(height * rng.uniform(0.86, 0.97))
        out[y:] = out[y:] * 0.82
    return np.clip(out, 4, 250)
