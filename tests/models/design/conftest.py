"""Small pictures to design from: discs (dark) and bars (light) on white, in 16 x 16 pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.design.options import DesignOptions, from_preset
from models.design.pictures import DesignPictures, DesignWriter, read_design_pictures

SIZE = 16


def write_shapes(folder: Path, size: int = SIZE, count: int = 12) -> Path:
    rng = np.random.default_rng(0)
    writer = DesignWriter(folder, size, count + 1, ("type",))  # one more than there will be
    for number in range(count):
        picture = np.full((size, 2 * size, 3), 255, np.uint8)
        shape = picture[size // 4 : 3 * size // 4, size // 2 :]
        shape[:] = rng.integers(0, 60) if number % 2 else rng.integers(120, 180)
        label = ("bar", "disc")[number % 2] if number else None
        row = {"file": f"{number}.png", "product_id": str(number), "type": label}
        writer.add(writer.preprocessing.resize_image(picture).numpy(), row)
    writer.close()
    return folder


@pytest.fixture(scope="session")
def write_designs() -> Callable[..., Path]:
    """Write a folder of pictures; give `size` or `count` for others."""
    return write_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> DesignPictures:
    return read_design_pictures(write_shapes(tmp_path_factory.mktemp("shapes")))


@pytest.fixture(scope="session")
def small() -> DesignOptions:
    return from_preset("exp4", size=SIZE, width=4, noise=6, batch=4, epochs=2, average=0.9, mirror=True)
