"""Labels in the form of iMaterialist 2018: numbers become tasks and words; what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.training.targets import encode, plan_head
from pipeline.errors import InputError
from pipeline.labels.imaterialist import name_image, read_label_map
from pipeline.labels.sources import Source
from pipeline.settings import load_settings

SETTINGS = load_settings()
MAP = """labelId,taskId,labelName,taskName
1,2,Red,color
2,2,Blue,color
10,1,Dress,category
11,1,Shoes,category
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "map.csv").write_text(MAP)
    images = [{"imageId": str(number), "url": "https://example.org/x"} for number in (1, 2, 3, 4)]
    annotations = [
        {"imageId": "1", "labelId": ["10", "2", "1"]},
        {"imageId": "2", "labelId": ["11"]},
        {"imageId": "3", "labelId": [1]},
        {"imageId": "4", "labelId": ["99"]},
        {"imageId": "7", "labelId": ["10"]},
    ]
    write(tmp_path, {"images": images, "annotations": annotations})
    return tmp_path


def write(folder: Path, content: object) -> None:
    (folder / "train.json").write_text(json.dumps(content))


def source(folder: Path, **changes) -> Source:
    options = {"labels": str(folder / "train.json"), "images": str(folder / "train"), "demo": None, "names": None}
    options |= {"file_column": None, "product_column": None, "label_columns": [], "name": None}
    options |= {"format": "imaterialist", "label_map": str(folder / "map.csv")}
    return Source(**(options | changes))


def test_tasks_become_heads(folder: Path) -> None:
    made = source(folder).open(SETTINGS)
    assert made.heads == ("category", "color")
    assert made.rows["file"].tolist() == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert made.rows["product_id"].tolist() == ["1", "2", "3", "4"]
    assert made.rows["category"].tolist() == ["Dress", "Shoes", None, None]
    assert made.rows["color"].tolist() == ["Blue|Red", None, "Red", None]
    assert made.images.uri == str(folder / "train")


def test_several_labels_of_a_task_are_all_of_them_for_a_multi_label_head(folder: Path) -> None:
    texts = source(folder).open(SETTINGS).rows["color"].tolist()
    plan = plan_head("color", texts, "multi", min_count=1)
    assert encode(texts, plan).allowed().tolist() == [[True, True], [False, False], [False, True], [False, False]]


def test_what_was_left_out_is_noted(folder: Path) -> None:
    notes = source(folder).open(SETTINGS).notes
    assert any("1 annotations left out" in note and note.endswith("7") for note in notes)
    assert any("99 (1 times)" in note for note in notes)


def test_heads_can_be_chosen_and_renamed(folder: Path) -> None:
    made = source(folder, label_columns=["type=category"], image_name="img/{id:06}.png").open(SETTINGS)
    assert made.heads == ("type",)
    assert made.rows["file"].iloc[0] == "img/000001.png"
    with pytest.raises(InputError, match=r"no column 'style'; there are: .*category, color"):
        source(folder, label_columns=["style"]).open(SETTINGS)


def test_without_a_map_the_numbers_are_the_labels(folder: Path) -> None:
    made = source(folder, label_map=None).open(SETTINGS)
    assert made.heads == ("label",)
    assert made.rows["label"].tolist() == ["1|10|2", "11", "1", "99"]


def test_a_map_may_be_json(folder: Path) -> None:
    words = {"1": {"task": "color", "label": "Red"}, "10": {"task": "category", "label": "Dress"}}
    (folder / "map.json").write_text(json.dumps(words))
    assert read_label_map(str(folder / "map.json"), SETTINGS) == {"1": ("color", "Red"), "10": ("category", "Dress")}
    (folder / "map.json").write_text('{"1": {"task": "color"}}')
    with pytest.raises(InputError, match="no task and label for the labelId 1"):
        read_label_map(str(folder / "map.json"), SETTINGS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"annotations": [\n  {"imageId": 1,}\n]}', r"train\.json is not JSON: line 2, column 17"),
        ('{"images": []}', 'no list "annotations"'),
        ('{"annotations": []}', "no annotation of an image"),
        ('{"annotations": [{"labelId": []}]}', r"annotations\[0\] has no imageId"),
        ('{"annotations": [{"imageId": "5", "labelId": "7"}]}', r"annotations\[0\], image 5: labelId is no list"),
        ('{"images": [{"url": "x"}], "annotations": []}', r"images\[0\] has no imageId"),
        ("", r"train\.json is empty"),
    ],
)
def test_malformed_files_say_where(folder: Path, text: str, words: str) -> None:
    (folder / "train.json").write_text(text)
    with pytest.raises(InputError, match=words):
        source(folder).open(SETTINGS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labelId,labelName\n1,Red\n", "no column taskName or task; there are: labelId, labelName"),
        (MAP + "1,2,Green,color\n", "labelId 1 twice"),
        ("labelId,task,label\n1,color,a|b\n", "separates labels"),
    ],
)
def test_malformed_maps_say_why(folder: Path, text: str, words: str) -> None:
    (folder / "map.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        source(folder).open(SETTINGS)


def test_names_of_images() -> None:
    assert name_image("{id}.jpg", "12") == "12.jpg"
    assert name_image("a/{id:6}.png", "12") == "a/000012.png"
    with pytest.raises(InputError, match="--image-name"):
        name_image("x.jpg", "12")
