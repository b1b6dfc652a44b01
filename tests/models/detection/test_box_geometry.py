"""Letterbox, crops and flips."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.boxes.geometry import Letterbox, crop_window, flipped
from models.preprocessing import Preprocessing

SIDES = st.integers(1, 700)


@settings(deadline=None)  # a busy machine is no failure
@given(SIDES, SIDES, st.sampled_from([64, 96, 288]))
def test_letterbox_and_back_is_where_it_was(width: int, height: int, size: int) -> None:
    frame = Letterbox(width, height, size)
    boxes = np.array([[0, 0, width, height], [width / 4, height / 3, width / 2, height * 0.9]], np.float32)
    inside = frame.into(boxes)
    assert inside.min() >= 0
    assert inside.max() <= size + 1e-3
    assert np.allclose(frame.back(inside), boxes, atol=1e-2 * max(width, height) / 100)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(20, 400), st.integers(20, 400))
def test_letterbox_agrees_with_the_preprocessing(width: int, height: int) -> None:
    white = np.full((height, width, 3), 255, np.uint8)
    pixels = Preprocessing(64, (0, 0, 0), (1, 1, 1), "letterbox").resize_image(white)
    x1, y1, x2, y2 = (
        Letterbox(width, height, 64).into(np.array([[0, 0, width, height]], np.float32))[0].round().astype(int)
    )
    assert bool((pixels[:, y1:y2, x1:x2] == 255).all())
    assert int((pixels[0] == 255).sum()) == (x2 - x1) * (y2 - y1)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 300), st.integers(1, 300), st.lists(st.floats(-50, 400), min_size=4, max_size=4), st.floats(0, 1))
def test_a_crop_always_lies_in_the_picture_and_has_pixels(
    width: int, height: int, corners: list[float], margin: float
) -> None:
    x1, x2 = sorted(corners[:2])
    y1, y2 = sorted(corners[2:])
    left, top, right, bottom = crop_window(np.array([x1, y1, x2, y2]), width, height, margin)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_a_crop_has_its_margin_on_each_side() -> None:
    assert crop_window(np.array([20, 30, 40, 70]), 100, 100, 0.1) == (16, 26, 44, 74)
    assert crop_window(np.array([20, 30, 40, 70]), 100, 100, 0.0) == (20, 30, 40, 70)
    assert crop_window(np.array([2, 2, 98, 98]), 100, 100, 0.5) == (0, 0, 100, 100)


def test_flipping_twice_is_nothing() -> None:
    boxes = np.array([[1, 2, 30, 40]], np.float32)
    assert flipped(boxes, 100).tolist() == [[70, 2, 99, 40]]
    assert flipped(flipped(boxes, 100), 100).tolist() == boxes.tolist()
