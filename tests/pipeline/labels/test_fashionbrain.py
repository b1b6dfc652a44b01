"""Product lists in the form of FashionBrain: a row a product, its photos exploded, brand, color and pool as heads."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.labels.sources import Source
from pipeline.settings import load_settings

SETTINGS = load_settings()


def opened(labels: Path, **changes):
    options = {"labels": str(labels), "images": None, "demo": None, "names": None, "name": None}
    options |= {"file_column": None, "product_column": None, "label_columns": [], "format": "fashionbrain"}
    return Source(**(options | changes)).open(SETTINGS)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


EXPECTED = [
    ["a1.jpg", "A", "Nike", "red", "Shoe"],
    ["a2.jpg", "A", "Nike", "red", "Shoe"],
    ["b1.jpg", "B", "Puma", "blue", "Shirt"],
]
PRODUCTS = [
    {"sku": "A", "images": ["a1.jpg", {"file": "a2.jpg"}], "brand": "Nike", "color": "red", "pool": "Shoe"},
    {"sku": "B", "images": ["b1.jpg"], "brand": "Puma", "color": "blue", "pool": "Shirt"},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "sku,brand,color,pool,image_1,image_2\nA,Nike,red,Shoe,a1.jpg,a2.jpg\nB,Puma,blue,Shirt,b1.jpg,\n"),
        ("p.csv", "sku,brand,color,pool,images\nA,Nike,red,Shoe,a1.jpg|a2.jpg\nB,Puma,blue,Shirt,b1.jpg\n"),
        (
            "p.csv",
            'sku,brand,color,pool,images\nA,Nike,red,Shoe,"[""a1.jpg"", ""a2.jpg""]"\nB,Puma,blue,Shirt,b1.jpg\n',
        ),
        ("p.json", json.dumps(PRODUCTS)),
        ("p.json", json.dumps({"products": PRODUCTS})),
        ("p.json", "\n".join(json.dumps(one) for one in PRODUCTS)),
        ("p.jsonl", "\n\n".join(json.dumps(one) for one in PRODUCTS) + "\n"),
    ],
)
def test_every_form_reads_the_same(tmp_path: Path, name: str, text: str) -> None:
    made = opened(written(tmp_path / name, text))
    assert made.heads == ("brand", "color", "type")
    assert made.rows[["file", "product_id", "brand", "color", "type"]].to_numpy().tolist() == EXPECTED
    assert made.notes == ()


def test_parquet_with_lists(tmp_path: Path) -> None:
    table = pd.DataFrame({"sku": ["A", "B"], "images": [["a1.jpg", "a2.jpg"], ["b1.jpg"]], "color": ["red", "blue"]})
    table.to_parquet(tmp_path / "p.parquet")
    assert opened(tmp_path / "p.parquet").rows["file"].tolist() == ["a1.jpg", "a2.jpg", "b1.jpg"]


def test_the_librarys_own_files(tmp_path: Path) -> None:
    """`color.csv` with photos by number, and the dictionary `color.json`."""
    labels = written(tmp_path / "color.csv", "ix,file,color\n7,/data/x.jpg,red\n12,/data/y.jpg,blue\n13,/z.jpg,mauve\n")
    dictionary = written(tmp_path / "color.json", '{"red": 0, "blue": 1}')
    made = opened(labels, label_map=str(dictionary))
    assert made.rows["file"].tolist() == ["img/000007.jpg", "img/000012.jpg", "img/000013.jpg"]
    assert made.rows["color"].tolist() == ["red", "blue", None]
    assert any("names no products" in note for note in made.notes)
    assert any("1 labels of 'color' left out" in note and "mauve" in note for note in made.notes)
    named = opened(labels, image_name="{id}.png", label_columns=["color"])
    assert named.rows["file"].iloc[0] == "7.png"


def test_names_in_a_list_are_taken_as_they_are(tmp_path: Path) -> None:
    labels = written(
        tmp_path / "p.json", '[{"sku": 1, "images": ["a;b|c.jpg", "", " d.jpg", "d.jpg"], "color": "red"}]'
    )
    assert opened(labels).rows["file"].tolist() == ["a;b|c.jpg", "d.jpg"]


def test_other_columns_and_several_labels(tmp_path: Path) -> None:
    products = [
        {"code": 1, "shots": ["1.jpg"], "kind": "Shoe", "colors": ["red", "blue"]},
        {"code": 2, "shots": ["2.jpg"], "kind": "Hat", "colors": []},
        {"code": 3, "shots": [], "kind": "Hat", "colors": None},
    ]
    labels = written(tmp_path / "p.json", json.dumps(products))
    columns = ["pool=kind", "color=colors"]
    made = opened(labels, file_column="shots", product_column="code", label_columns=columns)
    assert made.heads == ("type", "color")
    assert made.rows["color"].tolist() == ["red|blue", None]
    assert made.rows["product_id"].tolist() == ["1", "2"]
    assert "1 products have no photo: 3" in made.notes


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ('[{"sku": "A",\n "images": [}]', {}, r"p\.json is not JSON: line 2, column 13"),
        ('{"sku": "A"}\n{"sku": B}\n', {}, r"p\.json is not JSON: line 2, column 9"),
        ('[{"sku": "A"}, 3]', {}, "entry 2 is no JSON object but 3"),
        ("[]", {}, "no products"),
        (" ", {}, "is empty"),
        (
            '[{"sku": "A", "images": ["a.jpg"]}]',
            {},
            "none of the columns brand, color and pool.*there are: sku, images",
        ),
        ('[{"sku": "A", "color": "red"}]', {}, "no column images, image_1"),
        ('[{"sku": "A", "color": "red", "images": []}]', {}, "no product of .* has a photo in images"),
        ('[{"sku": "A", "color": "red", "images": [{"id": 3}]}]', {}, "has no file"),
        ('[{"sku": "A", "color": {"x": 1}, "images": ["a.jpg"]}]', {}, "'color' of a product is an object"),
        ('[{"sku": "A", "color": "red", "images": ["https://a/b.jpg"]}]', {}, "1 photos of .* are addresses"),
        ('[{"color": "red", "images": ["a.jpg"]}]', {"product_column": "sku"}, "no column 'sku'"),
        ('[{"color": "red", "images": ["a.jpg"]}]', {"label_columns": ["hue"]}, "no column 'hue'"),
        ('[{"color": "red", "images": "[1,"}]', {}, "list of photos is not JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        opened(written(tmp_path / "p.json", text), **changes)


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ('["red"]', ["color"], r'has to be \{"label": number'),
        ('{"red": 0, "blue": 0}', ["color"], "two labels the same number"),
        ('{"red": 0}', ["color", "brand"], "about one head, not color, brand"),
    ],
)
def test_dictionaries_are_checked(tmp_path: Path, text: str, columns: list[str], words: str) -> None:
    labels = written(tmp_path / "p.json", json.dumps(PRODUCTS))
    with pytest.raises(InputError, match=words):
        opened(labels, label_columns=columns, label_map=str(written(tmp_path / "d.json", text)))
