"""A stylised person: skin, hair, face and hands, drawn under and over the clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, flipped, spline, tube
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import RGB

SKINS: tuple[RGB, ...] = (
    (236, 196, 168),
    (220, 172, 138),
    (196, 144, 108),
    (160, 108, 76),
    (118, 78, 56),
    (88, 58, 44),
    (244, 210, 188),
)
HAIRS: tuple[RGB, ...] = (
    (34, 26, 24),
    (62, 42, 30),
    (98, 66, 42),
    (150, 108, 64),
    (196, 160, 106),
    (120, 52, 34),
    (140, 138, 136),
)


@dataclass(frozen=True)
class Person:
    """Skin and hair colors, hair style, the pose."""

    gender: str
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    style: str
    pose: Pose


def random_person(gender: str, pose: Pose, rng: np.random.Generator) -> Person:
    """Somebody."""
    styles = ("long", "bob", "bun", "long") if gender == "Women" else ("short", "short", "crop", "curly")
    skin = SKINS[int(rng.integers(len(SKINS)))]
    hair = HAIRS[int(rng.integers(len(HAIRS)))]
    return Person(gender, skin, hair, styles[int(rng.integers(len(styles)))], pose)  # type: ignore[arg-type]


def _skin(person: Person, factor: float = 1.0) -> Material:
    rgb = tuple(min(255.0, v * factor) for v in person.skin)
    return Material(rgb, folds=0.0, puff=2.2, edge=4.5, gloss=0.12, grain=1.2)  # type: ignore[arg-type]


def draw_body(canvas: Canvas, person: Person, legs: bool = True) -> None:
    """Everything that clothes may cover: back hair, legs, trunk, neck, arms."""
    pose, skin = person.pose, _skin(person)
    if person.style == "long":
        back = [
            (-9, -20),
            (-6, -28),
            (0, -30),
            (6, -28),
            (9, -20),
            (11, -5),
            (10, 8),
            (4, 12),
            (-4, 12),
            (-10, 8),
            (-11, -5),
        ]
        canvas.piece(spline(back), _hair(person))
    if legs:
        for side in (0, 1):
            hip = pose.hip[side]
            thigh = pose.hips * 0.5
            line = [
                hip,
                (hip + pose.knee[side]) / 2,
                pose.knee[side],
                (pose.knee[side] + pose.ankle[side]) / 2 + ((0.6 if side else -0.6), -4),
                pose.ankle[side] + (0, 3),
            ]
            canvas.piece(tube(line, (thigh, thigh * 0.9, 5.9, 5.6, 3.3)), skin)
    w = float(pose.shoulder[1, 0])
    torso = [
        (4.5, -4),
        (7, 1.5),
        (w - 3.5, 5.5),
        (w - 1.5, 11),
        (pose.chest, 21),
        (pose.waist, 41),
        (pose.hips, 60),
        (pose.hips * 0.6, 73),
        (0, 74),
    ]
    canvas.piece(spline([*torso, *[(-x, y) for x, y in reversed(torso[:-1])]]), skin)
    draw_arms(canvas, person)
    canvas.piece(tube([(0, -12), (0, -4), (0, 3)], (5.0, 5.2, 6.6)), _skin(person, 0.9))


def draw_arms(canvas: Canvas, person: Person) -> None:
    """Both arms with hands."""
    pose, skin = person.pose, _skin(person)
    for side in (0, 1):
        s = 1.0 if side else -1.0
        start = pose.shoulder[side] + (-s * 3.6, 4.5)
        line = [start, (start + pose.elbow[side]) / 2, pose.elbow[side], pose.wrist[side]]
        canvas.piece(tube(line, (5.2, 4.7, 4.0, 2.7)), skin)
        draw_hand(canvas, person, side)


def draw_hand(canvas: Canvas, person: Person, side: int) -> None:
    """A relaxed hand at the end of an arm."""
    pose = person.pose
    along = pose.wrist[side] - pose.elbow[side]
    along = along / np.hypot(*along)
    across = np.array([-along[1], along[0]]) * (1 if side else -1)
    wrist = pose.wrist[side]
    palm = tube(
        [wrist - along, wrist + along * 4, wrist + along * 10 + across * 0.6, wrist + along * 15.5 + across * 1.6],
        (2.6, 4.0, 3.6, 1.6),
        round_end=True,
    )
    thumb = tube(
        [wrist + along * 2, wrist + along * 6 + across * 4.2, wrist + along * 9.5 + across * 4.6],
        (1.5, 1.2, 0.9),
        round_end=True,
    )
    canvas.piece(thumb, _skin(person), lift=0.1)
    canvas.piece(palm, _skin(person), lift=0.1)
    for k in (-1.0, 0.2, 1.3):
        canvas.line(
            np.array([wrist + along * 9 + across * (k + 0.4), wrist + along * 14.5 + across * (k * 0.6 + 1.4)]),
            0.35,
            tuple(np.asarray(person.skin) * 0.7),
            opacity=0.6,
        )


def _hair(person: Person) -> Material:
    return Material(person.hair, folds=0.5, wave=5.0, puff=1.6, edge=3.0, gloss=0.3, grain=6.0)


def draw_head(canvas: Canvas, person: Person, hat: bool = False) -> None:
    """Face with features and front hair; drawn after the clothes."""
    skin = _skin(person)
    for s in (-1, 1):
        canvas.piece(ellipse((s * 7.4, -16), 1.4, 2.6), skin)
    cheek = [(5.6, -25.6), (7.4, -20), (7.1, -14.5), (4.6, -8.6)]
    face = [(0, -27.5), *cheek, (0, -5.6), *((-x, y) for x, y in reversed(cheek))]
    canvas.piece(spline(face), skin, shadow=0.3)
    _features(canvas, person)
    long = person.style in ("long", "bob")
    if not hat:
        canvas.piece(spline(_hair_line(person.style)), _hair(person), shadow=0.25)
        if person.style == "bun":
            canvas.piece(ellipse((0, -32.5), 4.2, 3.6), _hair(person), lift=0.2)
    if long:
        _side_locks(canvas, person)


def _hair_line(style: str) -> list[tuple[float, ...]]:
    """The hair above the face."""
    if style in ("short", "crop", "curly"):
        puff = {"short": 2.0, "crop": 0.8, "curly": 3.4}[style]
        return [(-7.8, -17, 1), (-8.2, -22), (-6.8, -27.4 - puff * 0.6), (0, -29 - puff),
                (6.8, -27.4 - puff * 0.6), (8.2, -22),
                (7.8, -17, 1), (6.6, -21.5), (4.2, -24.4), (0, -23.8), (-4.6, -24.6), (-6.6, -21.5)]  # fmt: skip
    return [(-8.4, -14, 1), (-9.2, -21), (-6.8, -28.6), (0, -30.6), (6.8, -28.6), (9.2, -21), (8.4, -14, 1), (6.8, -20),
            (2.0, -25.6), (-3.6, -24.4), (-6.6, -20)]  # fmt: skip


def _side_locks(canvas: Canvas, person: Person) -> None:
    """Hair that falls beside the face."""
    low = 6.0 if person.style == "long" else -7.0
    lock = spline([(7.0, -21, 1), (9.0, -18), (10.4, -8), (10.0, low), (7.6, low + 2.5), (6.6, low - 4), (7.2, -12)])
    for one in (lock, flipped(lock)):
        canvas.piece(one, _hair(person), lift=0.3, shadow=0.25)


def _features(canvas: Canvas, person: Person) -> None:
    """Brows, eyes, nose, mouth: a few strokes."""
    dark = np.asarray(person.hair) * 0.7
    shade = np.asarray(person.skin) * 0.78
    for s in (-1, 1):
        canvas.line(
            spline([(s * 1.6, -19.4), (s * 3.2, -20.0), (s * 4.8, -19.2)], closed=False), 0.55, dark, opacity=0.8
        )
        canvas.patch(ellipse((s * 3.1, -17.4), 1.25, 0.6), (240, 238, 236), 0.9)
        canvas.patch(ellipse((s * 3.1, -17.4), 0.6, 0.6), (52, 40, 34))
        canvas.line(spline([(s * 1.9, -17.6), (s * 3.1, -18.1), (s * 4.4, -17.5)], closed=False), 0.3, (40, 30, 28))
        canvas.patch(ellipse((s * 4.4, -13.4), 1.7, 1.2), np.asarray(person.skin) * (1.02, 0.9, 0.88), 0.35)
    canvas.line(
        spline([(0.5, -17.4), (0.9, -14.6), (0.2, -13.2), (-0.8, -13.3)], closed=False), 0.5, shade, opacity=0.6
    )
    lips = (186.0, 84.0, 84.0) if person.gender == "Women" else tuple(np.asarray(person.skin) * (0.86, 0.68, 0.66))
    canvas.patch(spline([(-2.4, -10.0), (-0.8, -10.6), (0, -10.4), (0.8, -10.6), (2.4, -10.0), (0, -9.0)]), lips, 0.85)
    canvas.line(np.array([(-2.2, -10.0), (0, -9.9), (2.2, -10.0)]), 0.22, shade * 0.7)
