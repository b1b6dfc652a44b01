"""T-shirts, shirts, sweaters, hoodies, jackets and coats; dresses borrow their trunk and sleeves."""

from __future__ import annotations

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import lerp, normals, part_of, spline, tube
from pipeline.demo.garments.necklines import NECK, back_of_neck, hood, neck_band, polo_collar, ribbed, shirt_collar
from pipeline.demo.garments.trim import buttons, emblem, graphic, pocket, stitched
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec


def trunk(pose: Pose, spec: ProductSpec, length: float, hem_curve: float = 1.0) -> np.ndarray:
    """Outline of the body of a top, from neck to hem; (n, 2) cm."""
    ease = spec.size("ease") * (1.0 if pose.worn else 0.5)
    nw, depth = NECK[spec.word("neck")]
    shoulder_x = float(pose.shoulder[1, 0])
    nw = min(nw, shoulder_x - 2.5)
    chest, waist = pose.chest + ease, pose.waist + ease * 1.1
    hem = pose.half_width(length) + ease * 1.15
    flare = spec.cut.get("flare", 0.0)
    hem += float(flare) * max(0.0, (length - 55) / 55)
    half = [
        (shoulder_x + 0.5, 4.8, 1),
        (shoulder_x - 1.0, 12),
        (chest, 21, 1),
        ((chest + waist) / 2, 31),
        (waist, 41),
    ]
    if length > 62:
        half.append((pose.half_width(60) + ease + float(flare) * 0.15, 58))
    half += [(hem, length, 1), (hem * 0.5, length + hem_curve * 0.9)]
    if spec.word("neck") in ("v", "open", "lapel", "blazer", "biker"):
        neckline = [(0, depth, 1), (nw * 0.55, depth * 0.5), (nw, -0.6, 1)]
    elif spec.word("neck") == "strap":
        neckline = [(0, 15.0), (6.0, 13.5), (10.5, 9.0, 1)]
        half = [(11.8, 9.0, 1), (chest - 3, 18), *half[2:]]
    else:
        neckline = [(0, depth), (nw * 0.72, depth * 0.66), (nw, -0.6, 1)]
    right = [*neckline, *half, (0, length + hem_curve)]
    left = [(-p[0], *p[1:]) for p in reversed(right[1:-1])]
    return spline([*right, *left])


def sleeve(pose: Pose, side: int, spec: ProductSpec, cuff: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Outline of a sleeve that covers the share `reach` of the arm, and its center line.

    It starts under the trunk, leaves the shoulder in line with it and narrows to the half width `cuff`.
    """
    s = 1.0 if side else -1.0
    ease = spec.size("ease")
    tip = pose.shoulder[side] + (s * 0.4, 1.0)
    armpit = np.array([(pose.chest + ease * (1.0 if pose.worn else 0.5)) * s, 21.0])
    start = lerp(tip, armpit, 0.5)
    elbow, wrist = pose.elbow[side], pose.wrist[side]
    path = spline([start, lerp(start, elbow, 0.5), elbow, lerp(elbow, wrist, 0.5), wrist], closed=False)
    line = part_of(path, 0.0, min(1.0, reach), 16)
    t = np.linspace(0, reach, 16)
    tight = 0.88 if pose.worn else 1.0
    half = np.interp(t, (0, 0.25, 0.52, 1.0), (9.0, 7.4 * tight, (cuff * 0.6 + 2.8) * tight, cuff * tight))
    half = np.maximum(half, cuff * tight)
    share = np.clip(t / 0.3, 0, 1)[:, None] ** 0.8
    aside = normals(line) * half[:, None] * s
    outer = line + (1 - share) * (tip - start) + share * aside
    inner = line + (1 - share) * (armpit - start) - share * aside
    edge = [(tip[0] - s * 3, tip[1] - 0.9), tuple(tip), *map(tuple, outer[2:-1]), (*outer[-1], 1.0)]
    back = [(*inner[-1], 1.0), *map(tuple, inner[-2:1:-1]), tuple(armpit), (armpit[0] - s * 6, armpit[1] - 1.0)]
    return spline([*edge, *back], steps=3), line


def sleeves(
    canvas: Canvas, pose: Pose, spec: ProductSpec, stuff: Material, cuff: float, reach: float, band: float = 0.0
) -> None:
    """Both sleeves; `band` is the width of a knitted or buttoned cuff, centimeters."""
    for side in (0, 1):
        outline, line = sleeve(pose, side, spec, cuff, reach)
        end = line[-1] - line[-4]
        axis = float(np.arctan2(-end[0], end[1]))
        canvas.piece(outline, stuff, axis=axis)
        bent = line[len(line) // 2]
        if reach > 0.7:
            _elbow_creases(canvas, bent, end, stuff)
        if band:
            tip = part_of(line, 1 - band / 56, 1.0, 6)
            at_cuff = cuff * (0.86 if pose.worn else 0.97)
            yarn = (
                stuff
                if spec.type in ("Shirt", "Jacket") and spec.word("style") not in ("bomber", "track")
                else ribbed(stuff)
            )
            canvas.piece(tube(tip, (at_cuff, at_cuff * 0.96)), yarn, axis=axis, lift=0.12, shadow=0.25)
        else:
            hem = part_of(line, 1 - 2.2 / (56 * max(reach, 0.1)), 1.0, 2)
            across = np.array([-end[1], end[0]]) / max(np.hypot(*end), 1e-6) * cuff * 0.9
            stitched(canvas, np.vstack([hem[0] - across, hem[0] + across]), spec)


def _elbow_creases(canvas: Canvas, at: np.ndarray, along: np.ndarray, stuff: Material) -> None:
    """A few slanted folds where the arm bends."""
    along = along / max(float(np.hypot(*along)), 1e-6)
    across = np.array([-along[1], along[0]])
    for k in (-1.6, -0.3, 1.2):
        middle = at + along * k * 3.2 + canvas.rng.normal(0, 0.8, 2)
        tilt = across * 4.6 + along * canvas.rng.normal(0, 2.2)
        canvas.crease(np.linspace(middle - tilt, middle + tilt, 7), 1.1, -0.55 * min(1.0, stuff.folds * 2.2))


def creases_of_trunk(canvas: Canvas, pose: Pose, length: float, strength: float) -> None:
    """Folds from the armpits and across the waist."""
    rng = canvas.rng
    for side in (-1, 1):
        for _ in range(2):
            start = np.array([side * pose.chest * 0.92, rng.uniform(19, 24)])
            end = np.array([side * pose.chest * rng.uniform(0.2, 0.5), rng.uniform(27, 44)])
            canvas.crease(np.linspace(start, end, 8), rng.uniform(0.9, 1.6), -strength * rng.uniform(0.3, 0.7))
        y = rng.uniform(0.55, 0.9) * length
        start, end = np.array([side * pose.half_width(y), y]), np.array([side * 3.0, y + rng.uniform(-5, 8)])
        canvas.crease(np.linspace(start, end, 8), rng.uniform(1.2, 2.2), -strength * rng.uniform(0.3, 0.8))


def hem_line(canvas: Canvas, pose: Pose, spec: ProductSpec, length: float, curve: float = 1.0) -> None:
    """Stitching above the hem."""
    x = pose.half_width(length) + spec.size("ease")
    stitched(canvas, spline([(-x, length - 2.2), (0, length - 2.2 + curve), (x, length - 2.2)], closed=False), spec)


def draw_tshirt(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """T-shirts and polo shirts."""
    length = spec.size("length")
    contrast = stuff.plain(spec.rgb2) if spec.size("contrast") else stuff
    band = contrast.plain(np.asarray(contrast.rgb) * 0.96, rib=0.05, rib_step=0.5)
    back_of_neck(canvas, pose, spec, stuff)
    sleeves(
        canvas,
        pose,
        spec,
        contrast if spec.size("raglan") else stuff,
        9.2 if spec.gender != "Women" else 7.8,
        spec.size("sleeve"),
    )
    canvas.piece(trunk(pose, spec, length), stuff)
    creases_of_trunk(canvas, pose, length, 0.8)
    hem_line(canvas, pose, spec, length)
    if spec.word("neck") == "polo":
        polo_collar(canvas, spec, band)
    else:
        neck_band(canvas, pose, spec, band, 2.2)
    if spec.pattern == "Printed":
        graphic(canvas, spec, (0, 27), 24 if spec.gender != "Women" else 19)
    else:
        if spec.size("pocket"):
            pocket(canvas, spec, stuff, (9.5, 24), 9, 10)
        emblem(canvas, spec, (9.5, 18.5), 4.2)


def draw_shirt(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Button-down shirts."""
    length, reach = spec.size("length"), spec.size("sleeve")
    detail = stuff.plain(spec.rgb2) if spec.size("contrast") else stuff
    if spec.size("rolled") and reach > 0.7:
        reach = 0.62
    back_of_neck(canvas, pose, spec, stuff)
    sleeves(canvas, pose, spec, stuff, 8.6 if reach < 0.6 else 5.8, reach, 6.0 if reach > 0.6 else 0.0)
    canvas.piece(trunk(pose, spec, length, spec.size("tail")), stuff)
    creases_of_trunk(canvas, pose, length, 0.9)
    bottom, opened = length + spec.size("tail") - 0.5, spec.word("neck") == "open"
    top = 15.0 if opened else 5.0
    canvas.piece(np.array([(-1.7, top), (1.7, top), (1.7, bottom), (-1.7, bottom)]), detail, lift=0.1, shadow=0.3)
    for x in (-1.3, 1.3):
        stitched(canvas, np.array([(x, top + 1), (x, bottom)]), spec)
    buttons(canvas, [(0, y) for y in np.arange(top + 4, length - 3, 8.8)], 0.75, spec)
    for k in range(int(spec.size("pocket"))):
        pocket(canvas, spec, stuff, (9.8 if k == 0 else -9.8, 24), 10.5, 12, flap=spec.seed % 3 == 0)
    shirt_collar(canvas, spec, detail, opened=opened)
    emblem(canvas, spec, (9.5, 19.5), 3.4)


def draw_sweater(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Pullovers and cardigans with ribbed cuffs and hem."""
    length, rib = spec.size("length"), spec.size("rib")
    contrast = stuff.plain(spec.rgb2) if spec.size("contrast") else stuff
    back_of_neck(canvas, pose, spec, stuff)
    sleeves(canvas, pose, spec, stuff, 5.4, spec.size("sleeve"), rib)
    canvas.piece(trunk(pose, spec, length), stuff)
    creases_of_trunk(canvas, pose, length, 0.9)
    ribbed_hem(canvas, pose, spec, contrast, length, rib)
    if spec.size("cable") and spec.pattern == "Solid":
        for x in (-12, -4, 4, 12) if not spec.size("cardigan") else (-11, 11):
            y = np.linspace(14, length - rib - 1, 60)
            for phase in (0.0, np.pi):
                wave = np.stack([x + 1.1 * np.sin(y * 0.85 + phase), y], axis=1)
                canvas.line(wave, 0.9, depth=0.35)
            canvas.line(np.array([(x - 2.2, 13), (x - 2.2, length - rib)]), 0.4, depth=-0.3)
    if spec.size("cardigan"):
        canvas.piece(np.array([(-1.9, 6), (1.9, 6), (1.9, length), (-1.9, length)]), ribbed(contrast), lift=0.2)
        buttons(canvas, [(0, y) for y in np.linspace(18, length - 4, 6)], 0.8, spec)
    if spec.word("neck") == "turtle":
        roll = spline([(-8, -8, 1), (0, -6.8), (8, -8, 1), (9, 0), (7.5, 4.5), (0, 6.4), (-7.5, 4.5), (-9, 0)])
        canvas.piece(roll, ribbed(contrast), lift=0.6)
    else:
        neck_band(canvas, pose, spec, ribbed(contrast), 3.0)
    if spec.pattern == "Printed":
        graphic(canvas, spec, (0, 27), 22)
    emblem(canvas, spec, (9.5, 19.5), 3.6)


def ribbed_hem(canvas: Canvas, pose: Pose, spec: ProductSpec, stuff: Material, length: float, rib: float) -> None:
    """The knitted band at the lower edge, a little drawn in."""
    x = pose.half_width(length) + spec.size("ease") * (1.15 if pose.worn else 0.6)
    band = [
        (-x - 0.2, length - rib, 1),
        (0, length - rib + 1),
        (x + 0.2, length - rib, 1),
        (x - 0.9, length + 0.6, 1),
        (0, length + 1.8),
        (-x + 0.9, length + 0.6, 1),
    ]
    canvas.piece(spline(band), ribbed(stuff), lift=0.15, shadow=0.28)


def draw_hoodie(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Hooded sweatshirts, with kangaroo pocket or zip."""
    length, rib = spec.size("length"), spec.size("rib")
    hood(canvas, pose, stuff, 0.5)
    sleeves(canvas, pose, spec, stuff, 5.8, spec.size("sleeve"), rib)
    canvas.piece(trunk(pose, spec, length), stuff)
    creases_of_trunk(canvas, pose, length, 1.1)
    ribbed_hem(canvas, pose, spec, stuff, length, rib)
    bag = spline(
        [
            (-8, length - rib - 17, 1),
            (8, length - rib - 17, 1),
            (15, length - rib - 5, 1),
            (14.5, length - rib, 1),
            (-14.5, length - rib, 1),
            (-15, length - rib - 5, 1),
        ]
    )
    canvas.piece(bag, stuff, lift=0.3)
    inside = bag.mean(0) + (bag - bag.mean(0)) * 0.95
    stitched(canvas, np.vstack([inside, inside[:1]]), spec)
    if spec.size("zip"):
        zipper(canvas, 7, length)
    collar = spline(
        [
            (-9.4, -1.5, 1),
            (-5, 7.5),
            (0, 11, 1),
            (5, 7.5),
            (9.4, -1.5, 1),
            (11.8, 3),
            (6.5, 11),
            (0, 15.5, 1),
            (-6.5, 11),
            (-11.8, 3),
        ]
    )
    canvas.piece(collar, stuff, lift=0.6)
    cord = spec.rgb2 if spec.size("contrast") else tuple(np.clip(np.asarray(spec.rgb) * 0.7 + 70, 0, 250))
    for x in (-4.2, 4.2):
        drop = spline([(x, 10), (x * 1.15, 20), (x * 1.05 + canvas.rng.normal(0, 0.8), 30)], closed=False)
        canvas.line(drop + (0.3, 0.4), 0.8, (15, 15, 15), opacity=0.3)
        canvas.line(drop, 0.75, cord, depth=0.4)
    if spec.pattern == "Printed":
        graphic(canvas, spec, (0, 29), 22)
    else:
        emblem(canvas, spec, (9.5, 22), 5.0)


def zipper(canvas: Canvas, top: float, bottom: float, x: float = 0.0) -> None:
    """A closed zip with its slider."""
    line = np.array([(x, top), (x, bottom)])
    canvas.line(line, 1.6, (40, 40, 44), depth=-0.2, opacity=0.75)
    canvas.line(line, 0.7, (188, 190, 194), dash=(0.35, 0.25), depth=0.15)
    canvas.piece(
        np.array([(x - 0.5, top + 1), (x + 0.5, top + 1), (x + 0.4, top + 4.2), (x - 0.4, top + 4.2)]),
        Material((196, 198, 200), folds=0, gloss=0.9, puff=0.2, edge=0.4),
    )


def cap_sleeve_edge(canvas: Canvas, pose: Pose, spec: ProductSpec) -> None:
    """The stitched armhole of a sleeveless garment."""
    x = float(pose.shoulder[1, 0])
    for side in (-1, 1):
        line = spline([(side * (x + 0.2), 4), (side * (x - 0.6), 11), (side * (pose.chest - 0.8), 20)], closed=False)
        stitched(canvas, line, spec)
