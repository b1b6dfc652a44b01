"""Labelled catalogs: columns, names, boxes, missing photos, and errors a person can act on."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.cards import read_card, write_card
from models.preprocessing import Preprocessing
from models.release import Release, load_release
from models.release_cards import STARTER, write_release
from models.training.features import read_features
from pipeline.errors import InputError
from pipeline.images.crops import crop
from pipeline.labels.catalog import LabelColumns, from_table, parse_heads, read_names, read_table, relabel
from pipeline.labels.demo import read_demo
from pipeline.labels.extract import extract
from pipeline.labels.sources import Source
from pipeline.settings import load_settings
from pipeline.storage.opening import open_store

SETTINGS = load_settings()
COLUMNS = LabelColumns("file", "product_id", {"type": "type", "brand": "title:first-word"})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Four photos of three products; one file is missing, one is no image."""
    (tmp_path / "img").mkdir()
    for number, shade in enumerate((10, 120, 240)):
        Image.new("RGB", (40, 30), (shade, 0, 0)).save(tmp_path / f"img/{number}.jpg")
    (tmp_path / "img/3.jpg").write_bytes(b"<html>no photo</html>")
    pd.DataFrame(
        {
            "file": ["img/0.jpg", "img/1.jpg", "img/2.jpg", "img/3.jpg", "img/9.jpg"],
            "product_id": ["7", "7", "8", "9", "9"],
            "type": ["Dress", " Dress ", "", "Hat", None],
            "title": ["Gini Red Dress", "Gini Red Dress", "  ", None, "Nova Hat"],
        }
    ).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Release:
    folder = tmp_path_factory.mktemp("release")
    preprocessing = Preprocessing(64, (127.0,) * 3, (128.0,) * 3)
    real = read_card(STARTER / "cards" / "efficientnet_lite0.toml")
    write_card(replace(real, name="tiny", preprocessing=preprocessing), None, folder)
    write_release(folder, {"backbone": "tiny.toml"})
    return load_release(folder, "cpu", "fp32", batch_images=4)


def source(shop: Path, **changes) -> Source:
    options = {"labels": str(shop / "labels.csv"), "images": None, "demo": None, "file_column": "file"}
    options |= {"product_column": "product_id", "label_columns": ["type"], "names": None, "name": None}
    return Source(**(options | changes))


def test_columns_and_first_words(shop: Path) -> None:
    table = read_table(str(shop / "labels.csv"), SETTINGS)
    catalog = from_table(table, COLUMNS, open_store(str(shop), SETTINGS), "shop")
    assert catalog.rows["type"].tolist() == ["Dress", "Dress", None, "Hat", None]
    assert catalog.rows["brand"].tolist() == ["Gini", "Gini", None, None, "Nova"]
    assert catalog.rows["product_id"].tolist() == ["7", "7", "8", "9", "9"]
    assert catalog.rows["x1"].isna().all()


def test_parquet_reads_the_same(shop: Path) -> None:
    table = read_table(str(shop / "labels.csv"), SETTINGS)
    table.to_parquet(shop / "labels.parquet")
    again = source(shop, labels=str(shop / "labels.parquet")).open(SETTINGS)
    pd.testing.assert_frame_equal(again.rows, source(shop).open(SETTINGS).rows)


def test_rows_said_twice_count_once_and_contradictions_are_left_out(shop: Path) -> None:
    """The notes name them; captions of one picture may differ."""
    text = "file,type,caption\na.jpg,Hat,one\na.jpg,Hat,one\na.jpg,Hat,two\nb.jpg,Hat,\nb.jpg,Cap,\nc.jpg,Cap,\n"
    (shop / "labels.csv").write_text(text)
    made = source(shop, product_column=None, label_columns=["type", "caption"]).open(SETTINGS)
    assert made.rows[["file", "caption"]].to_numpy().tolist() == [["a.jpg", "one"], ["a.jpg", "two"], ["c.jpg", None]]
    assert "1 rows say again" in made.notes[0]
    assert "a.jpg" in made.notes[0]
    assert made.notes[1] == "1 photos left out, their rows have different labels: b.jpg"
    (shop / "labels.csv").write_text("file,type\nb.jpg,Hat\nb.jpg,Cap\n")
    with pytest.raises(InputError, match=r"every picture of .* different labels: b\.jpg"):
        source(shop, product_column=None).open(SETTINGS)


def test_two_boxes_of_one_photo_are_two_pictures(shop: Path) -> None:
    (shop / "labels.csv").write_text("file,type,x1,y1,x2,y2\na.jpg,Hat,0,0,4,4\na.jpg,Cap,4,0,9,9\n")
    made = source(shop, product_column=None).open(SETTINGS)
    assert len(made.rows) == 2
    (shop / "labels.csv").write_text("file,type,x1,y1,x2,y2\na.jpg,Hat,left,0,4,4\n")
    with pytest.raises(InputError, match=r"'x1' .* holds pixels of a box, not 'left'"):
        source(shop, product_column=None).open(SETTINGS)


def test_rows_without_a_photo_or_product_are_refused(shop: Path) -> None:
    (shop / "labels.csv").write_text("file,sku,type\na.jpg,1,Hat\n ,2,Cap\nb.jpg,,Cap\n")
    with pytest.raises(InputError, match=r"1 rows of .* have no 'file', the first is data row 2"):
        source(shop, product_column=None).open(SETTINGS)
    (shop / "labels.csv").write_text("file,sku,type\na.jpg,1,Hat\nb.jpg,,Cap\n")
    with pytest.raises(InputError, match=r"have no 'sku', the first is data row 2"):
        source(shop, product_column="sku").open(SETTINGS)


def test_heads_that_nothing_can_be_learned_for_are_noted(shop: Path) -> None:
    (shop / "labels.csv").write_text("file,type,color,brand\na.jpg,Hat,,X\nb.jpg,Hat,,Y\n")
    made = source(shop, product_column=None, label_columns=["type", "color", "brand"]).open(SETTINGS)
    assert made.notes == (
        "head 'type' has only the label 'Hat': a single-label head needs two to learn",
        "head 'color' has no label in any row",
    )


def test_cells_that_say_nothing_and_a_label_named_none(shop: Path) -> None:
    (shop / "labels.csv").write_text("file,type\na.jpg,None\nb.jpg,NA\nc.jpg,\nd.jpg,Hat\n")
    catalog = source(shop, product_column=None).open(SETTINGS)
    assert list(catalog.rows["type"]) == ["None", None, None, "Hat"]


def test_the_name_of_a_source_does_not_depend_on_where_the_command_is_run(shop: Path, monkeypatch) -> None:
    (shop / "labels.csv").write_text("file,type\na.jpg,Hat\n")
    from_outside = source(shop, product_column=None).open(SETTINGS).name
    monkeypatch.chdir(shop)
    assert source(shop, labels="labels.csv", product_column=None).open(SETTINGS).name == from_outside == shop.name


def test_without_a_product_column_every_photo_is_its_own(shop: Path) -> None:
    catalog = source(shop, product_column=None).open(SETTINGS)
    assert catalog.rows["product_id"].nunique() == 5


def test_names_rename_and_leave_out(shop: Path) -> None:
    (shop / "names.toml").write_text('[type]\n"Hat" = ""\n"Dress" = "Dress|Gown"\n')
    catalog = source(shop, names=shop / "names.toml", name="mine").open(SETTINGS)
    assert catalog.rows["type"].tolist() == ["Dress|Gown", "Dress|Gown", None, None, None]
    assert catalog.name == "mine"
    with pytest.raises(InputError, match=r"color.*has type"):
        relabel(catalog, {"color": {}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label_columns": ["colour"]}, r"no column 'colour'; there are: file, product_id, type, title"),
        ({"file_column": "path"}, "no column 'path'"),
        ({"product_column": "sku"}, "no column 'sku'"),
        ({"label_columns": []}, "at least one --label-column"),
        ({"label_columns": ["type", "type=title"]}, "twice"),
        ({"labels": None}, "either --labels"),
        ({"demo": "x"}, "either --labels"),
        ({"label_map": "map.csv"}, "--label-map has no meaning for --format table"),
        ({"format": "imaterialist", "file_column": "x"}, "--file-column has no meaning for --format imaterialist"),
        ({"format": "fashion-mnist", "file_column": None}, "--label-column has no meaning for --format fashion-mnist"),
    ],
)
def test_wrong_options_say_what_is_there(shop: Path, changes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        source(shop, **changes).open(SETTINGS)


def test_unreadable_tables(shop: Path) -> None:
    (shop / "labels.txt").write_text("file,type\n")
    (shop / "bad.parquet").write_bytes(b"not parquet")
    (shop / "empty.csv").write_text("file,type\n")
    (shop / "nothing.csv").write_text("\n")
    (shop / "ragged.csv").write_text("file,type\na,b\na,b,c,d\n")
    for name, words in (
        ("labels.txt", "have to end in"),
        ("bad.parquet", "can't be read"),
        ("none.csv", r"none\.csv"),
        ("nothing.csv", "nothing.csv is empty"),
        ("ragged.csv", "line 3"),
    ):
        with pytest.raises(InputError, match=words):
            read_table(str(shop / name), SETTINGS)
    with pytest.raises(InputError, match="no rows"):
        source(shop, labels=str(shop / "empty.csv"), product_column=None).open(SETTINGS)


def test_names_files_are_checked(tmp_path: Path) -> None:
    for text, words in (("type = 3", "one table a head"), ("[type", "not TOML")):
        (tmp_path / "names.toml").write_text(text)
        with pytest.raises(InputError, match=words):
            read_names(tmp_path / "names.toml")
    with pytest.raises(InputError, match="no file of label names"):
        read_names(tmp_path / "none.toml")


def test_head_columns() -> None:
    assert parse_heads(["type", "color=baseColour", "brand=title:first-word"]) == {
        "type": "type",
        "color": "baseColour",
        "brand": "title:first-word",
    }


def test_features_of_a_shop_count_and_name_what_is_missing(shop: Path, release: Release) -> None:
    done: list[int] = []
    made = extract(source(shop).open(SETTINGS), release, SETTINGS, shop / "out", done.append)
    assert made.rows == 3
    assert made.left_out == {"not_an_image": 1, "missing": 1}
    assert made.examples["missing"] == ["img/9.jpg"]
    assert sum(done) == 5
    features = read_features(shop / "out")
    assert features.rows["file"].tolist() == ["img/0.jpg", "img/1.jpg", "img/2.jpg"]
    assert features.heads == ("type",)
    assert np.isfinite(features.features).all()
    assert not np.array_equal(features.features[0], features.features[1])


def test_no_readable_photo_at_all(shop: Path, release: Release) -> None:
    (shop / "labels.csv").write_text("file,type\nimg/3.jpg,Hat\nimg/9.jpg,Hat\n")
    with pytest.raises(InputError, match=r"missing: img/9\.jpg"):
        extract(source(shop, product_column=None).open(SETTINGS), release, SETTINGS, shop / "out", lambda n: None)


def test_boxes_cut_the_part_they_name(shop: Path, release: Release) -> None:
    """The features of a box are those of a photo of what enrichment cuts out for that box, and of nothing else."""
    photo = np.zeros((40, 80, 3), np.uint8)
    photo[:, :40, 0], photo[:, 40:, 2] = 200, 200
    red, blue = (crop(photo, np.array(box)) for box in ([0, 0, 40, 40], [40, 0, 80, 40]))
    for name, pixels in (("both", photo), ("red", red), ("blue", blue)):
        Image.fromarray(pixels).save(shop / f"{name}.png")
    table = "file,type,x1,y1,x2,y2\n" + "".join(
        f"{row}\n" for row in ("both.png,a,0,0,40,40", "both.png,b,40,0,80,40", "red.png,a,,,,", "blue.png,b,,,,")
    )
    (shop / "labels.csv").write_text(table)
    extract(source(shop, product_column=None).open(SETTINGS), release, SETTINGS, shop / "out", lambda n: None)
    made = read_features(shop / "out")
    by_name = {(row.file, row.type): made.features[i] for i, row in enumerate(made.rows.itertuples())}
    assert np.array_equal(by_name["both.png", "a"], by_name["red.png", "a"])
    assert np.array_equal(by_name["both.png", "b"], by_name["blue.png", "b"])
    assert not np.array_equal(by_name["both.png", "a"], by_name["both.png", "b"])


def test_the_demo_catalog_gives_photos_and_boxes(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), SETTINGS)
    words = {"type": "Hat", "color": "Red", "pattern": "Solid"}
    image = {"image_key": "photos/a_1.jpg", "product_id": "a", "scene": "worn", "brand": "", "caption": "red hat"}
    box = {"image_key": "photos/a_1.jpg", "group": "headwear", "x1": 1.0, "y1": 2.0, "x2": 9.0, "y2": 9.0}
    boxes = [{**box, **words, "is_main": True}, {**box, **words, "type": "Jeans", "is_main": False}]
    for key, rows in (("truth/images.parquet", [{**image, **words}]), ("truth/boxes.parquet", boxes)):
        data = io.BytesIO()
        pd.DataFrame(rows).to_parquet(data)
        store.put(key, data.getvalue())
    rows = read_demo(str(tmp_path), SETTINGS).rows
    assert rows["type"].tolist() == ["Hat", "Hat", "Jeans"]
    assert rows["caption"].tolist() == ["red hat", "red hat", None]
    assert rows["brand"].tolist() == [None] * 3
    assert rows["x1"].isna().tolist() == [True, False, False]
    assert set(rows["product_id"]) == {"a"}
    with pytest.raises(InputError, match="no demo catalog"):
        read_demo(str(tmp_path / "none"), SETTINGS)
