"""Street scenes behind a standing figure: facade, pavement, trees, parked cars, poles; out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo import noise

Rng = np.random.Generator
REDUCED = 3
"""The scene is drawn this many times smaller: it is out of focus anyway."""


def street(width: int, height: int, horizon: float, rng: Rng) -> np.ndarray:
    """A street; `horizon` is where wall meets pavement, as a share of the height. float32 (height, width, 3)."""
    w, h = max(40, width // REDUCED), max(40, height // REDUCED)
    ground = round(h * horizon)
    scene = np.empty((h, w, 3), np.float32)
    kind = rng.random()
    if kind < 0.45:
        _facade(scene, ground, rng)
    elif kind < 0.7:
        _wall(scene, ground, rng)
    else:
        _open(scene, ground, rng)
    _pavement(scene, ground, rng)
    for _ in range(int(rng.integers(0, 4))):
        _CLUTTER[int(rng.integers(len(_CLUTTER)))](scene, ground, rng)
    scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.6, 2.6) * w / 160)
    scene += (noise.grain_patch(h, w, rng) * np.float32(1.5))[..., None]
    return np.clip(cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)


def _mottle(shape: tuple[int, int], rng: Rng, strength: float) -> np.ndarray:
    h, w = shape
    field = noise.sample(noise.field(1.3), (w, h), (w * 1.3, w * 1.3), 0, (rng.uniform(0, 512), rng.uniform(0, 512)))
    return (field * strength)[..., None]


def _facade(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A house front with rows of windows and a door or shop front."""
    w = scene.shape[1]
    base = np.array(
        [(186, 170, 148), (150, 92, 74), (206, 200, 190), (128, 124, 122), (170, 150, 120)][int(rng.integers(5))], float
    )
    scene[:ground] = base + _mottle((ground, w), rng, 7)
    step, tall = w / rng.uniform(2.2, 4.5), ground / rng.uniform(1.7, 3.2)
    start = rng.uniform(-step, 0)
    glass = np.array([(60, 70, 84), (44, 46, 52), (120, 140, 160)][int(rng.integers(3))], float)
    for row in range(4):
        for column in range(7):
            x, y = start + column * step + step * 0.25, ground - (row + 0.94) * tall + tall * 0.12
            _box(scene, x - 2, y - 2, x + step * 0.5 + 2, y + tall * 0.6 + 3, base * 1.14 + 8, ground)
            _box(scene, x, y, x + step * 0.5, y + tall * 0.6, glass * rng.uniform(0.7, 1.4), ground)
            _box(scene, x + step * 0.24, y, x + step * 0.26, y + tall * 0.6, base * 1.1, ground)
    if rng.random() < 0.6:
        x = rng.uniform(0, w * 0.8)
        shade = np.array([(70, 40, 30), (30, 50, 46), (40, 40, 60), (120, 30, 30)][int(rng.integers(4))], float)
        _box(scene, x, ground - tall * 0.95, x + step * 0.7, ground, shade, ground)
        _box(
            scene, x + step * 0.1, ground - tall * 0.85, x + step * 0.6, ground - tall * 0.25, shade * 0.5 + 20, ground
        )


def _wall(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A brick or plaster wall."""
    w = scene.shape[1]
    base = np.array([(160, 92, 72), (206, 196, 178), (120, 118, 116), (184, 150, 120)][int(rng.integers(4))], float)
    scene[:ground] = base + _mottle((ground, w), rng, 9)
    if rng.random() < 0.6:
        high = max(3, round(w / 34))
        for k, y in enumerate(range(ground, 0, -high)):
            scene[max(y - 1, 0) : y] *= 0.8
            for x in range((k % 2) * high, w, high * 2):
                scene[max(y - high, 0) : y, x : x + 1] *= 0.82
    if rng.random() < 0.4:
        y = round(ground * rng.uniform(0.7, 0.92))
        scene[y:ground] *= rng.uniform(0.6, 0.85)


def _open(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """Sky, a line of trees or far houses."""
    w = scene.shape[1]
    sky = np.array([(196, 210, 226), (226, 228, 230), (170, 196, 226)][int(rng.integers(3))], float)
    scene[:ground] = sky + _mottle((ground, w), rng, 4)
    far = round(ground * rng.uniform(0.35, 0.75))
    edge = noise.field(1.4, 1)[int(rng.integers(500))][:w] if w <= 512 else np.zeros(w)
    tone = np.array([(70, 92, 56), (96, 104, 84), (140, 132, 126)][int(rng.integers(3))], float)
    leaves = _mottle((ground, w), rng, 22)
    for x in range(w):
        top = int(np.clip(far + edge[x % len(edge)] * ground * 0.06, 0, ground - 1))
        scene[top:ground, x] = tone + leaves[top:ground, x]


def _pavement(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """Paving in perspective, with a curb."""
    h, w = scene.shape[:2]
    if ground >= h:
        return
    base = np.full(3, rng.uniform(105, 190)) + rng.normal(0, 6, 3)
    y, x = np.mgrid[ground:h, 0:w].astype(np.float32)
    depth = (h - ground) / np.maximum(y - ground + 0.06 * h, 1)
    part = base + _mottle((h - ground, w), rng, 6) + (18 * (1.2 - depth.clip(0, 2)))[..., None] * 0.4
    if rng.random() < 0.75:
        u, v = (x - w * rng.uniform(0.2, 0.8)) * depth / w * rng.uniform(2, 6), depth * rng.uniform(2, 5)
        joint = np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
        part *= (1 - 0.18 * np.clip(1 - joint * 22, 0, 1))[..., None]
    scene[ground:] = part
    scene[ground : ground + max(1, h // 90)] *= 0.72


def _box(scene: np.ndarray, x1: float, y1: float, x2: float, y2: float, rgb: np.ndarray, ground: int) -> None:
    a, b, c, d = (round(v) for v in (max(x1, 0), max(y1, 0), x2, min(y2, ground)))
    if c > a and d > b:
        scene[b:d, a:c] = np.minimum(rgb, 250)


def _car(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A parked car, cut off by the photo's edge."""
    h, w = scene.shape[:2]
    x, long = rng.choice([-0.3, 0.62]) * w + rng.normal(0, 0.05) * w, w * rng.uniform(0.5, 0.8)
    y, tall = ground + h * 0.04, h * rng.uniform(0.13, 0.2)
    rgb = [(30, 32, 38), (170, 174, 178), (130, 26, 30), (40, 66, 110), (225, 226, 228)][int(rng.integers(5))]
    shape = [(0, -0.1), (0.02, -0.5), (0.2, -0.58), (0.34, -0.98), (0.7, -1.0), (0.86, -0.58), (1, -0.48), (1, -0.1)]
    body = np.array([(x + a * long, y + b * tall) for a, b in shape])
    glass = np.array(
        [(x + a * long, y + b * tall) for a, b in [(0.25, -0.58), (0.36, -0.92), (0.68, -0.93), (0.8, -0.58)]]
    )
    _polygon(scene, body, rgb)
    _polygon(scene, glass, (60, 70, 80))
    for a in (0.2, 0.8):
        cv2.circle(scene, (round(x + a * long), round(y - 0.1 * tall)), max(2, round(tall * 0.2)), (24, 24, 26), -1)


def _pole(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A lamp post or sign."""
    h, w = scene.shape[:2]
    x, thick = rng.uniform(0.03, 0.97) * w, max(1, round(w * rng.uniform(0.008, 0.02)))
    tone = rng.uniform(30, 110)
    cv2.line(scene, (round(x), 0), (round(x), round(ground + h * 0.06)), (tone, tone, tone * 1.05), thick)
    if rng.random() < 0.4:
        rgb = [(196, 40, 40), (40, 80, 160), (230, 200, 60)][int(rng.integers(3))]
        cv2.circle(scene, (round(x), round(ground * rng.uniform(0.2, 0.6))), max(3, round(w * 0.05)), rgb, -1)


def _tree(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A trunk and a crown of blots."""
    h, w = scene.shape[:2]
    x = rng.choice([rng.uniform(-0.05, 0.22), rng.uniform(0.78, 1.05)]) * w
    cv2.line(
        scene, (round(x), round(h * 0.1)), (round(x), round(ground + h * 0.05)), (74, 62, 52), max(2, round(w * 0.035))
    )
    for _ in range(40):
        at = (round(x + rng.normal(0, 0.1) * w), round(h * 0.1 + rng.normal(0, 0.09) * h))
        g = rng.uniform(60, 130)
        cv2.circle(scene, at, max(2, round(w * rng.uniform(0.02, 0.05))), (g * 0.7, g, g * 0.5), -1)


def _planter(scene: np.ndarray, ground: int, rng: Rng) -> None:
    """A pot with a shrub, or a bin."""
    h, w = scene.shape[:2]
    x, y, s = rng.choice([0.12, 0.88]) * w, ground + h * rng.uniform(0.05, 0.14), w * rng.uniform(0.08, 0.13)
    tone = rng.uniform(50, 140)
    _polygon(
        scene,
        np.array([(x - s, y - s), (x + s, y - s), (x + s * 0.8, y + s), (x - s * 0.8, y + s)]),
        (tone, tone * 0.9, tone * 0.8),
    )
    for _ in range(24):
        g = rng.uniform(60, 130)
        at = (round(x + rng.normal(0, 0.5) * s), round(y - s * 1.5 + rng.normal(0, 0.5) * s))
        cv2.circle(scene, at, max(1, round(s * 0.3)), (g * 0.6, g, g * 0.5), -1)


def _polygon(scene: np.ndarray, points: np.ndarray, rgb: tuple) -> None:
    cv2.fillPoly(scene, [np.round(points).astype(np.int32)], rgb, cv2.LINE_AA)


_CLUTTER = (_car, _pole, _tree, _planter, _pole)
