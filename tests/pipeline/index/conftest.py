"""Small galleries with clusters, so that neighbors mean something, and stores to build them into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.index.build import build_index
from pipeline.index.files import Files
from pipeline.index.gallery import Index
from pipeline.index.manifest import Manifest
from pipeline.index.matrix import MatrixSource
from pipeline.index.publish import publish
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store

DIM = 32


def make_vectors(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """float16 (n, dim), L2-normalized, in clusters."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(40, dim))
    vectors = centers[random.integers(0, 40, n)] + 0.5 * random.normal(size=(n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def make_attributes(n: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns of a gallery; three photos a product, some colors unknown."""
    random = np.random.default_rng(seed + 1)
    return {
        "group": random.choice(["footwear", "upper-body", "whole"], n, p=[0.3, 0.6, 0.1]).tolist(),
        "type": random.choice(["Dress", "Shirt", "Shoe"], n).tolist(),
        "color": [None if c == "none" else c for c in random.choice(["Red", "Blue", "none"], n).tolist()],
        "product_id": [f"p{number // 3}" for number in range(n)],
    }


class Shop:
    """A warehouse folder with an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = self.configure()
        self.store = open_store(str(folder / "index"), self.settings)

    def configure(self, **index: Any) -> Settings:
        """Settings for this folder."""
        values = {"threads": 1, "cache": str(self.folder / "cache"), "held_out": 60, **index}
        return load_settings(warehouse={"uri": str(self.folder)}, index=values)

    def build(self, source: MatrixSource, *, base: str | None = None, full: bool = False, **index: Any) -> Manifest:
        """Build a version."""
        return build_index(source, self.store, self.configure(**index).index, base=base, full=full)

    def publish(self, source: MatrixSource, **index: Any) -> Manifest:
        """Build a version and make it live."""
        manifest = self.build(source, **index)
        publish(self.store, self.configure(**index).index, manifest.version)
        return manifest

    def store_files(self, manifest: Manifest) -> list[str]:
        """Keys of a version that was built upon nothing."""
        return [manifest.key, *(entry.key for entry in manifest.files)]

    def open(self, version: str | None = None) -> Index:
        """The live index."""
        return Index.open(None, self.settings, version)

    def index(self, manifest: Manifest) -> Index:
        """A version, live or not."""
        return Index(manifest, Files(self.store, self.folder / "cache"), threads=1)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture(scope="session")
def shop_type() -> type[Shop]:
    return Shop


@pytest.fixture(scope="session")
def gallery() -> SimpleNamespace:
    """600 vectors with attributes, and a source over them."""
    vectors, attributes = make_vectors(600), make_attributes(600)
    return SimpleNamespace(vectors=vectors, attributes=attributes, source=MatrixSource(vectors, attributes))


@pytest.fixture(scope="session")
def vectors() -> Callable[..., np.ndarray]:
    return make_vectors


@pytest.fixture(scope="session")
def attributes() -> Callable[..., dict[str, list[Any]]]:
    return make_attributes
