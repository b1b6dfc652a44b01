"""A photo in which nothing is found (catalogs hold unrelated pictures) is kept, marked by 0 garments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.detections import GROUPS
from models.detector import Judgement, LoadedDetector
from models.release import Release, load_release
from pipeline.catalog import PlannedImage
from pipeline.enrich.batch import enrich_batch
from pipeline.enrich.rows import Stamp
from pipeline.settings import load_settings


@pytest.fixture
def picky(release_folder: Path) -> Release:
    """The tiny release with a detector that is never sure enough."""
    release = load_release(release_folder, "cpu", "fp32", batch_images=4)
    loaded = release._detector
    assert isinstance(loaded, LoadedDetector)
    never = Judgement(GROUPS, dict.fromkeys(GROUPS, 1.0))
    release._detector = LoadedDetector(loaded.network, loaded.preprocessing, never, loaded.placement)
    return release


def test_a_photo_without_a_garment_is_kept_and_marked(picky: Release, make_photo: Callable[..., bytes]) -> None:
    photos = [(PlannedImage(f"{seed}.jpg", "e", 1, None), make_photo(seed)) for seed in range(3)]
    stamp = Stamp("0" * 16, "run", picky.release_id, picky.feature_id, datetime(2026, 7, 31, tzinfo=UTC))
    made = enrich_batch(photos, picky, load_settings(decode={"working_side": 128}), stamp)
    assert made.images.num_rows == 3
    assert not made.rejects
    assert made.garments.num_rows == 0
    for row in made.images.to_pylist():
        assert row["garments"] == 0
        assert row["main_group"] is None
    kinds = made.embeddings.column("kind").to_pylist()
    assert kinds == ["image"] * 3  # the whole picture's values are there all the same
