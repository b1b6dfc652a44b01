"""Jeans, trousers and shorts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, spline
from pipeline.demo.garments.trim import BRASS, buttons, emblem, stitched
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec

TOP = 42.0
"""Lower edge of the waistband at the sides, centimeters."""
CROTCH = 73.0


@dataclass(frozen=True)
class Leg:
    """One trouser leg: its middle and half width at every height."""

    spec: ProductSpec
    pose: Pose
    side: int

    @property
    def s(self) -> float:
        """-1 for the viewer's left, 1 for the right."""
        return 1.0 if self.side else -1.0

    @property
    def bottom(self) -> float:
        """Where the hem is."""
        return self.spec.size("length")

    @property
    def hips(self) -> float:
        """Half width at the hips."""
        return self.pose.hips + (1.2 if self.pose.worn else -0.5)

    def half(self, y: float) -> float:
        """Half width of the leg at height y."""
        tight = 0.86 if self.pose.worn else 1.0
        if self.bottom < 104:
            hem = min(self.spec.size("hem") * tight, (self.hips + 1.5 + 0.2 * (self.bottom - 76)) / 2)
            return float(np.interp(y, (70, self.bottom), (min(self.hips * 0.545, hem), hem)))
        widths = (self.hips * 0.545, self.spec.size("knee") * tight, self.spec.size("hem") * tight)
        return float(np.interp(y, (76, 103, self.bottom), widths))

    def center(self, y: float) -> float:
        """x of the leg's middle; legs laid flat spread so far that a gap opens between them."""
        return self.s * (self._usual(y) + self.spread(y))

    def _usual(self, y: float) -> float:
        xs = (self.pose.hip[self.side, 0], self.pose.knee[self.side, 0], self.pose.ankle[self.side, 0])
        return float(np.interp(y, (66, 100, 139), xs)) * self.s

    def spread(self, y: float) -> float:
        """How far the leg is moved outwards at height y."""
        if self.pose.worn:
            return 0.0
        wanted = self.half(y) + 1.5
        return max(0.0, wanted - self._usual(y)) * float(np.clip((y - 58) / (self.bottom - 58), 0, 1))

    def edge(self, y: float, inset: float) -> tuple[float, float]:
        """A point `inset` centimeters inside of the outer edge."""
        wide = self.hips + self.spread(y) if y < 72 else abs(self.center(y)) + self.half(y)
        return self.s * (wide - inset), y

    def outline(self) -> np.ndarray:
        """The leg with its half of the seat, (n, 2)."""
        s, waist, bottom = self.s, self.pose.band + 0.8, self.bottom
        levels = [y for y in (84.0, 95.0, 106.0, 118.0, 128.0) if y < bottom - 4]
        outer = [(s * waist, TOP, 1), (s * (waist + self.hips) * 0.52, 50), self.edge(61, 0.0), self.edge(70, 0.3)]
        outer += [self.edge(y, 0.0) for y in levels]
        middle, half = self.center(bottom), self.half(bottom)
        hem = [(middle + s * half, bottom, 1), (middle, bottom + 0.9), (middle - s * half, bottom - 0.4, 1)]
        inner = [(s * max(0.35, abs(self.center(y)) - self.half(y)), y) for y in reversed(levels)]
        seat = [(s * 0.9, CROTCH + 1.5), (s * -0.6, CROTCH - 2, 1), (s * -0.6, TOP + 1.4, 1)]
        return spline([*outer, *hem, *inner, *seat])


def draw_bottoms(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Two legs, waistband, fly, pockets and what the style adds."""
    if not pose.worn:
        w = pose.band + 0.4
        back = [(-w, TOP - 3.6, 1), (0, TOP - 5.0), (w, TOP - 3.6, 1), (w, TOP, 1), (0, TOP + 1.6), (-w, TOP, 1)]
        canvas.piece(spline(back), stuff.plain(np.asarray(stuff.rgb) * 0.55, folds=0.1))
    for side in (0, 1):
        leg = Leg(spec, pose, side)
        canvas.piece(leg.outline(), stuff, axis=-0.03 * leg.s, shadow=0.22)
        _along_the_leg(canvas, leg, stuff)
        _leg_end(canvas, leg, stuff)
    _crotch_creases(canvas, pose, stuff)
    _pockets_and_fly(canvas, spec, pose)
    _waistband(canvas, spec, pose, stuff)
    emblem(canvas, spec, (-pose.hips * 0.55, min(spec.size("length") - 8, 76)), 3.2)


def _along_the_leg(canvas: Canvas, leg: Leg, stuff: Material) -> None:
    """Side stripes, pressed crease, cargo pocket, folds at the knee, fading."""
    spec, bottom = leg.spec, leg.bottom
    style = spec.word("style")
    if spec.cut.get("side"):
        for inset in (2.0, 3.7):
            stripe = [leg.edge(y, inset) for y in (58.0, 66.0, 80.0, 92.0, 105.0, 120.0, 140.0) if y < bottom - 2]
            canvas.line(spline([*stripe, leg.edge(bottom - 1, inset)], closed=False), 1.1, spec.rgb2)
    if style == "tailored":
        crease = [(leg.center(y), y) for y in (50.0, 75.0, 100.0, bottom)]
        canvas.line(spline(crease, closed=False), 0.35, depth=0.5)
    if style == "cargo":
        x, y = leg.center(88) + leg.s * 5, min(86.0, bottom - 19)
        canvas.piece(spline([(x - 6.5, y, 1), (x + 6.5, y, 1), (x + 6.2, y + 15, 1),
                             (x - 6.2, y + 15, 1)]), stuff, lift=0.4)  # fmt: skip
        canvas.piece(spline([(x - 6.9, y - 1, 1), (x + 6.9, y - 1, 1), (x + 6.9, y + 4, 1),
                             (x - 6.9, y + 4, 1)]), stuff, lift=0.4)  # fmt: skip
    if bottom > 110:
        for y in (98.0, 103.0, bottom - 9, bottom - 5):
            tilt = canvas.rng.normal(0, 2.0)
            start, stop = (leg.center(y) - 7, y - tilt), (leg.center(y) + 7, y + tilt)
            canvas.crease(np.linspace(start, stop, 7), 1.0, -0.5)
    if spec.cloth == "denim":
        _fade(canvas, leg)


def _leg_end(canvas: Canvas, leg: Leg, stuff: Material) -> None:
    """Turn-up, knitted cuff or stitched hem."""
    spec, bottom = leg.spec, leg.bottom
    x, w = leg.center(bottom), leg.half(bottom)
    if spec.cut.get("turn_up"):
        up = [(x - w - 0.3, bottom - 4.5, 1), (x, bottom - 3.6), (x + w + 0.3, bottom - 4.5, 1),
              (x + w + 0.4, bottom + 0.6, 1), (x, bottom + 1.6), (x - w - 0.4, bottom + 0.4, 1)]  # fmt: skip
        paler = stuff.plain(np.asarray(stuff.rgb) * 0.75 + 55) if spec.cloth == "denim" else stuff
        canvas.piece(spline(up), paler, lift=0.4)
    elif spec.word("style") == "jogger":
        cuff = [(x - w, bottom - 6, 1), (x + w, bottom - 6, 1), (x + w * 0.9, bottom + 1, 1),
                (x - w * 0.9, bottom + 1, 1)]  # fmt: skip
        canvas.piece(spline(cuff), stuff.plain(rib=0.08, rib_step=0.8, folds=0.1), lift=0.2)
    else:
        stitched(canvas, np.array([(x - w, bottom - 2.0), (x + w, bottom - 1.8)]), spec, 0.2)


def _fade(canvas: Canvas, leg: Leg) -> None:
    """Washed-out thighs, whiskers, seams in thread, perhaps a hole at the knee."""
    spec, s, bottom = leg.spec, leg.s, leg.bottom
    amount = float(spec.cut.get("fade", 0.4))
    tint = np.clip(np.asarray(spec.rgb) * 0.55 + 105, 0, 240)
    middle, reach = (66 + bottom) / 2 if bottom < 104 else 85.0, min(30.0, (bottom - 66) * 0.45)
    for t in np.linspace(1, 0.15, 14):
        canvas.patch(ellipse((leg.center(84) + s * 0.8, middle), 7.0 * t, reach * t), tint, 0.042 * amount)
    for y in 66 + 3.2 * np.arange(4):
        whisker = spline([(s * 3.0, y + 3), (s * 8, y + 1.2), (s * 14.5, y - 1.5)], closed=False)
        canvas.line(whisker, 0.8, tint, opacity=0.16 * amount)
    if bottom > 104:
        stitched(canvas, np.array([leg.edge(y, 0.9) for y in (58.0, 70.0, 84.0, 100.0)]), spec, 0.18)
    if spec.cut.get("holes") and bottom > 110:
        _hole(canvas, leg)


def _hole(canvas: Canvas, leg: Leg) -> None:
    """A torn knee with pale threads across."""
    spec, x, y = leg.spec, leg.center(100), 98.0 + 3 * leg.s
    rng = np.random.default_rng(spec.seed + leg.side)
    up, down = rng.normal((-1.8, 2.2), 0.4)
    inside = (206.0, 160.0, 132.0) if leg.pose.worn else np.asarray(spec.rgb) * 0.4
    canvas.patch(spline([(x - 5, y), (x - 1, y + up), (x + 5, y + 0.4), (x + 0.5, y + down)]), inside, 0.9)
    for k in np.linspace(-1.4, 1.6, 5):
        canvas.line(np.array([(x - 4.5, y + k), (x + 4.5, y + k + 0.2)]), 0.3, (228, 230, 232), opacity=0.8)


def _crotch_creases(canvas: Canvas, pose: Pose, stuff: Material) -> None:
    """Folds that radiate from the crotch."""
    rng = canvas.rng
    for s in (-1.0, 1.0):
        for _ in range(3):
            start = np.array([s * 1.5, CROTCH - 1 + rng.normal(0, 1)])
            end = np.array([s * rng.uniform(9, pose.hips * 0.95), CROTCH + rng.uniform(-9, 6)])
            canvas.crease(np.linspace(start, end, 7), rng.uniform(0.8, 1.3), -0.6 * min(1.0, stuff.folds * 2))


def elastic(spec: ProductSpec) -> bool:
    """Whether the waist is drawn in by elastic and cord."""
    return spec.word("style") in ("jogger", "sport")


def _pockets_and_fly(canvas: Canvas, spec: ProductSpec, pose: Pose) -> None:
    """Slanted or curved front pockets, the seam in front."""
    w, low = pose.band + 1.0, TOP + 0.6
    for s in (-1.0, 1.0):
        if elastic(spec):
            canvas.line(np.array([(s * (w - 0.1), 50), (s * (pose.hips - 2.0), 63)]), 0.5, depth=-0.6)
            continue
        line = spline([(s * (w * 0.55), low + 1), (s * (w * 0.68), 52), (s * (pose.hips + 0.2), 57)], closed=False)
        stitched(canvas, line, spec, 0.22)
        canvas.line(line + (0, 0.5), 0.5, depth=-0.4)
    if not elastic(spec):
        stitched(canvas, spline([(2.6, low + 1), (2.8, 60), (1.6, 66), (0, 68.5)], closed=False), spec, 0.22)
    canvas.line(np.array([(0, low), (0, CROTCH)]), 0.4, depth=-0.5)


def _waistband(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Band with loops and button, or with a drawcord."""
    w, top, low, sag = pose.band + 1.0, TOP - 3.4, TOP + 0.6, 1.5
    band = [(-w + 0.3, top, 1), (0, top + sag), (w - 0.3, top, 1), (w + 0.2, low, 1), (0, low + sag),
            (-w - 0.2, low, 1)]  # fmt: skip
    canvas.piece(spline(band), stuff.plain(rib=0.09, rib_step=0.8) if elastic(spec) else stuff, lift=0.2, shadow=0.26)
    if elastic(spec):
        for s in (-1.0, 1.0):
            cord = spline([(s * 0.8, low), (s * 2.2, low + 5), (s * 1.6, low + 11)], closed=False)
            canvas.line(cord, 0.7, spec.rgb2, depth=0.4)
        return
    stitched(canvas, spline([(-w, low - 0.5), (0, low + sag - 0.5), (w, low - 0.5)], closed=False), spec, 0.2)
    for x in (-w * 0.86, -w * 0.45, w * 0.45, w * 0.86):
        y = top + sag * (1 - (x / w) ** 2) - 0.3
        loop = np.array([(x - 0.6, y), (x + 0.6, y), (x + 0.6, y + 4.9), (x - 0.6, y + 4.9)])
        canvas.piece(loop, stuff, lift=0.25)
    if spec.cloth == "denim":
        canvas.piece(ellipse((1.2, TOP - 0.2), 0.95, 0.95), BRASS, lift=0.15)
        for s in (-1.0, 1.0):
            canvas.piece(ellipse((s * w * 0.7, 52.5), 0.4, 0.4), BRASS, lift=0.1)
    else:
        buttons(canvas, [(1.0, TOP - 0.1)], 0.75, spec)
