"""Small pairs of pictures: stripes that stand (side A) and stripes that lie (side B), in few colors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair, PictureWriter, read_pictures

SIZE = 32
TINY = TranslateOptions(
    size=SIZE, width=4, discriminator_width=4, epochs=1, decay_epochs=1, batch=2, pool=3, average=0.9, steps_per_epoch=3
)


def stripes(rng: np.random.Generator, *, upright: bool) -> np.ndarray:
    """uint8 (48, 40, 3)."""
    picture = np.full((48, 40, 3), 235, np.uint8)
    color = rng.integers(0, 200, 3, np.uint8)
    for begin in range(int(rng.integers(0, 6)), 40, 8):
        picture[(slice(None), slice(begin, begin + 4)) if upright else (slice(begin, begin + 4), slice(None))] = color
    return picture


def write_stripes(folder: Path, seed: int = 0, size: int = SIZE) -> Path:
    rng = np.random.default_rng(seed)
    writer = PictureWriter(folder, size, {"a": 10, "b": 9})
    for side, count in (("a", 9), ("b", 8)):  # one row less than there was room for
        for number in range(count):
            part = "test" if number < 3 else "train"
            picture = writer.resized(stripes(rng, upright=side == "a"), part)
            writer.add(side, part, picture, {"file": f"{side}{number}.png", "product_id": str(number)})
    writer.close({"a": "upright", "b": "lying"}, {"a": ("Dress",), "b": ("Boots", "Heels")})
    return folder


@pytest.fixture(scope="session")
def write_pictures() -> Callable[..., Path]:
    """Write a folder of pictures; give `seed` and `size` for others."""
    return write_stripes


@pytest.fixture(scope="session")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("striped"))


@pytest.fixture
def pair(striped: Path) -> PicturePair:
    return read_pictures([striped])


@pytest.fixture(scope="session")
def tiny() -> TranslateOptions:
    return TINY
