"""The files of a demo catalog: feed, truth, photos, odd files; the same bytes for a seed."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.demo import generate
from pipeline.demo.generate import BOXES_SCHEMA, FEED_SCHEMA, IMAGES_SCHEMA, Order, product_spec, write_catalog
from pipeline.demo.vocabulary import BRANDS, COLORS, GENDERS, GROUPS, PATTERNS, SCENES, TYPE_GROUPS, TYPES
from pipeline.errors import Reason, SettingError

SMALL = ((120, 160), (150, 150))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "catalog"
    counts = write_catalog(Order(str(folder), 5, 3, SMALL), 21, True, lambda count: None, processes=1)
    assert counts["products"] == 21
    assert counts["photos"] == 63
    assert counts["dirty"] == len(json.loads((folder / "dirty.json").read_text()))
    return folder


def test_feed_and_truth_fit_their_schemas_and_each_other(catalog: Path) -> None:
    feed = pq.read_table(catalog / "feed.parquet")
    images = pq.read_table(catalog / "truth/images.parquet")
    boxes = pq.read_table(catalog / "truth/boxes.parquet")
    assert feed.schema.equals(FEED_SCHEMA)
    assert images.schema.equals(IMAGES_SCHEMA)
    assert boxes.schema.equals(BOXES_SCHEMA)
    keys = images["image_key"].to_pylist()
    assert len(keys) == len(set(keys))
    assert set(images["product_id"].to_pylist()) == set(feed["product_id"].to_pylist())
    assert set(boxes["image_key"].to_pylist()) == set(keys)
    assert not any(column.null_count for table in (feed, images, boxes) for column in table.columns)
    for key in keys:
        assert (catalog / key).stat().st_size > 0


def test_words_are_from_the_vocabulary(catalog: Path) -> None:
    for row in pq.read_table(catalog / "feed.parquet").to_pylist():
        assert row["type"] in TYPES
        assert row["color"] in COLORS
        assert row["pattern"] in PATTERNS
        assert row["brand"] in BRANDS
        assert row["gender"] in GENDERS
        assert row["title"].startswith(row["brand"])
        assert row["title"].endswith(row["type"])
        assert row["price"] > 0
    for row in pq.read_table(catalog / "truth/boxes.parquet").to_pylist():
        assert row["group"] in GROUPS
        assert row["group"] == TYPE_GROUPS[row["type"]]
    for row in pq.read_table(catalog / "truth/images.parquet").to_pylist():
        assert row["scene"] in SCENES
        assert row["color"].lower() in row["caption"]
        assert row["type"].lower() in row["caption"]


def test_the_vocabulary_is_as_large_as_promised() -> None:
    assert len(TYPES) >= 14
    assert len(COLORS) >= 12
    assert len(BRANDS) >= 8
    assert set(TYPE_GROUPS.values()) == set(GROUPS)


def test_every_photo_has_its_product_in_a_box_inside_the_photo(catalog: Path) -> None:
    sizes = {r["image_key"]: r for r in pq.read_table(catalog / "truth/images.parquet").to_pylist()}
    main: dict[str, set[str]] = {}
    for box in pq.read_table(catalog / "truth/boxes.parquet").to_pylist():
        image = sizes[box["image_key"]]
        assert 0 <= box["x1"] < box["x2"] <= image["width"]
        assert 0 <= box["y1"] < box["y2"] <= image["height"]
        if box["is_main"]:
            main.setdefault(box["image_key"], set()).add(box["type"])
    for key, image in sizes.items():
        assert main[key] == {image["type"]}


def test_sizes_in_the_truth_are_those_of_the_upright_photos(catalog: Path) -> None:
    for row in pq.read_table(catalog / "truth/images.parquet").to_pylist():
        with Image.open(catalog / row["image_key"]) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            size = picture.size[::-1] if turned else picture.size
        assert size == (row["width"], row["height"]), row["image_key"]


def test_same_seed_same_bytes_whatever_the_processes(tmp_path: Path) -> None:
    script = (
        "from pipeline.demo.generate import Order, write_catalog\n"
        "if __name__ == '__main__': write_catalog(Order({!r}, 9, 2, ((90, 120),)), 13, False, print, {})"
    )
    for name, processes in (("one", 1), ("three", 3)):
        code = tmp_path / f"{name}.py"  # a file: the pool's workers have to import it
        code.write_text(script.format(str(tmp_path / name), processes))
        subprocess.run([sys.executable, str(code)], check=True)
    assert digests(tmp_path / "one") == digests(tmp_path / "three")
    generate(tmp_path / "other", 2, 10, 1, sizes=((90, 120),))
    other = digests(tmp_path / "other")
    assert other["photos/p0000000_1.jpg"] != digests(tmp_path / "one")["photos/p0000000_1.jpg"]


def test_a_product_does_not_depend_on_how_many_there_are() -> None:
    assert product_spec(4, 17) == product_spec(4, 17)
    assert product_spec(4, 17) != product_spec(5, 17)


def test_types_come_round_evenly() -> None:
    types = [product_spec(3, index).type for index in range(2 * len(TYPES))]
    assert sorted(types) == sorted(TYPES * 2)


def test_the_contact_sheet_is_no_photo_of_the_catalog(catalog: Path) -> None:
    page = (catalog / "contact-sheet.html").read_text()
    assert page.count("<figure>") == 63
    assert {p.name for p in catalog.iterdir()} == {
        "photos",
        "truth",
        "feed.parquet",
        "dirty.json",
        "contact-sheet.html",
    }


def test_no_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--products"):
        generate(tmp_path / "none", 0, 1)


class TestOddFiles:
    """Dirty files are what they claim to be."""

    @pytest.fixture
    def notes(self, catalog: Path) -> dict[str, dict[str, str]]:
        return json.loads((catalog / "dirty.json").read_text())

    def named(self, notes: dict[str, dict[str, str]], ending: str) -> str:
        return next(key for key in notes if key.endswith(ending))

    def test_each_reason_is_a_code_or_ok(self, notes: dict[str, dict[str, str]], catalog: Path) -> None:
        truth = set(pq.read_table(catalog / "truth/images.parquet")["image_key"].to_pylist())
        for key, note in notes.items():
            assert note["expected"] == "ok" or Reason(note["expected"]).permanent
            assert (key in truth) == (note["expected"] == "ok")

    def test_bad_files_are_bad(self, notes: dict[str, dict[str, str]], catalog: Path) -> None:
        assert (catalog / self.named(notes, "_empty.jpg")).read_bytes() == b""
        assert b"<html" in (catalog / self.named(notes, "_page.jpg")).read_bytes()
        cut = (catalog / self.named(notes, "_truncated.jpg")).read_bytes()
        with pytest.raises(OSError, match="truncated"):
            Image.open(io.BytesIO(cut)).load()
        with Image.open(catalog / self.named(notes, "_tiny.jpg")) as tiny:
            assert min(tiny.size) < 16

    def test_the_bomb_is_huge_in_pixels_and_small_in_bytes(
        self, notes: dict[str, dict[str, str]], catalog: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = catalog / self.named(notes, "_bomb.png")
        assert path.stat().st_size < 200_000
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with Image.open(path) as bomb:
            assert bomb.size[0] * bomb.size[1] > 500_000_000
            bomb.verify()

    def test_odd_formats(self, notes: dict[str, dict[str, str]], catalog: Path) -> None:
        with Image.open(catalog / self.named(notes, "_cmyk.jpg")) as picture:
            assert picture.mode == "CMYK"
        with Image.open(catalog / self.named(notes, "_alpha.png")) as picture:
            assert picture.mode == "RGBA"
        for ending in ("_animated.gif", "_animated.webp"):
            with Image.open(catalog / self.named(notes, ending)) as picture:
                assert picture.n_frames == 2
        png = (catalog / self.named(notes, "_deep.png")).read_bytes()
        assert png[24] == 16  # bit depth in the header

    def test_the_turned_photo_is_upright_after_its_exif_flag(
        self, notes: dict[str, dict[str, str]], catalog: Path
    ) -> None:
        from PIL import ImageOps

        key = self.named(notes, "_turned.jpg")
        original = catalog / key.replace("_turned", "_1")
        with Image.open(catalog / key) as picture, Image.open(original) as first:
            assert picture.getexif()[0x0112] == 6
            upright = np.asarray(ImageOps.exif_transpose(picture), float)
            assert np.abs(upright - np.asarray(first, float)).mean() < 6

    def test_duplicates_are_near_their_original(self, notes: dict[str, dict[str, str]], catalog: Path) -> None:
        key = self.named(notes, "_duplicate.jpg")
        original = catalog / key.replace("_duplicate", "_1")
        assert (catalog / key).read_bytes() == original.read_bytes()
        first = np.asarray(Image.open(original).resize((64, 64)), float)
        for ending in ("_near-reencoded.jpg", "_near-resized.jpg", "_near-cropped.jpg"):
            path = catalog / self.named(notes, ending)
            assert path.read_bytes() != original.read_bytes()
            assert np.abs(np.asarray(Image.open(path).resize((64, 64)), float) - first).mean() < 14


def test_a_catalog_of_some_types_only(tmp_path: Path) -> None:
    """A type that is named three times is three times as common; the photos are those of the types."""
    types = ("Dress", "Boots", "Dress", "Dress")
    write_catalog(Order(str(tmp_path), 5, 1, SMALL, types), 8, False, lambda count: None, processes=1)
    assert sorted(pq.read_table(tmp_path / "feed.parquet")["type"].to_pylist()) == ["Boots"] * 2 + ["Dress"] * 6
    with pytest.raises(SettingError, match=r"--type Toga: the demo catalog has no such type; it has .*Dress"):
        write_catalog(Order(str(tmp_path), 5, 1, SMALL, ("Toga",)), 8, False, lambda count: None)
