"""Outlines in centimeters: splines with corners, tubes along a center line, small random deformation.

A point list is an array-like of (x, y) or (x, y, corner) rows, x to the right, y down; `corner` 1 keeps the outline
sharp there. All results are float64 (n, 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

Points = np.ndarray
Point = Sequence[float] | np.ndarray
Line = Sequence[Point] | Sequence[tuple[float, ...]] | np.ndarray


def spline(points: Line, closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom curve through `points`, broken at the points marked as corners."""
    rows = [(p[0], p[1], p[2] if len(p) > 2 else 0.0) for p in points]
    array = np.array(rows, dtype=np.float64)
    if not closed:
        return _open_runs(array, steps)
    corners = np.flatnonzero(array[:, 2] > 0)
    if len(corners) == 0:
        return _run(np.vstack([array[-1:], array, array[:2]])[:, :2], steps)[:-1]
    turned = np.roll(array, -int(corners[0]), axis=0)
    return _open_runs(np.vstack([turned, turned[:1]]), steps)[:-1]


def _open_runs(array: Points, steps: int) -> Points:
    """Smooth runs between corners, joined; the ends of the array are corners."""
    marks = array[:, 2] > 0
    marks[0] = marks[-1] = True
    stops = np.flatnonzero(marks)
    parts = []
    for first, last in pairwise(stops):
        run = array[first : last + 1, :2]
        if len(run) == 2:
            parts.append(run[:1])
            continue
        ends = np.vstack([2 * run[0] - run[1], run, 2 * run[-1] - run[-2]])
        parts.append(_run(ends, steps)[:-1])
    return np.vstack([*parts, array[-1:, :2]])


def _run(control: Points, steps: int) -> Points:
    """Uniform Catmull-Rom through control[1:-1]; control's first and last rows only give directions."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = control[:-3, None], control[1:-2, None], control[2:-1, None], control[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([curve.reshape(-1, 2), control[-2:-1]])


def flipped(points: Points) -> Points:
    """The mirror image over the vertical axis, with the same direction of travel."""
    return (np.asarray(points) * (-1, 1))[::-1]


def resample(points: Points, count: int) -> Points:
    """`count` points evenly spaced along an open line."""
    points = np.asarray(points, dtype=np.float64)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], axis=1)


def part_of(points: Points, start: float, stop: float, count: int = 12) -> Points:
    """The stretch of an open line between two fractions of its length."""
    fine = resample(points, 200)
    return resample(fine[round(start * 199) : max(round(stop * 199), round(start * 199) + 1) + 1], count)


def normals(points: Points) -> Points:
    """Unit normals of an open line, to the left of its direction on screen."""
    tangent = np.gradient(np.asarray(points, dtype=np.float64), axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)


def tube(center: Line, widths: Iterable[float], round_end: bool = False, count: int = 24) -> Points:
    """Outline of a limb or strap: `widths` are half widths, evenly spread along the center line."""
    line = resample(spline(center, closed=False), count)
    half = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(w := list(widths))), w)[:, None]
    side = normals(line)
    left, right = line + side * half, line - side * half
    if not round_end:
        return np.vstack([left, right[::-1]])
    turn = np.linspace(0, np.pi, 7)[1:-1, None]
    ahead = np.stack([-side[-1, 1], side[-1, 0]])
    cap = line[-1] + half[-1] * (np.cos(turn) * side[-1] + np.sin(turn) * ahead)
    return np.vstack([left, cap, right[::-1]])


def ellipse(center: Point, rx: float, ry: float, angle: float = 0.0, count: int = 28) -> Points:
    """An ellipse's outline, `angle` in radians."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], axis=1)


def lerp(a: Point, b: Point, t: float) -> Points:
    """The point between a and b."""
    return np.asarray(a, dtype=np.float64) * (1 - t) + np.asarray(b, dtype=np.float64) * t
