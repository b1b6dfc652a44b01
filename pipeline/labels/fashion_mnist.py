"""Fashion-MNIST (Xiao et al. 2017): 70,000 pictures of clothes, 28 x 28 grey pixels, 10 types, in idx files.

The Debian package `dataset-fashion-mnist` puts them under /usr/share/datasets/fashion-mnist; any folder with the four
files will do, gzipped or not. The pictures are light on black; they are handed on dark on white and four times
larger, as photos of a shop look.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.errors import InputError
from pipeline.labels.catalog import LabelColumns, LabelledCatalog, from_table
from pipeline.settings import Settings
from pipeline.storage.base import Fetched, ObjectMissing, ObjectStore
from pipeline.storage.opening import open_store

FOLDER = "/usr/share/datasets/fashion-mnist"
PARTS = ("train", "t10k")
TYPES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip
"""Labels 0 to 9."""

LABELS, IMAGES = "{}-labels-idx1-ubyte", "{}-images-idx3-ubyte"
SCALE = 4


@dataclass(frozen=True)
class IdxPhotos:
    """The pictures of idx files as PNG photos, `train/00042.png`.

    Args:
        uri: the folder.
        pictures: part -> uint8 (N, height, width).
    """

    uri: str
    pictures: Mapping[str, np.ndarray]

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = 4
    ) -> Fetched:
        """One picture, enlarged and inverted; limits do not concern a few hundred bytes in memory.

        Raises:
            ObjectMissing: there is no such picture.
        """
        part, _, name = key.partition("/")
        number = name.removesuffix(".png")
        if part not in self.pictures or not number.isdecimal() or int(number) >= len(self.pictures[part]):
            raise ObjectMissing(f"{self.uri} has no picture {key}")
        grey = Image.fromarray(255 - self.pictures[part][int(number)])
        large = grey.resize((grey.width * SCALE, grey.height * SCALE), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        large.save(file, "PNG")
        return Fetched(file.getvalue(), key)


def read_fashion_mnist(uri: str, settings: Settings) -> LabelledCatalog:
    """The head `type` for every picture; each is its own product.

    Args:
        uri: a folder or s3:// prefix: both parts, `train` and `t10k`, as far as they are there; or one file of labels:
            its part only, such as FOLDER/t10k-labels-idx1-ubyte.gz, to test on the official test pictures.

    Raises:
        InputError: a file is missing, damaged, or no idx file; or labels and pictures do not fit.
    """
    folder, parts = _parts(uri)
    store = open_store(folder, settings)
    pictures: dict[str, np.ndarray] = {}
    rows = []
    for part in parts:
        labels = _read(store, LABELS.format(part), 1, missing_is_none=len(parts) > 1)
        if labels is None:
            continue
        found = _read(store, IMAGES.format(part), 3)
        if found is None or len(found) != len(labels):
            raise InputError(
                f"{folder}: {part} has {len(labels)} labels, but {0 if found is None else len(found)} pictures"
            )
        if len(labels) and labels.max() >= len(TYPES):
            raise InputError(f"{folder}: {part} has the label {labels.max()}; Fashion-MNIST has 0 to {len(TYPES) - 1}")
        pictures[part] = found
        names = [f"{part}/{number:05}.png" for number in range(len(labels))]
        rows.append(pd.DataFrame({"file": names, "type": np.array(TYPES, object)[labels]}))
    if not rows:
        raise InputError(
            f"{folder} has no {LABELS.format(PARTS[0])} (.gz); install dataset-fashion-mnist and name {FOLDER}, "
            "or name the folder that has the files"
        )
    table = pd.concat(rows, ignore_index=True)
    return from_table(table, LabelColumns("file", None, {"type": "type"}), IdxPhotos(folder, pictures), "fashion-mnist")


def _parts(uri: str) -> tuple[str, tuple[str, ...]]:
    folder, _, name = uri.rstrip("/").rpartition("/")
    for part in PARTS:
        if name.removesuffix(".gz") == LABELS.format(part):
            return folder or ".", (part,)
    return uri, PARTS


def _read(store: ObjectStore, name: str, dims: int, *, missing_is_none: bool = False) -> np.ndarray | None:
    for key in (name, f"{name}.gz"):
        try:
            data = store.get(key).data
        except ObjectMissing:
            continue
        return read_idx(data, f"{store.uri}/{key}", dims)
    if missing_is_none:
        return None
    raise InputError(f"{store.uri} has neither {name} nor {name}.gz")


def read_idx(data: bytes, uri: str, dims: int) -> np.ndarray:
    """An idx file of bytes with `dims` axes: uint8, shape as its head says.

    Raises:
        InputError: not such a file, or cut off.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{uri} is damaged: {error}") from None
    head = 4 + 4 * dims
    if len(data) < head or data[:4] != bytes((0, 0, 8, dims)):
        raise InputError(f"{uri} is no idx file of bytes with {dims} axes")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dims, 4))
    if len(data) - head != math.prod(shape):
        raise InputError(f"{uri} is cut off or too long: {len(data) - head} bytes, its head says {math.prod(shape)}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
