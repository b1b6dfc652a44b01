"""Fashion-MNIST from idx files: both parts or one, gzipped or not, down to cached features."""

from __future__ import annotations

import gzip
import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.cards import read_card, write_card
from models.preprocessing import Preprocessing
from models.release import load_release
from models.release_cards import STARTER, write_release
from models.training.features import read_features
from pipeline.errors import InputError
from pipeline.labels.extract import extract
from pipeline.labels.fashion_mnist import TYPES, read_fashion_mnist
from pipeline.labels.sources import Source
from pipeline.settings import load_settings
from pipeline.storage.base import ObjectMissing

SETTINGS = load_settings()


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve training pictures as plain files, five test pictures gzipped."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        pictures = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", pictures), (f"{part}-labels-idx1-ubyte", labels)):
            if part == "train":
                (tmp_path / name).write_bytes(idx(array))
            else:
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_both_parts_with_their_names(folder: Path) -> None:
    made = read_fashion_mnist(str(folder), SETTINGS)
    assert len(made.rows) == 17
    assert made.rows["type"].head(10).tolist() == list(TYPES)
    assert made.rows["file"].iloc[-1] == "t10k/00004.png"
    assert made.rows["product_id"].is_unique
    assert made.name == "fashion-mnist"


def test_one_part_is_named_by_its_labels(folder: Path) -> None:
    made = read_fashion_mnist(str(folder / "t10k-labels-idx1-ubyte.gz"), SETTINGS)
    assert made.rows["file"].tolist() == [f"t10k/0000{number}.png" for number in range(5)]


def test_pictures_are_turned_dark_on_white_and_enlarged(folder: Path) -> None:
    pictures = np.zeros((12, 28, 28), np.uint8)
    pictures[3, 7:21, 7:21] = 255
    (folder / "train-images-idx3-ubyte").write_bytes(idx(pictures))
    photos = read_fashion_mnist(str(folder), SETTINGS).images
    seen = np.asarray(Image.open(io.BytesIO(photos.get("train/00003.png").data)))
    assert seen.shape == (112, 112)
    assert seen[0, 0] == 255
    assert seen[56, 56] == 0
    for key in ("train/00012.png", "other/00001.png", "train/x.png"):
        with pytest.raises(ObjectMissing, match="no picture"):
            photos.get(key)


def test_features_of_fashion_mnist(folder: Path, tmp_path: Path) -> None:
    real = read_card(STARTER / "cards" / "efficientnet_lite0.toml")
    tiny = replace(real, name="tiny", preprocessing=Preprocessing(32, (127.0,) * 3, (128.0,) * 3))
    write_card(tiny, None, tmp_path / "release")
    write_release(tmp_path / "release", {"backbone": "tiny.toml"})
    release = load_release(tmp_path / "release", "cpu", "fp32", batch_images=8)
    source = Source(str(folder), None, None, None, None, [], None, None, "fashion-mnist")
    made = extract(source.open(SETTINGS), release, SETTINGS, tmp_path / "f", lambda n: None)
    assert made.rows == 17
    assert made.left_out == {}
    assert read_features(tmp_path / "f").rows["type"].nunique() == 10


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("train-labels-idx1-ubyte", b"not idx at all", "no idx file of bytes with 1 axes"),
        (
            "train-labels-idx1-ubyte",
            idx(np.zeros(12, np.uint8))[:-2],
            "cut off or too long: 10 bytes, its head says 12",
        ),
        ("train-labels-idx1-ubyte", idx(np.zeros(9, np.uint8)), "9 labels, but 12 pictures"),
        ("train-labels-idx1-ubyte", idx(np.full(12, 10, np.uint8)), "label 10; Fashion-MNIST has 0 to 9"),
        ("train-labels-idx1-ubyte", gzip.compress(idx(np.zeros(12, np.uint8)), mtime=0)[:20], "is damaged"),
        ("train-images-idx3-ubyte", None, "neither train-images-idx3-ubyte nor"),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, data: bytes | None, words: str) -> None:
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_fashion_mnist(str(folder), SETTINGS)


def test_a_folder_without_them_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="install dataset-fashion-mnist"):
        read_fashion_mnist(str(tmp_path), SETTINGS)
