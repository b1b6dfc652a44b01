"""Rendered photos: every type in every scene, exact boxes, any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.demo import cutout, random_spec, render_photo, render_product, street, studio, surface
from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, spline, tube
from pipeline.demo.marks import mark
from pipeline.demo.material import Material
from pipeline.demo.placing import Placing
from pipeline.demo.scenes import boxes_of
from pipeline.demo.vocabulary import BRANDS, COLORS, PATTERNS, SCENES, TYPES


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("garment", TYPES)
def test_every_type_renders_in_every_scene(garment: str, scene: str) -> None:
    rng = np.random.default_rng(TYPES.index(garment))
    spec = random_spec(rng, "p1", type=garment)
    photo = render_photo(spec, scene, rng, (150, 200))
    assert photo.pixels.shape == (200, 150, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.std() > 4
    for box in photo.boxes:
        index = next(i for i, s in enumerate(photo.shown) if box_matches(photo.owner, i, box))
        assert photo.shown[index].type == box.type
    main = [box for box in photo.boxes if box.is_main]
    assert {box.type for box in main} == {garment}
    if scene != "worn":
        assert len(photo.boxes) == 1
        area = (main[0].x2 - main[0].x1) * (main[0].y2 - main[0].y1)
        assert area > 0.05 * 150 * 200


def box_matches(owner: np.ndarray, index: int, box: object) -> bool:
    """Whether a box is exactly the bounds of an object's visible pixels."""
    rows, cols = np.nonzero(owner == index + 1)
    if len(rows) == 0:
        return False
    bounds = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    return bounds == (box.x1, box.y1, box.x2, box.y2)  # type: ignore[attr-defined]


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(64, 260),
    height=st.integers(64, 260),
    garment=st.sampled_from(TYPES),
    scene=st.sampled_from(SCENES),
    seed=st.integers(0, 10_000),
)
def test_any_size_gives_boxes_inside_the_photo(width: int, height: int, garment: str, scene: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels, boxes = render_product(random_spec(rng, "p", type=garment), scene, rng, (width, height))
    assert pixels.shape == (height, width, 3)
    for box in boxes:
        assert 0 <= box.x1 < box.x2 <= width
        assert 0 <= box.y1 < box.y2 <= height


@pytest.mark.parametrize("scene", SCENES)
def test_the_same_generator_state_gives_the_same_photo(scene: str) -> None:
    spec = random_spec(np.random.default_rng(3), "p", type="Dress")
    first, _ = render_product(spec, scene, np.random.default_rng(8), (120, 160))
    again, _ = render_product(spec, scene, np.random.default_rng(8), (120, 160))
    other, _ = render_product(spec, scene, np.random.default_rng(9), (120, 160))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("color", COLORS)
def test_a_packshot_shows_the_color_it_is_named_after(color: str) -> None:
    rng = np.random.default_rng(1)
    spec = random_spec(rng, "p", type="T-Shirt", color=color, pattern="Solid")
    photo = render_photo(spec, "packshot", rng, (150, 200))
    seen = np.median(photo.pixels[photo.owner == 1], axis=0)
    assert np.abs(seen - np.asarray(spec.rgb)).max() < 46


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p != "Solid"])
def test_patterns_show(pattern: str) -> None:
    plain = random_spec(np.random.default_rng(2), "p", type="Dress", color="White", pattern="Solid")
    figured = random_spec(np.random.default_rng(2), "p", type="Dress", color="White", pattern=pattern)
    spread = []
    for spec in (plain, figured):
        photo = render_photo(spec, "packshot", np.random.default_rng(5), (240, 320))
        spread.append(photo.pixels[photo.owner == 1].std(0).max())
    assert spread[1] > spread[0] + 5


def test_a_worn_photo_shows_other_garments_too() -> None:
    for garment in ("T-Shirt", "Jeans", "Handbag"):
        rng = np.random.default_rng(11)
        _, boxes = render_product(random_spec(rng, "p", type=garment), "worn", rng, (240, 320))
        assert len(boxes) >= 2
        assert boxes[0].is_main


def test_cutouts_are_transparent_around_the_garment() -> None:
    rng = np.random.default_rng(0)
    picture = cutout(random_spec(rng, "p", type="Jacket"), rng, (150, 200))
    assert picture.shape == (200, 150, 4)
    assert picture.dtype == np.uint8
    assert picture[0, 0, 3] == 0
    assert 0.1 < (picture[..., 3] > 250).mean() < 0.95


@pytest.mark.parametrize("background", [studio, surface, lambda w, h, rng: street(w, h, 0.7, rng)])
def test_backgrounds_have_the_asked_for_size_and_range(background: object) -> None:
    for seed in range(6):
        scene = background(131, 97, np.random.default_rng(seed))  # type: ignore[operator]
        assert scene.shape == (97, 131, 3)
        assert np.isfinite(scene).all()
        assert scene.min() >= 0
        assert scene.max() <= 255


def test_brands_have_marks_of_their_own() -> None:
    signs = [mark(brand, (0, 0, 0), lettering=False)[..., 3].astype(float) / 255 for brand in BRANDS]
    for i, one in enumerate(signs):
        assert 0.03 < one.mean() < 0.8
        for other in signs[:i]:
            assert np.abs(one - other).mean() > 0.05


def test_a_piece_covers_what_its_outline_says() -> None:
    canvas = Canvas(100, 100, np.random.default_rng(0), place=Placing(10.0, (50.0, 50.0)))
    canvas.current = 1
    canvas.piece(ellipse((0, 0), 3, 2, count=90), Material((200, 10, 10)))
    edge = 160  # pixels along it; OpenCV's antialiased fill includes the outline itself
    assert abs(canvas.visible(1).sum() - np.pi * 30 * 20) < edge
    canvas.current = 2
    canvas.piece(np.array([(0, -5), (5, -5), (5, 5), (0, 5)]), Material((10, 200, 10)))
    assert abs(canvas.visible(1).sum() - np.pi * 30 * 20 / 2) < edge


def test_objects_outside_of_the_photo_leave_no_box() -> None:
    canvas = Canvas(50, 50, np.random.default_rng(0), place=Placing(1.0, (500.0, 500.0)))
    canvas.current = 1
    canvas.piece(ellipse((0, 0), 3, 2), Material((200, 10, 10)))
    spec = random_spec(np.random.default_rng(0), "p")
    assert boxes_of(canvas.owner, (spec,)) == ()


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=3, max_size=9, unique=True))
def test_a_spline_goes_through_its_points(points: list[tuple[float, float]]) -> None:
    curve = spline(points, steps=4)
    gaps = np.hypot(*(curve[:, None] - np.asarray(points)[None]).transpose(2, 0, 1)).min(0)
    assert gaps.max() < 1e-6


def test_a_tube_is_as_wide_as_asked() -> None:
    outline = tube([(0, 0), (0, 5), (0, 10)], (2.0, 2.0))
    assert outline[:, 0].min() == pytest.approx(-2)
    assert outline[:, 0].max() == pytest.approx(2)
