"""A batch: rows in = rows out + rejects, every declared column, and neighbors that never notice a bad photo."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from models.release import Release, load_release
from pipeline.catalog import PlannedImage
from pipeline.enrich.batch import Enriched, enrich_batch
from pipeline.enrich.query import read_photos
from pipeline.enrich.rows import Stamp
from pipeline.errors import PhotoError, Reason
from pipeline.settings import Settings, load_settings
from pipeline.tables.schema import TABLES

TIMINGS = ("fetch_ms", "decode_ms", "model_ms")
DIRTY = (
    *("empty.jpg", "html.jpg", "truncated.jpg", "header-only.jpg", "corrupt.jpg", "bomb.png", "huge.bmp", "tiny.png"),
    *("heic.jpg", "cmyk.jpg", "sixteen-bit.png", "palette.png", "transparent.png", "rotated.jpg", "animated.gif"),
    *("strip.png", "black.png"),
)
Dirty = dict[str, tuple[bytes, Reason | None]]
Photos = dict[str, bytes]
Rows = dict[str, list[dict[str, object]]]


def planned(key: str, data: bytes = b"") -> PlannedImage:
    return PlannedImage(key, f"etag-{key}", len(data), key.split("-")[0])


def stamp_for(release: Release) -> Stamp:
    return Stamp("0" * 16, "run", release.release_id, release.feature_id, datetime(2026, 7, 31, tzinfo=UTC))


def enrich(photos: dict[str, bytes | PhotoError], release: Release, settings: Settings) -> Enriched:
    images = [(planned(key, data if isinstance(data, bytes) else b""), data) for key, data in photos.items()]
    return enrich_batch(images, release, settings, stamp_for(release))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(decode={"max_pixels": 1_000_000, "working_side": 128}, fetch={"max_bytes": 2**20})


@pytest.fixture(scope="module")
def good(make_photo: Callable[..., bytes]) -> Photos:
    return {f"good-{seed:02d}.jpg": make_photo(seed) for seed in range(9)}


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def any_release(request: pytest.FixtureRequest, release_folder: Path) -> Release:
    """Both precisions: their kernels divide the work differently."""
    return load_release(release_folder, "cpu", request.param, batch_images=4)


def rows_of(enriched: Enriched, keys: set[str]) -> Rows:
    """The rows of `keys` in every table, timings left out; floats and vectors stay what they are, to the bit."""
    return {
        name: [
            {column: value for column, value in row.items() if column not in TIMINGS}
            for row in getattr(enriched, name).to_pylist()
            if row["image_key"] in keys
        ]
        for name in ("images", "garments", "embeddings")
    }


def test_every_photo_is_a_row_or_a_reject_with_the_declared_columns(
    good: Photos, dirty: Dirty, release: Release, settings: Settings
) -> None:
    made = enrich(good | {key: data for key, (data, _) in dirty.items()}, release, settings)
    assert made.images.num_rows + len(made.rejects) == len(good) + len(dirty)
    for name in ("images", "garments", "embeddings"):
        assert getattr(made, name).schema == TABLES[name].arrow_schema
    counts = dict(
        zip(made.images.column("image_key").to_pylist(), made.images.column("garments").to_pylist(), strict=True)
    )
    assert len(set(counts.values())) > 1, "the detector finds the same number everywhere: the test is too easy"
    assert made.garments.num_rows == sum(counts.values())
    assert made.embeddings.num_rows == sum(1 + count for count in counts.values())


def test_every_kind_of_dirty_file_gets_its_reason(dirty: Dirty, release: Release, settings: Settings) -> None:
    assert set(dirty) == {f"dirty-{name}" for name in DIRTY}
    made = enrich({key: data for key, (data, _) in dirty.items()}, release, settings)
    reasons = {reject.image.image_key: reject.reason for reject in made.rejects}
    assert reasons == {key: reason for key, (_, reason) in dirty.items() if reason}
    readable = {key for key, (_, reason) in dirty.items() if reason is None}
    assert set(made.images.column("image_key").to_pylist()) == readable


@pytest.fixture(scope="module")
def clean_rows(good: Photos, any_release: Release, settings: Settings) -> Rows:
    """The rows of the clean photos without any other beside them."""
    return rows_of(enrich(good, any_release, settings), set(good))


@pytest.mark.parametrize("bad", DIRTY)
def test_a_bad_photo_never_changes_its_neighbors(
    bad: str, good: Photos, dirty: Dirty, clean_rows: Rows, any_release: Release, settings: Settings
) -> None:
    """The heart of it: with the bad photo in their midst the rows of the others are the same, to the bit."""
    key = f"dirty-{bad}"
    some = list(good)[2:6]
    photos = {some[0]: good[some[0]], key: dirty[key][0]} | {name: good[name] for name in some[1:]}
    made = rows_of(enrich(photos, any_release, settings), set(some))
    assert made == {table: [row for row in rows if row["image_key"] in some] for table, rows in clean_rows.items()}


def test_dirt_everywhere_changes_nothing_and_neither_does_order(
    good: Photos, dirty: Dirty, clean_rows: Rows, any_release: Release, settings: Settings
) -> None:
    mixed: Photos = {}
    for name, key in zip_longest(good, dirty):
        mixed |= {key: dirty[key][0]}
        mixed |= {name: good[name]} if name else {}
    assert rows_of(enrich(mixed, any_release, settings), set(good)) == clean_rows
    backwards = rows_of(enrich(dict(reversed(good.items())), any_release, settings), set(good))
    by_key = {table: sorted(rows, key=lambda row: str(row["image_key"])) for table, rows in backwards.items()}
    assert by_key == clean_rows


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_at_full_size_a_photo_alone_reads_as_in_company(
    precision: str, good: Photos, dirty: Dirty, full_size_release_folder: Path, settings: Settings
) -> None:
    """The backbone at the size it was trained for: other shapes, other kernels than in the quick tests."""
    release = load_release(full_size_release_folder, "cpu", precision, batch_images=4)
    some = {name: good[name] for name in list(good)[:3]}
    together = enrich(some | {"dirty-black.png": dirty["dirty-black.png"][0]}, release, settings)
    for name, data in list(some.items())[1:]:
        assert rows_of(enrich({name: data}, release, settings), {name}) == rows_of(together, {name})


def test_what_could_not_be_fetched_is_a_reject_already(good: Photos, release: Release, settings: Settings) -> None:
    fault = PhotoError(Reason.VANISHED, "gone")
    made = enrich({"a.jpg": fault, **good}, release, settings)
    assert [(one.image.image_key, one.reason, one.message) for one in made.rejects] == [
        ("a.jpg", Reason.VANISHED, "gone")
    ]
    assert made.images.num_rows == len(good)


def test_an_empty_batch_gives_empty_tables(release: Release, settings: Settings) -> None:
    made = enrich({}, release, settings)
    assert made.images.num_rows == made.garments.num_rows == made.embeddings.num_rows == len(made.rejects) == 0
    assert made.images.schema == TABLES["images"].arrow_schema


def test_vectors_are_normalized_features(good: Photos, release: Release, settings: Settings) -> None:
    made = enrich(dict(list(good.items())[:2]), release, settings)
    for row in made.embeddings.to_pylist():
        vector = np.frombuffer(row["vector"], "<f2").astype(np.float32)
        assert len(vector) == row["dim"] == release.dim
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=2e-3)
        assert row["norm"] > 0
        assert row["kind"] == ("image" if row["garment_index"] == -1 else "garment")


def test_boxes_are_in_pixels_of_the_upright_full_size_photo(
    make_photo: Callable[..., bytes], release: Release, settings: Settings
) -> None:
    """A photo of 600 x 800 pixels, stored lying with an EXIF turn, worked on at 128 x 171."""
    small = Image.open(io.BytesIO(make_photo(3, kind="PNG")))
    large = small.resize((small.width * 4, small.height * 4), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = io.BytesIO()
    large.transpose(Image.Transpose.ROTATE_90).save(lying, "PNG", exif=exif)
    made = enrich({"lying.png": lying.getvalue()}, release, settings)
    assert [(row["width"], row["height"]) for row in made.images.to_pylist()] == [(600, 800)]
    boxes = _boxes(made.garments, "lying.png")
    working = read_photos([lying.getvalue()], release, settings)[0]
    assert working.photo.decoded.pixels.shape == (171, 128, 3)
    wanted = np.stack([garment.box for garment in working.garments]) * ([600 / 128, 800 / 171] * 2)
    assert len(boxes) > 0
    assert np.abs(boxes - np.minimum(wanted, [600, 800, 600, 800])).max() < 0.01


def _boxes(garments: pa.Table, key: str) -> np.ndarray:
    rows = [row for row in garments.to_pylist() if row["image_key"] == key]
    return np.array([[row[side] for side in ("x1", "y1", "x2", "y2")] for row in rows])


def test_scores_abstentions_and_attributes(good: Photos, release: Release, settings: Settings) -> None:
    made = enrich(good, release, settings)
    for row in [*made.images.to_pylist(), *made.garments.to_pylist()]:
        assert 0 <= row["type_score"] <= 1
        assert (row["type"] is None) == (row["type_score"] < 0.4)
        assert row["brand"] is None and row["brand_score"] is None  # the release has no such head
        assert {given["head"] for given in row["attributes"]} == {"style"}
        assert (row["color_agrees"] is None) == (row["color"] is None)
        assert 0 < row["color_measured_share"] <= 1
    assert all(row["caption"] and 0 < row["caption_score"] <= 1 for row in made.images.to_pylist())
    mains = [row for row in made.garments.to_pylist() if row["is_main"]]
    assert all(row["garment_index"] == 0 for row in mains)
    groups = {row["image_key"]: row["main_group"] for row in made.images.to_pylist()}
    assert {row["image_key"]: row["group"] for row in mains} == {key: group for key, group in groups.items() if group}


def test_threads_of_the_models_stay_what_they_were(good: Photos, release: Release, settings: Settings) -> None:
    before = torch.get_num_threads()
    enrich(dict(list(good.items())[:1]), release, settings)
    assert torch.get_num_threads() == before
