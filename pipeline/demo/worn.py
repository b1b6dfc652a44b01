"""Street photos: a figure wears the product together with other garments and carries things."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.demo.backgrounds import studio
from pipeline.demo.camera import street_camera, studio_camera
from pipeline.demo.canvas import Canvas
from pipeline.demo.figure import Person, draw_body, draw_hand, draw_head, random_person
from pipeline.demo.garments.accessories import draw_sunglasses
from pipeline.demo.garments.draw import draw
from pipeline.demo.lighting import ground_shadow
from pipeline.demo.placing import Placing
from pipeline.demo.pose import FLOOR, Pose, standing
from pipeline.demo.scenes import Photo, finish
from pipeline.demo.spec import ProductSpec, random_spec
from pipeline.demo.streets import street

Rng = np.random.Generator

FRAMES = {
    "upper-body": (((-38, 156), 0.5), ((-36, 112), 0.5)),
    "lower-body": (((-38, 156), 0.5), ((-6, 156), 0.5)),
    "full-body": (((-38, 156), 1.0),),
    "footwear": (((-38, 156), 0.4), ((74, 154), 0.6)),
    "bag": (((-38, 156), 0.6), ((-36, 122), 0.4)),
    "headwear": (((-38, 156), 0.2), ((-52, 46), 0.8)),
    "accessory": (((-38, 156), 0.15), ((-44, 30), 0.85)),
}
"""What part of the figure is in the frame, by the product's group: y from and to in centimeters, with odds."""


@dataclass(frozen=True)
class Outfit:
    """What a figure wears; None where it wears nothing of the kind."""

    top: ProductSpec | None
    bottom: ProductSpec | None
    dress: ProductSpec | None
    shoes: ProductSpec
    bag: ProductSpec | None
    hat: ProductSpec | None
    glasses: ProductSpec | None
    watch: ProductSpec | None
    inner: ProductSpec | None

    def pieces(self) -> tuple[ProductSpec, ...]:
        """Everything worn; shoes twice, one a foot."""
        worn = (
            self.top,
            self.inner,
            self.bottom,
            self.dress,
            self.shoes,
            self.shoes,
            self.bag,
            self.hat,
            self.glasses,
            self.watch,
        )
        return tuple(piece for piece in worn if piece is not None)


def dress_up(main: ProductSpec, gender: str, rng: Rng) -> Outfit:
    """Garments that go with the product."""
    woman = gender == "Women"

    def some(*types: str) -> ProductSpec:
        return random_spec(rng, "", type=types[int(rng.integers(len(types)))], gender=gender)

    def mine(*types: str) -> ProductSpec | None:
        return main if main.type in types else None

    tops = ("T-Shirt", "Shirt", "Sweater", "Hoodie", "Jacket", "Coat")
    bottoms = ("Skirt", "Jeans", "Trousers", "Shorts")
    dress = mine("Dress")
    if dress is None and woman and main.group in ("footwear", "bag", "headwear", "accessory") and rng.random() < 0.3:
        dress = some("Dress")
    top = bottom = None
    if dress is None:
        top = mine(*tops) or some("T-Shirt", "T-Shirt", "Shirt", "Sweater", "Hoodie", "Jacket", "Coat")
        bottom = mine(*bottoms) or some("Jeans", "Jeans", "Trousers", "Shorts", *(("Skirt", "Skirt") if woman else ()))
    shoes = mine("Sneakers", "Heels", "Boots", "Sandals") or some(
        "Sneakers", "Sneakers", "Boots", *(("Heels", "Sandals", "Heels") if woman else ())
    )
    bag = mine("Handbag", "Backpack") or (some("Handbag" if woman else "Backpack") if rng.random() < 0.4 else None)
    hat = mine("Cap", "Hat") or (some("Cap", "Hat") if rng.random() < 0.16 else None)
    glasses = mine("Sunglasses") or (some("Sunglasses") if rng.random() < 0.2 else None)
    watch = mine("Watch") or (some("Watch") if rng.random() < 0.12 else None)
    inner = None
    if top is not None and top.word("neck") in ("lapel", "blazer", "biker"):
        inner = some("T-Shirt", "Shirt", "Shirt")
        inner = replace(inner, cut={**inner.cut, "length": 56.0, "ease": 0.0})
    return Outfit(top, bottom, dress, shoes, bag, hat, glasses, watch, inner)


def render_worn(spec: ProductSpec, rng: Rng, size: tuple[int, int]) -> Photo:
    """The product on a figure: mostly in a street, sometimes before a studio wall as shops do.

    A photo on which the product can't be seen is taken again, from nearer.
    """
    for tries in range(4):
        photo = _worn(spec, rng, size, near=tries > 0)
        if any(box.is_main for box in photo.boxes):
            break
    return photo


def _worn(spec: ProductSpec, rng: Rng, size: tuple[int, int], near: bool) -> Photo:
    """One try."""
    gender = spec.gender if spec.gender != "Unisex" else ("Women" if rng.random() < 0.5 else "Men")
    pose = standing(gender, rng)
    person = random_person(gender, pose, rng)
    outfit = dress_up(spec, gender, rng)
    shown = (spec, *(p for p in outfit.pieces() if p is not spec))
    if spec is outfit.shoes:
        shown = (spec, *shown)
    canvas = Canvas(
        *size,
        rng,
        light=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.8, -0.4)), 0.85),
        form=rng.uniform(0.7, 1.2),
    )
    low, high = _frame(spec, pose, rng, near)
    scale = size[1] / (high - low)
    x = size[0] * (0.5 + rng.normal(0, 0.05))
    if spec.type == "Watch" and high - low < 60:
        x = size[0] / 2 - scale * float(pose.wrist[_free_arm(pose), 0])
    canvas.place = Placing(scale, (x, -low * scale), rng.normal(0, 0.012))
    _draw_outfit(canvas, person, outfit, shown, rng)
    if rng.random() < 0.22:
        background, camera = studio(*size, rng), studio_camera(rng)
    else:
        horizon = (FLOOR - rng.uniform(4, 60) - low) / (high - low)
        background, camera = street(*size, float(np.clip(horizon, 0.05, 1.0)), rng), street_camera(rng)
        background = _standing_shadow(background, canvas, low, high, rng)
    background *= ground_shadow(canvas, size[0] * 0.004, size[0] * 0.02, 0.08)[..., None]
    return finish(canvas, background, shown, camera, rng, rng.uniform(0.2, 0.8))


def _free_arm(pose: Pose) -> int:
    """The side whose wrist is not behind the body."""
    return int(np.abs(pose.wrist[:, 0]).argmax())


def _frame(spec: ProductSpec, pose: Pose, rng: Rng, near: bool) -> tuple[float, float]:
    """The figure's part in the photo, y in centimeters."""
    choices = FRAMES[spec.group]
    pick = len(choices) - 1 if near else int(rng.choice(len(choices), p=[odds for _, odds in choices]))
    low, high = choices[pick][0]
    if spec.type == "Watch" and pick == 1:
        y = float(pose.wrist[_free_arm(pose), 1])
        return y - 24, y + 24
    margin = (high - low) * rng.uniform(0.0, 0.1)
    return low - margin * rng.uniform(0, 1), high + margin * rng.uniform(0, 1)


def _standing_shadow(background: np.ndarray, canvas: Canvas, low: float, high: float, rng: Rng) -> np.ndarray:
    """A soft dark ellipse under the feet."""
    height, width = background.shape[:2]
    scale = canvas.scale
    y0 = (FLOOR - low) * scale
    if y0 > height * 1.1:
        return background
    x0 = canvas.place.origin[0] - canvas.light[0] * 16 * scale
    y, x = np.ogrid[0:height, 0:width]
    field = ((x - x0) / (34 * scale)) ** 2 + ((y - y0) / (8 * scale)) ** 2
    return background * (1 - rng.uniform(0.25, 0.5) * np.exp(-field))[..., None].astype(np.float32)


def _draw_outfit(canvas: Canvas, person: Person, outfit: Outfit, shown: tuple[ProductSpec, ...], rng: Rng) -> None:
    """Body and garments from the back to the front."""
    pose = person.pose
    numbers = {id(piece): index + 1 for index, piece in reversed(list(enumerate(shown)))}
    canvas.current = 0
    draw_body(canvas, person)
    _draw_shoes(canvas, outfit.shoes, pose, shown)
    tucked = outfit.top is not None and outfit.top.type in ("T-Shirt", "Shirt", "Sweater") and rng.random() < 0.3
    order = [outfit.dress, outfit.inner, outfit.bottom, outfit.top]
    if tucked:
        order = [outfit.top, outfit.bottom]
    for piece in order:
        if piece is not None:
            canvas.current = numbers[id(piece)]
            draw(canvas, piece, pose)
    figure = canvas.place
    if outfit.watch is not None:
        _draw_watch(canvas, outfit.watch, pose, numbers[id(outfit.watch)], figure)
    if outfit.bag is not None:
        _draw_bag(canvas, outfit.bag, person, numbers[id(outfit.bag)], figure, rng)
    canvas.current = 0
    draw_head(canvas, person, hat=outfit.hat is not None)
    if outfit.glasses is not None:
        canvas.current = numbers[id(outfit.glasses)]
        canvas.place = figure.moved(0.0, -17.2, rng.normal(0, 0.03), 0.92)
        draw_sunglasses(canvas, outfit.glasses, outfit.glasses.material(canvas.scale), worn=True)
    if outfit.hat is not None:
        canvas.current = numbers[id(outfit.hat)]
        canvas.place = figure.moved(0.0, -21.4 if outfit.hat.type == "Cap" else -20.6, rng.normal(0, 0.05), 0.84)
        draw(canvas, outfit.hat, pose)
    canvas.place = figure


def _draw_shoes(canvas: Canvas, shoes: ProductSpec, pose: Pose, shown: tuple[ProductSpec, ...]) -> None:
    """One shoe a foot, toes turned out."""
    figure = canvas.place
    numbers = [index + 1 for index, piece in enumerate(shown) if piece is shoes]
    for side, number in zip((0, 1), numbers, strict=True):
        s = 1.0 if side else -1.0
        squeeze = float(canvas.rng.uniform(0.5, 0.72))
        canvas.current = number
        canvas.place = figure.moved(
            float(pose.ankle[side, 0]) - s * 5.2 * squeeze, FLOOR, 0.0, 0.92, flip=side == 0, squeeze=squeeze
        )
        draw(canvas, shoes, pose)
    canvas.place = figure
    canvas.current = 0


def _draw_watch(canvas: Canvas, watch: ProductSpec, pose: Pose, number: int, figure: Placing) -> None:
    """Around the wrist of the arm that hangs, strap across it."""
    side = _free_arm(pose)
    along = pose.wrist[side] - pose.elbow[side]
    turn = float(np.arctan2(-along[0], along[1])) + np.pi / 2
    at = pose.wrist[side] - along / np.hypot(*along) * 0.6
    canvas.current = number
    canvas.place = replace(figure.moved(float(at[0]), float(at[1]), turn, 0.62), squeeze=1.0)
    draw(canvas, watch, pose)
    canvas.place = figure


def _draw_bag(canvas: Canvas, bag: ProductSpec, person: Person, number: int, figure: Placing, rng: Rng) -> None:
    """Held in the left or right hand by its handle."""
    side = int(rng.integers(2))
    pose = person.pose
    along = pose.wrist[side] - pose.elbow[side]
    hand = pose.wrist[side] + along / np.hypot(*along) * 9.0
    scale = 0.9 if bag.type == "Handbag" else 0.85
    rise = bag.size("height") + (bag.size("handle") * 0.9 if bag.type == "Handbag" else 5.0)
    canvas.current = number
    canvas.place = figure.moved(
        float(hand[0]),
        float(hand[1]) + (rise - 1.5) * scale,
        rng.normal(0, 0.05),
        scale,
        squeeze=float(rng.uniform(0.72, 1.0)),
    )
    draw(canvas, bag, pose)
    canvas.place = figure
    canvas.current = 0
    draw_hand(canvas, person, side)
