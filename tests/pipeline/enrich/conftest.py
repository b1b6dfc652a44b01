"""The tiny release and its photos as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_release import dirty_files, photo_bytes, write_tiny_release

from models.release import Release, load_release
from pipeline.errors import Reason


@pytest.fixture(scope="session")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release folder; the backbone reads 64 pixels, to be quick."""
    return write_tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def full_size_release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but the backbone reads 224 pixels, as it was trained to."""
    return write_tiny_release(tmp_path_factory.mktemp("release"), 224)


@pytest.fixture(scope="session")
def release(release_folder: Path) -> Release:
    """That release, loaded on the CPU in fp32, passes of 4."""
    return load_release(release_folder, "cpu", "fp32", batch_images=4)


@pytest.fixture(scope="session")
def make_photo() -> Callable[..., bytes]:
    """`make_photo(seed, width=150, height=200, kind="JPEG")`: the bytes of a clean photo."""
    return photo_bytes


@pytest.fixture(scope="session")
def dirty() -> dict[str, tuple[bytes, Reason | None]]:
    """See `dirty_files`."""
    return dirty_files()
