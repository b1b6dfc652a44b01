"""Readers and writers of boxes on files that other tools spoil: no crash, no wrong name, nothing lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.boxes.annotations import BoxedImage
from models.boxes.coco import read_coco
from models.boxes.deepfashion import read_deepfashion
from models.boxes.voc import read_voc, write_voc
from models.errors import DataError

PHOTO = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 40}
HAT = {"id": 1, "name": "hat"}
GOOD = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}
VOC = (
    "<annotation><filename>{name}</filename><size><width>{width}</width><height>40</height></size><object>"
    "<name>{label}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


@pytest.mark.parametrize(
    ("images", "categories", "annotations", "problems"),
    [
        ([PHOTO | {"width": "wide"}], [HAT], [GOOD], 0),
        ([PHOTO, {"id": [2], "file_name": "b.jpg"}], [HAT], [GOOD], 1),
        ([PHOTO], [HAT, {"id": [1], "name": "bag"}], [GOOD], 0),
        ([PHOTO], [HAT], [GOOD, GOOD | {"id": 6, "image_id": [1]}], 1),
        ([PHOTO], [HAT], [GOOD, GOOD | {"id": 6, "category_id": {}}], 1),
    ],
)
def test_strange_values_of_coco_spare_the_good_box(
    tmp_path: Path, images: list[Any], categories: list[Any], annotations: list[Any], problems: int
) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
    found = read_coco(path)
    assert [(image.image, image.boxes.tolist()) for image in found.images] == [("a.jpg", [[0, 0, 9, 9]])]
    assert len(found.problems) == problems


def test_voc_keeps_the_spaces_beside_an_entity(tmp_path: Path) -> None:
    text = VOC.format(name="\n look &amp; feel.jpg \n", width=40, label=" coats &amp; more ")
    (tmp_path / "a.xml").write_text(text)
    (image,) = read_voc(tmp_path).images
    assert (image.image, image.labels) == ("look & feel.jpg", ("coats & more",))


def test_voc_with_a_size_or_encoding_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg", width="inf", label="hat"))
    for name in ("klingon", "shift_jis"):
        declared = f'<?xml version="1.0" encoding="{name}"?>'
        (tmp_path / f"{name}.xml").write_text(declared + VOC.format(name="b.jpg", width=40, label="hat"))
    found = read_voc(tmp_path)
    assert [(image.image, image.width) for image in found.images] == [("a.jpg", 0)]
    assert [Path(problem.file).stem for problem in found.problems] == ["klingon", "shift_jis"]


def test_photos_whose_xml_would_have_one_name_keep_a_file_each(tmp_path: Path) -> None:
    names = ["a/b.jpg", "a_b.jpg", "c.jpg", "c.png"]
    images = [BoxedImage(name, np.array([[0, 0, 9, 9]], np.float32), ("hat",), 40, 40) for name in names]
    assert write_voc(images, tmp_path) == 4
    assert sorted(image.image for image in read_voc(tmp_path).images) == names


def test_a_landmark_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list_landmarks.txt"
    path.write_bytes(b"1\nimage_name clothes_type landmark_visibility_1\n\xff\xfe.jpg 1 0 1 1\n")
    with pytest.raises(DataError, match=r"list_landmarks\.txt"):
        read_deepfashion(path)
