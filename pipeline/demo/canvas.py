"""The relief painter: pieces of cloth, skin or leather are laid on a canvas with color, height, gloss; then lit once.

Geometry is given in centimeters and projected by a `Placing`; pixels are drawn at the photo's own scale with
antialiased edges, so nothing is resampled afterwards. Every visible pixel knows which object it belongs to, which is
where the truth boxes come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from pipeline.demo import noise
from pipeline.demo.curves import Point
from pipeline.demo.material import Material, Texture
from pipeline.demo.placing import Placing

SUBPIXEL = 4
"""Binary digits of the subpixel position that OpenCV's fills take."""


@dataclass
class Canvas:
    """Layers of one photo being painted. `current` is the object that new pieces belong to, 0 is nobody's.

    `crumple` scales all folds, `form` how round things are as a whole (a body inside, or just flat on the floor).
    """

    width: int
    height: int
    rng: np.random.Generator
    light: tuple[float, float, float] = (-0.5, -0.6, 0.75)
    place: Placing = field(default_factory=lambda: Placing(1.0, (0.0, 0.0)))
    current: int = 0
    crumple: float = 1.0
    form: float = 0.5

    def __post_init__(self) -> None:
        shape = (self.height, self.width)
        self.rgb = np.zeros((*shape, 3), np.float32)
        self.alpha = np.zeros(shape, np.float32)
        self.relief = np.zeros(shape, np.float32)
        self.gloss = np.zeros(shape, np.float32)
        self.owner = np.zeros(shape, np.uint8)
        self.drawn: dict[int, np.ndarray] = {}
        self._fold = int(self.rng.integers(0, 3))

    @property
    def scale(self) -> float:
        """Pixels a centimeter."""
        return self.place.scale

    def piece(
        self, outline: np.ndarray, stuff: Material, axis: float = 0.0, lift: float = 0.3, shadow: float = 0.3
    ) -> None:
        """Lay a closed outline (n, 2) cm of `stuff` on top. `axis`: direction of the cloth, radians from vertical."""
        cut = self._mask(outline)
        if cut is None:
            return
        window, mask, corner = cut
        if shadow > 0:
            self._contact_shadow(window, mask, shadow, lift)
        cover = mask.astype(np.float32) * (1 / 255)
        solid = (mask > 100).astype(np.uint8)
        rise, inside = self._rise(solid, stuff)
        tilt = (self.place.angle + axis) if not self.place.flip else self.place.angle - axis
        rise += self._creases(mask.shape, stuff, tilt, corner)
        color = self._color(mask.shape, stuff, tilt, corner, rise)
        color *= (1 - 0.11 * np.exp(inside * (-1 / max(0.22 * stuff.edge * self.scale, 0.7))))[..., None]
        base = float(self.relief[window][mask > 0].mean() if mask.any() else 0) * 0.5 + lift * self.scale
        self._blend(window, cover, color, rise + base, stuff.gloss)
        self._claim(window, mask)

    def line(
        self,
        points: np.ndarray,
        width: float,
        rgb: Point | None = None,
        depth: float = 0.0,
        dash: tuple[float, float] | None = None,
        opacity: float = 1.0,
    ) -> None:
        """A seam (depth < 0, no color), stitching (dash = on, off in cm) or cord (depth > 0) on what lies there."""
        pixels = self.place(points)
        runs = [pixels] if dash is None else _dashes(pixels, dash[0] * self.scale, dash[1] * self.scale)
        if not runs:
            return
        thick = width * self.scale
        every = np.vstack(runs)
        cut = self._window(every, pad=thick + 3)
        if cut is None:
            return
        window, corner = cut
        mask = np.zeros(self.alpha[window].shape, np.uint8)
        lines = [_fixed(run - corner) for run in runs]
        cv2.polylines(mask, lines, False, 255, max(1, round(thick)), cv2.LINE_AA, SUBPIXEL)
        cover = mask.astype(np.float32) * (min(1.0, thick) * opacity / 255) * np.minimum(self.alpha[window], 1)
        if rgb is not None:
            self.rgb[window] += (np.asarray(rgb, np.float32) - self.rgb[window]) * cover[..., None]
        if depth:
            self.relief[window] += cover * (depth * self.scale)
            if depth < 0:
                self.rgb[window] *= (1 - 0.15 * cover)[..., None]

    def patch(self, outline: np.ndarray, rgb: Point, opacity: float = 1.0, gloss: float | None = None) -> None:
        """Print a flat color inside a closed outline onto what lies there; relief and folds stay."""
        cut = self._mask(outline)
        if cut is None:
            return
        window, mask, _ = cut
        cover = mask.astype(np.float32) * (opacity / 255) * np.minimum(self.alpha[window], 1)
        self.rgb[window] += (np.asarray(rgb, np.float32) - self.rgb[window]) * cover[..., None]
        if gloss is not None:
            self.gloss[window] += (gloss - self.gloss[window]) * cover

    def decal(self, image: np.ndarray, center: Point, width: float, turn: float = 0.0) -> None:
        """Print an RGBA uint8 (h, w, 4) picture, `width` cm wide, onto what lies there."""
        if self.place.flip:
            image = np.ascontiguousarray(image[:, ::-1])
        h, w = image.shape[:2]
        high = width * h / w
        c, s = np.cos(turn), np.sin(turn)
        square = np.array([[-width, -high], [width, -high], [width, high], [-width, high]]) / 2
        corners = self.place(square @ np.array([[c, s], [-s, c]]) + np.asarray(center))
        cut = self._window(corners, pad=2)
        if cut is None:
            return
        window, corner = cut
        shape = self.alpha[window].shape
        source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)
        smaller = max(1, int(w / max(1.0, float(np.hypot(*(corners[1] - corners[0]))))))
        if smaller > 1:
            image = cv2.resize(image, (max(1, w // smaller), max(1, h // smaller)), interpolation=cv2.INTER_AREA)
            source = source / smaller
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), (corners - corner).astype(np.float32))
        flat = cv2.warpPerspective(image, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)
        cover = flat[..., 3].astype(np.float32) * (1 / 255) * np.minimum(self.alpha[window], 1)
        self.rgb[window] += (flat[..., :3].astype(np.float32) - self.rgb[window]) * cover[..., None]

    def crease(self, points: np.ndarray, width: float, depth: float) -> None:
        """A soft valley (depth < 0) or ridge along an open line, fading out at its ends."""
        pixels = self.place(points)
        thick = max(1.0, width * self.scale)
        cut = self._window(pixels, pad=3 * thick)
        if cut is None:
            return
        window, corner = cut
        mask = np.zeros(self.alpha[window].shape, np.float32)
        fine = pixels - corner
        count = len(fine)
        for k in range(count - 1):
            fade = 1 - abs(2 * (k + 0.5) / (count - 1) - 1) ** 2
            ends = _fixed(fine[k : k + 2])
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), float(fade), max(1, round(thick * 0.8)), cv2.LINE_AA, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), thick * 0.55)
        self.relief[window] += mask * (depth * self.scale * self.crumple) * self.alpha[window]

    def visible(self, number: int) -> np.ndarray:
        """Which pixels of the photo show object `number`; bool (H, W)."""
        return self.owner == number

    def _window(self, pixels: np.ndarray, pad: float = 2) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The part of the canvas around some pixel positions and its corner; None where it lies outside."""
        low = np.maximum(np.floor(pixels.min(0) - pad), 0).astype(int)
        high = np.minimum(np.ceil(pixels.max(0) + pad) + 1, (self.width, self.height)).astype(int)
        if (high - low < 1).any():
            return None
        return (slice(low[1], high[1]), slice(low[0], high[0])), low.astype(np.float64)

    def _mask(self, outline: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
        """An outline's antialiased cover, uint8, in its window."""
        pixels = self.place(outline)
        cut = self._window(pixels)
        if cut is None:
            return None
        window, corner = cut
        mask = np.zeros(self.alpha[window].shape, np.uint8)
        cv2.fillPoly(mask, [_fixed(pixels - corner)], 255, cv2.LINE_AA, SUBPIXEL)
        return window, mask, corner

    def _contact_shadow(self, window: tuple[slice, slice], mask: np.ndarray, strength: float, lift: float) -> None:
        """Darken what lies just beside the new piece, more on the side away from the light."""
        reach = max(1.0, (0.45 + lift) * self.scale)
        pad = int(2.5 * reach) + 1
        rows, cols = window
        top, left = max(rows.start - pad, 0), max(cols.start - pad, 0)
        wide = (slice(top, min(rows.stop + pad, self.height)), slice(left, min(cols.stop + pad, self.width)))
        if not self.alpha[wide].any():
            return
        cast = np.zeros_like(self.alpha[wide], dtype=np.uint8)
        dy = rows.start - top - round(self.light[1] * reach)
        dx = cols.start - left - round(self.light[0] * reach)
        y0, x0 = max(dy, 0), max(dx, 0)
        high, across = wide[0].stop - top, wide[1].stop - left
        part = mask[y0 - dy : high - dy, x0 - dx : across - dx]
        cast[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
        cast = cv2.blur(cv2.blur(cast, (pad, pad)), (pad, pad))
        self.rgb[wide] *= (1 - cast.astype(np.float32) * (strength / 255))[..., None]

    def _rise(self, solid: np.ndarray, stuff: Material) -> tuple[np.ndarray, np.ndarray]:
        """Height of the bulging piece and the distance from its edge, both in pixels."""
        inside = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
        radius = max(stuff.edge * self.scale, 1.0)
        t = np.minimum(inside / radius, 1)
        rise = np.sqrt(np.maximum(1 - (1 - t) ** 2, 0)) * (stuff.puff * self.scale)
        rise = cv2.GaussianBlur(rise, (0, 0), max(0.12 * radius, 0.6))
        if self.form and stuff.edge >= 2:
            rise += self._body(inside, stuff.edge * 4.5 * self.scale)
        return rise, inside

    def _body(self, inside: np.ndarray, radius: float) -> np.ndarray:
        """The broad roundness of what fills the cloth; worked out at a quarter of the resolution."""
        h, w = inside.shape
        small = cv2.resize(inside, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
        t = np.minimum(small / radius, 1)
        dome = t * (2 - t) * np.float32(self.form * radius * 0.42)
        dome = cv2.GaussianBlur(dome, (0, 0), max(radius * 0.045, 0.8))
        return cv2.resize(dome, (w, h), interpolation=cv2.INTER_LINEAR)

    def _creases(self, shape: tuple[int, ...], stuff: Material, tilt: float, corner: np.ndarray) -> np.ndarray:
        """Folds, knitted ribs and weave as height in pixels; fixed to the canvas, so that neighbors agree."""
        size = (shape[1], shape[0])
        height = np.zeros(shape, np.float32)
        start = (float(self.rng.uniform(0, noise.SIDE)), float(self.rng.uniform(0, noise.SIDE)))
        if stuff.folds:
            wave = stuff.wave * self.scale
            long = noise.sample(noise.folds(self._fold), size, (wave * 4, wave * 9), tilt, start)
            short = noise.sample(noise.folds((self._fold + 1) % 3), size, (wave * 1.6, wave * 3.2), tilt, start[::-1])
            height += (0.9 * long + 0.16 * short) * (stuff.folds * self.crumple * self.scale)
        if stuff.rib and stuff.rib_step * self.scale > 1.6:
            y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
            phase = (np.cos(tilt) * (x + corner[0]) + np.sin(tilt) * (y + corner[1])) / (stuff.rib_step * self.scale)
            height += np.sin(phase * 2 * np.pi).astype(np.float32) * (stuff.rib * self.scale)
        return height

    def _color(
        self, shape: tuple[int, ...], stuff: Material, tilt: float, corner: np.ndarray, rise: np.ndarray
    ) -> np.ndarray:
        """Albedo float32 (h, w, 3): plain or patterned, bent a little by the folds, with weave grain."""
        if stuff.texture is None:
            color = np.empty((*shape, 3), np.float32)
            color[:] = stuff.rgb
        else:
            color = self._patterned(shape, stuff.texture, tilt, corner, rise)
        if stuff.worn_out:
            size = (shape[1], shape[0])
            fade = noise.sample(noise.field(1.6), size, (60 * self.scale, 110 * self.scale), tilt, (corner[0], 7.0))
            color += (fade * stuff.worn_out)[..., None]
        if stuff.grain:
            color += (noise.grain_patch(shape[0], shape[1], self.rng) * np.float32(stuff.grain))[..., None]
        return color

    def _patterned(
        self, shape: tuple[int, ...], texture: Texture, tilt: float, corner: np.ndarray, rise: np.ndarray
    ) -> np.ndarray:
        """The texture's tile laid along the cloth's direction, anchored to the object's origin."""
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        x += np.float32(corner[0] - self.place.origin[0])
        y += np.float32(corner[1] - self.place.origin[1])
        c, s = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
        h, w = texture.tile.shape[:2]
        sway = rise * np.float32(0.35)
        u = (c * x + s * y + sway + np.float32(texture.offset[0])) % w
        v = (c * y - s * x + sway + np.float32(texture.offset[1])) % h
        u, v = u.astype(np.float32, copy=False), v.astype(np.float32, copy=False)
        return cv2.remap(texture.tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).astype(np.float32)

    def _blend(
        self, window: tuple[slice, slice], cover: np.ndarray, color: np.ndarray, height: np.ndarray, gloss: float
    ) -> None:
        """Lay one piece over the layers."""
        before = self.alpha[window]
        after = before + (1 - before) * cover
        share = cover / np.maximum(after, 1e-4)
        self.rgb[window] += (color - self.rgb[window]) * share[..., None]
        self.relief[window] += (height - self.relief[window]) * share
        self.gloss[window] += (gloss - self.gloss[window]) * share
        self.alpha[window] = after

    def _claim(self, window: tuple[slice, slice], mask: np.ndarray) -> None:
        """The new piece's pixels belong to the current object."""
        self.owner[window][mask >= 128] = self.current


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixel positions in OpenCV's fixed-point form."""
    return np.round(np.clip(pixels, -4000, 12000) * (1 << SUBPIXEL)).astype(np.int32)


def _dashes(pixels: np.ndarray, on: float, off: float) -> list[np.ndarray]:
    """Short straight runs along a line; lengths in pixels."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(pixels, axis=0).T))])
    if along[-1] < on or on + off < 0.75:
        return [pixels]
    starts = np.arange(0, along[-1] - on, on + off)
    ends = starts + on
    x = [np.interp(at, along, pixels[:, 0]) for at in (starts, ends)]
    y = [np.interp(at, along, pixels[:, 1]) for at in (starts, ends)]
    return list(np.stack([np.stack(x, 1), np.stack(y, 1)], axis=2))
