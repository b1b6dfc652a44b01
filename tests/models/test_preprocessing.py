"""Pixels before the network: sizes, fills, ranges, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import DataError
from models.preprocessing import Preprocessing

STRETCH = Preprocessing(32, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
LETTERBOX = Preprocessing(32, (10.0, 20.0, 30.0), (64.0, 64.0, 64.0), "letterbox")


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 90), width=st.integers(1, 90), mode=st.sampled_from([STRETCH, LETTERBOX]))
def test_any_size_becomes_the_square(height: int, width: int, mode: Preprocessing) -> None:
    out = mode.resize_image(np.full((height, width, 3), 200, np.uint8))
    assert out.shape == (3, 32, 32)
    assert out.dtype == torch.uint8
    assert (out == 200).any()


def test_letterbox_keeps_the_aspect_and_fills_with_the_mean() -> None:
    out = LETTERBOX.resize_image(np.full((10, 20, 3), 200, np.uint8))
    assert out[:, 0, 0].tolist() == [10, 20, 30]
    assert (out == 200).all(dim=0).sum() == 32 * 16


def test_resize_is_antialiased() -> None:
    checkered = np.indices((64, 64)).sum(axis=0) % 2 * 255
    out = STRETCH.resize_image(np.repeat(checkered[:, :, None], 3, axis=2).astype(np.uint8))
    assert out.float().std() < 20  # without a filter it would alternate between 0 and 255


def test_read_only_views_and_crops_work() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    whole = STRETCH.resize_image(np.ascontiguousarray(image[5:30, 10:40]))
    view = image[5:30, 10:40]
    view.flags.writeable = False
    assert torch.equal(STRETCH.resize_image(view), whole)


def test_normalize() -> None:
    batch = torch.tensor([127, 255, 0], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert STRETCH.normalize(batch).flatten().tolist() == [0.0, 1.0, -127 / 128]


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_not_a_picture(bad) -> None:
    with pytest.raises(DataError, match="uint8"):
        STRETCH.resize_image(bad)


def test_dict_round_trip() -> None:
    assert Preprocessing.from_dict(LETTERBOX.as_dict()) == LETTERBOX
