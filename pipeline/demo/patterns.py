"""Cloth patterns as tileable pictures, drawn at the canvas's scale: stripes, checks, dots, flowers, prints, denim."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.demo import noise
from pipeline.demo.material import Texture

RGB = tuple[float, float, float]


def texture(pattern: str, colors: tuple[RGB, RGB, RGB], scale: float, size: float, seed: int) -> Texture | None:
    """The tile of a pattern, None for a solid.

    Args:
        pattern: one of `vocabulary.PATTERNS`, or "Denim"; "Printed" gives an all-over print.
        colors: ground, figure and accent, 0-255.
        scale: pixels a centimeter.
        size: of the pattern's repeat, relative to the usual one (1.0).
        seed: same seed, same design at every scale.
    """
    return Texture(painted(pattern, colors, scale, size, seed)) if pattern in _PAINTERS else None


def painted(pattern: str, colors: tuple[RGB, RGB, RGB], scale: float, size: float, seed: int) -> np.ndarray:
    """The bare tile, uint8 (h, w, 3); `pattern` is not "Solid"."""
    return _PAINTERS[pattern](colors, max(scale, 0.8), size, np.random.default_rng(seed))


def _ground(colors: tuple[RGB, ...], width: float, height: float) -> np.ndarray:
    """A plain tile, at least 2 pixels and at most 1500 a side; drawn at twice the final scale."""
    sides = [int(np.clip(round(v), 2, 1500)) for v in (height, width)]
    tile = np.empty((*sides, 3), np.uint8)
    tile[:] = np.round(colors[0])
    return tile


def _half(tile: np.ndarray) -> np.ndarray:
    """The supersampled tile at its final scale."""
    h, w = tile.shape[:2]
    return cv2.resize(tile, (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA)


def _stripes(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    across = rng.choice([2.2, 3.5, 5.0, 8.0]) * size
    vertical = rng.random() < 0.3
    if vertical:
        across *= 0.6
    step = max(4, round(2 * scale * across))
    line = np.empty((step, 3), np.float32)
    line[:] = colors[0]
    share = rng.choice([0.2, 0.32, 0.42])
    line[: max(1, round(step * share))] = colors[1]
    if rng.random() < 0.35:
        at = round(step * (share + 1) / 2)
        line[at : at + max(1, round(step * 0.1))] = colors[2]
    tile = np.repeat(line[:, None], 8, axis=1).astype(np.uint8)
    small = cv2.resize(tile, (4, max(2, step // 2)), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(1, 0, 2)) if vertical else small


def _checks(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Gingham, tartan or windowpane: the same bands in warp and weft."""
    kind = rng.choice(["gingham", "tartan", "tartan", "windowpane"])
    period = {"gingham": rng.uniform(1.4, 4.0), "tartan": rng.uniform(7, 14), "windowpane": rng.uniform(4, 8)}[kind]
    step = max(6, round(2 * scale * period * size))
    place = np.arange(step) / step
    if kind == "gingham":
        broad, fine = place < 0.42, np.zeros(step, bool)
    elif kind == "tartan":
        first, gap = rng.uniform(0.2, 0.36), rng.uniform(0.08, 0.14)
        broad = (place < first) | ((place > first + gap) & (place < first + 2 * gap))
        thin = max(0.025, 1.2 / step)
        fine = np.abs(place[:, None] - rng.uniform(first + 2 * gap + 0.05, 0.97, 3)).min(1) < thin
    else:
        broad, fine = np.abs(place - 0.5) < max(0.05, 1.2 / step), np.zeros(step, bool)
    one, two = broad.astype(np.float32), fine.astype(np.float32)
    figure = (one[:, None] + one[None]) / 2
    accent = (two[:, None] + two[None]) * 0.45
    base, second, third = (np.asarray(c, np.float32) for c in colors)
    tile = base + (second - base) * figure[..., None]
    tile += (third - tile) * accent[..., None]
    return _half(tile.astype(np.uint8))


def _dots(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    step = max(6.0, 2 * scale * rng.choice([1.8, 2.8, 4.2]) * size)
    tile = _ground(colors, step, step)
    side = tile.shape[0]
    radius = side * rng.uniform(0.13, 0.22)
    tint = tuple(float(v) for v in colors[1])
    for x, y in ((0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1)):
        center = (round(x * side * 16), round(y * side * 16))
        cv2.circle(tile, center, round(radius * 16), tint, -1, cv2.LINE_AA, 4)
    return _half(tile)


def _wrapped(tile: np.ndarray, draw: Callable[[float, float], None], x: float, y: float, reach: float) -> None:
    """Call draw at (x, y) and at its copies over the tile's edges."""
    h, w = tile.shape[:2]
    for dx in (-w, 0, w):
        for dy in (-h, 0, h):
            if -reach < x + dx < w + reach and -reach < y + dy < h + reach:
                draw(x + dx, y + dy)


def _flowers(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    unit = 2 * scale * size
    tile = _ground(colors, 17 * unit, 17 * unit)
    leaf = (70.0, 110.0, 60.0) if sum(colors[0]) > 250 else (90.0, 140.0, 90.0)
    count = int(rng.integers(8, 13))
    spots = _spread(count, rng) * tile.shape[0]
    for number, (x, y) in enumerate(spots):
        radius = unit * rng.uniform(0.8, 1.9)
        tint = colors[1] if number % 3 else colors[2]
        turn = rng.uniform(0, 6.28)
        petals = int(rng.integers(5, 7))

        def flower(cx: float, cy: float, r: float = radius, t: RGB = tint, a: float = turn, n: int = petals) -> None:
            for k in (0.4, 2.4):
                _petal(tile, cx, cy, r * 1.5, a + k, leaf, 0.22)
            for k in range(n):
                tone = tuple(min(255.0, v * (0.86 + 0.24 * (k % 2))) for v in t)
                _petal(tile, cx, cy, r, a + k * 6.283 / n, tone, 0.42)
            middle = (round(cx * 16), round(cy * 16))
            cv2.circle(tile, middle, max(1, round(r * 0.26 * 16)), (236.0, 196.0, 84.0), -1, cv2.LINE_AA, 4)

        _wrapped(tile, flower, float(x), float(y), 2 * radius)
    return _half(tile)


def _petal(tile: np.ndarray, x: float, y: float, length: float, angle: float, tint: tuple, width: float) -> None:
    center = (round((x + np.cos(angle) * length * 0.55) * 16), round((y + np.sin(angle) * length * 0.55) * 16))
    axes = (max(1, round(length * 0.5 * 16)), max(1, round(length * width * 16)))
    cv2.ellipse(tile, center, axes, float(np.degrees(angle)), 0, 360, tint, -1, cv2.LINE_AA, 4)


def _spread(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points on the unit torus that keep apart (best of several candidates); float64 (count, 2)."""
    chosen = rng.random((1, 2))
    while len(chosen) < count:
        tries = rng.random((12, 2))
        gap = np.abs(tries[:, None] - chosen[None])
        gap = np.minimum(gap, 1 - gap)
        best = np.hypot(gap[..., 0], gap[..., 1]).min(1).argmax()
        chosen = np.vstack([chosen, tries[best]])
    return chosen


def _print(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """An all-over print: blots of three tones (camouflage, abstract) from thresholded noise."""
    side = int(np.clip(26 * scale * size, 8, 900))
    field = noise.field(1.9, int(rng.integers(0, 4)), 2, 24)
    small = cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA)
    other = np.roll(small, (side // 3, side // 2), (0, 1)).T
    soft = max(1.0, scale * 1.2)
    base, second, third = (np.asarray(c, np.float32) for c in colors)
    one = np.clip((small - 0.35) * soft * 2.5 + 0.5, 0, 1)[..., None]
    two = np.clip((other - 0.75) * soft * 2.5 + 0.5, 0, 1)[..., None]
    tile = base + (second - base) * one
    tile += (third - tile) * two
    return np.ascontiguousarray(tile.astype(np.uint8))


def _denim(colors: tuple[RGB, RGB, RGB], scale: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Twill: pale threads in diagonal lines, broken by noise."""
    side = 256
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    step = max(2.0, round(0.16 * scale * size * 4) / 4)
    waves = np.sin((x + y) * (2 * np.pi / (side / round(side / (step * 1.6)))))
    threads = noise.sample(noise.field(0.4, 1, 8), (side, side), (512, 3000), 0.0, (float(rng.uniform(0, 99)), 0))
    height = 0.5 * waves + 0.7 * threads + 0.4 * noise.field(0.8, 2)[:side, :side]
    base = np.asarray(colors[0], np.float32)
    return np.clip(base + height[..., None] * np.asarray((8, 8.5, 9), np.float32), 0, 255).astype(np.uint8)


_PAINTERS: dict[str, Callable[[tuple[RGB, RGB, RGB], float, float, np.random.Generator], np.ndarray]] = {
    "Striped": _stripes,
    "Checked": _checks,
    "Dotted": _dots,
    "Floral": _flowers,
    "Printed": _print,
    "Denim": _denim,
}
