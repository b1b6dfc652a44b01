"""Body measures and joints, in centimeters from the pit of the neck: laid flat for packshots, standing for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UPPER_ARM, FOREARM = 30.5, 28.0
FLOOR = 146.0
"""Where the soles of a standing figure are."""


@dataclass(frozen=True)
class Pose:
    """Joints as ((left x, y), (right x, y)) seen by the viewer; half widths of the trunk where cloth lies."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hip: np.ndarray
    knee: np.ndarray
    ankle: np.ndarray
    chest: float
    waist: float
    hips: float
    worn: bool
    sway: float = 0.0

    @property
    def band(self) -> float:
        """Half width of a waistband: trousers and skirts laid flat are narrower there than shirts."""
        return self.waist if self.worn else self.waist * 0.87

    def half_width(self, y: float) -> float:
        """Half width of the trunk at height y."""
        return float(np.interp(y, (18, 40, 60, 75), (self.chest, self.waist, self.hips, self.hips * 0.98)))


def laid_flat(gender: str, sleeves: float, rng: np.random.Generator) -> Pose:
    """Arms and legs spread as on a flat-lay or ghost mannequin; `sleeves` 0 none to 1 to the wrist."""
    woman = gender == "Women"
    chest, waist, hips = (22.5, 20.4, 23.5) if woman else (26.0, 24.5, 25.5)
    chest, waist, hips = (v * rng.uniform(0.95, 1.06) for v in (chest, waist, hips))
    width = (18.5 if woman else 22.0) * rng.uniform(0.96, 1.04)
    spread = np.radians(rng.uniform(28, 58) if sleeves < 0.7 else rng.uniform(8, 34))
    bend = np.radians(rng.uniform(-4, 10))
    tilt = rng.normal(0, 0.05)
    return _joints((width, chest, waist, hips), (spread + tilt, spread - tilt), (bend, bend), rng.uniform(1, 5), False)


def hung(gender: str, sleeves: float, rng: np.random.Generator) -> Pose:
    """As on a hanger: long sleeves hang down, short ones stand off."""
    flat = laid_flat(gender, 0.0, rng)
    spread = tuple(np.radians(rng.uniform(7, 15, 2) if sleeves > 0.6 else rng.uniform(26, 42, 2)))
    trunk = (float(flat.shoulder[1, 0]), flat.chest, flat.waist, flat.hips)
    return _joints(trunk, spread, (0.0, 0.0), rng.uniform(1, 5), False)


def standing(gender: str, rng: np.random.Generator) -> Pose:
    """A standing figure: arms hang or bend, weight on one leg."""
    woman = gender == "Women"
    width, chest, waist, hips = (16.5, 14.6, 11.6, 16.8) if woman else (20.0, 17.5, 15.5, 16.6)
    build = rng.uniform(0.94, 1.1)
    chest, waist, hips = chest * build, waist * build, hips * build
    spread = [np.radians(rng.uniform(6, 17)) for _ in range(2)]
    bend = [np.radians(rng.uniform(-9, 2)) for _ in range(2)]
    if rng.random() < 0.3:  # a hand on the hip
        side = int(rng.integers(2))
        spread[side], bend[side] = np.radians(rng.uniform(32, 44)), -np.radians(rng.uniform(72, 92))
    return _joints((width, chest, waist, hips), tuple(spread), tuple(bend), rng.uniform(0, 4), True, rng.normal(0, 1.2))


def _joints(
    trunk: tuple[float, float, float, float],
    spread: tuple[float, ...],
    bend: tuple[float, ...],
    legs: float,
    worn: bool,
    sway: float = 0.0,
) -> Pose:
    """Joints from the arms' angles from vertical, the elbows' bends and the feet's spread in centimeters."""
    width, chest, waist, hips = trunk
    sides = (-1, 1)
    longer = 1.0 if worn else 1.08  # sleeves have some play over the wrist
    shoulder = np.array([(s * width, 4.0) for s in sides])
    elbow, wrist = np.empty((2, 2)), np.empty((2, 2))
    for i, s in enumerate(sides):
        a = spread[i]
        elbow[i] = shoulder[i] + longer * UPPER_ARM * np.array([s * np.sin(a), np.cos(a)])
        b = a + bend[i]
        wrist[i] = elbow[i] + longer * FOREARM * np.array([s * np.sin(b), np.cos(b)])
    hip = np.array([(s * hips * 0.52, 62.0) for s in sides])
    foot = hips * 0.5 + legs
    knee = np.array([(s * (hips * 0.5 + legs * 0.5) + sway, 100.0) for s in sides])
    ankle = np.array([(s * foot + sway * 1.6, 139.0) for s in sides])
    return Pose(shoulder, elbow, wrist, hip, knee, ankle, chest, waist, hips, worn, sway)
