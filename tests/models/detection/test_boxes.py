"""Readers of boxes on good and bad input, the check of boxes, and words to groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.boxes.annotations import BoxedImage, BoxSet, box_fault, clipped
from models.boxes.coco import read_coco
from models.boxes.deepfashion import read_deepfashion
from models.boxes.groups import WORDS, grouped, read_words
from models.boxes.photos import checked_against, photo_size, read_photo
from models.boxes.plain import read_csv_boxes, read_truth, write_csv_boxes
from models.boxes.voc import read_voc, write_voc
from models.detections import GROUPS
from models.errors import DataError

VOC = """<annotation>
  <filename>a.jpg</filename>
  <size><width>100</width><height>200</height><depth>3</depth></size>
  <object><name>dress</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>50</xmax><ymax>80</ymax></bndbox></object>
  <object>
    <name>shoes</name>
    <bndbox><xmin>60</xmin><ymin>21</ymin><xmax>50</xmax><ymax>80</ymax></bndbox>
  </object>
  <object><name>bag</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>x</xmax><ymax>9</ymax></bndbox></object>
  <object><name>hat</name><bndbox><xmin>90</xmin><ymin>10</ymin><xmax>140</xmax><ymax>40</ymax></bndbox></object>
</annotation>
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def lines_of(found: BoxSet) -> list[int]:
    return [problem.line for problem in found.problems]


@pytest.mark.parametrize(
    ("box", "word"),
    [
        ((1, 1, 5, 5), None),
        ((0, 0, 10, 20), None),
        ((5, 1, 1, 5), "swapped"),
        ((1, 5, 5, 1), "swapped"),
        ((1, 1, 1.5, 9), "empty"),
        ((1, 1, 12, 9), "out of the photo"),
        ((-3, 1, 5, 9), "out of the photo"),
        ((1, float("nan"), 5, 9), "not a number"),
        ((1, 1, float("inf"), 9), "not a number"),
    ],
)
def test_faults_of_boxes_are_named(box: tuple[float, ...], word: str | None) -> None:
    fault = box_fault(box, 10, 20)
    assert fault is None if word is None else word in str(fault)


@settings(deadline=None)
@given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True, width=32)] * 4))
def test_a_box_without_fault_lies_in_the_photo_once_clipped(box: tuple[float, float, float, float]) -> None:
    if box_fault(box, 64, 48) is None:
        x1, y1, x2, y2 = clipped(box, 64, 48)
        assert 0 <= x1 < x2 <= 64
        assert 0 <= y1 < y2 <= 48


def test_voc_boxes_count_from_zero_and_bad_ones_are_named_by_line(tmp_path: Path) -> None:
    found = read_voc(write(tmp_path / "a.xml", VOC))
    assert found.images[0].labels == ("dress",)
    assert found.images[0].boxes.tolist() == [[10, 20, 50, 80]]
    assert lines_of(found) == [5, 9, 10]
    assert [word in str(p) for word, p in zip(("swapped", "numbers", "out of"), found.problems, strict=True)] == [
        True
    ] * 3
    assert str(found.problems[0]).startswith(f"{tmp_path / 'a.xml'}:5: a.jpg: corners are swapped")


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<annotation></annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'],
)
def test_a_voc_file_that_can_not_be_read_is_one_problem_and_spares_the_others(tmp_path: Path, text: str) -> None:
    write(tmp_path / "a.xml", text)
    write(tmp_path / "b.xml", VOC)
    found = read_voc(tmp_path)
    assert [image.image for image in found.images] == ["a.jpg"]
    assert found.problems[0].file == str(tmp_path / "a.xml")


def test_voc_survives_a_round_trip(tmp_path: Path) -> None:
    image = BoxedImage("in/b&c.jpg", np.array([[1.5, 2, 30, 40]], np.float32), ("t-shirt",), 64, 48)
    assert write_voc([image], tmp_path) == 1
    (again,) = read_voc(tmp_path).images
    assert (again.image, again.labels, again.width, again.height) == ("in/b&c.jpg", ("t-shirt",), 64, 48)
    assert again.boxes.tolist() == image.boxes.tolist()


def test_coco_boxes_and_bad_annotations(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}, {"id": 2, "file_name": "empty.jpg"}],
        "categories": [{"id": 7, "name": "dress"}],
        "annotations": [
            {"id": 10, "image_id": 1, "category_id": 7, "bbox": [10, 5, 20, 30]},
            {"id": 11, "image_id": 1, "category_id": 7, "bbox": [10, 5, -20, 30]},
            {"id": 12, "image_id": 1, "category_id": 9, "bbox": [10, 5, 20, 30]},
            {"id": 13, "image_id": 3, "category_id": 7, "bbox": [10, 5, 20, 30]},
            {"id": 14, "image_id": 1, "category_id": 7, "bbox": [10, 5, 20]},
            {"id": 15, "image_id": 1, "category_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
            {"id": 16, "image_id": 1, "category_id": 7, "bbox": [90, 5, 20, 30]},
        ],
    }
    path = write(tmp_path / "boxes.json", json.dumps(content, indent=1))
    found = read_coco(path)
    assert [(i.image, len(i.labels)) for i in found.images] == [("a.jpg", 1), ("empty.jpg", 0)]
    assert found.images[0].boxes.tolist() == [[10, 5, 30, 35]]
    text = path.read_text().splitlines()
    assert [text[line - 1].strip() for line in lines_of(found)] == [f'"id": {n},' for n in (11, 12, 13, 14, 16)]


@pytest.mark.parametrize("text", ["", "[1]", '{"images": []}', "{"])
def test_a_file_that_is_no_coco_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"boxes\.json"):
        read_coco(write(tmp_path / "boxes.json", text))


LANDMARKS = """4
image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1
img/a.jpg 1 1 0 20 30 1 60 40 2 0 0 0 40 90
img/b.jpg 2 1 2 0 0 2 0 0
img/c.jpg 9 1 0 20 30 0 60 40
img/d.jpg 3 1 0 20 30 0 60
"""


def test_deepfashion_boxes_surround_the_landmarks_that_are_there(tmp_path: Path) -> None:
    found = read_deepfashion(write(tmp_path / "list_landmarks.txt", LANDMARKS))
    first = found.images[0]
    assert (first.image, first.labels) == ("img/a.jpg", ("upper-body",))
    assert np.allclose(first.boxes, [[18, 27, 62, 93]])
    assert lines_of(found) == [4, 5, 6]
    with pytest.raises(DataError, match="line 2"):
        read_deepfashion(write(tmp_path / "other.txt", "1\nx y\n"))


def test_deepfashion_margin_ends_at_the_edge_but_a_landmark_outside_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "list_landmarks.txt", LANDMARKS)
    assert np.allclose(read_deepfashion(path, lambda name: (61, 91)).images[0].boxes, [[18, 27, 61, 91]])
    assert "out of the photo" in str(read_deepfashion(path, lambda name: (50, 50)).problems[0])


CSV = """file,label,x1,y1,x2,y2,w,h,owner
a.jpg,blouse,1,2,30,40,64,48,anna
a.jpg,shoes,5,9,3,40,64,48,anna
b.jpg,,,,,,64,48,
,blouse,1,2,30,40,64,48,
a.jpg,,1,2,30,40,64,48,
a.jpg,blouse,1,2,thirty,40,64,48,
"""


def test_csv_boxes_with_photos_that_show_no_garment(tmp_path: Path) -> None:
    found = read_csv_boxes(write(tmp_path / "boxes.csv", CSV))
    assert [(i.image, i.labels, i.owner) for i in found.images] == [("a.jpg", ("blouse",), "anna"), ("b.jpg", (), "")]
    assert lines_of(found) == [3, 5, 6, 7]
    write_csv_boxes(found, tmp_path / "again.csv")
    again = read_csv_boxes(tmp_path / "again.csv")
    assert [(i.image, i.labels, i.owner) for i in again.images] == [(i.image, i.labels, i.owner) for i in found.images]
    assert again.images[0].boxes.tolist() == found.images[0].boxes.tolist()


def test_csv_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x1"):
        read_csv_boxes(write(tmp_path / "boxes.csv", "file,label\n"))
    with pytest.raises(DataError, match="there is no file"):
        read_csv_boxes(tmp_path / "none.csv")


def test_truth_of_a_demo_catalog_names_bad_rows(tmp_path: Path) -> None:
    boxes = {
        "image_key": ["p_1.jpg", "p_1.jpg"],
        "group": ["bag", "hat"],
        "x1": [1.0, 9.0],
        "y1": [1.0, 1.0],
        "x2": [9.0, 1.0],
        "y2": [9.0, 9.0],
    }
    pq.write_table(pa.table(boxes), tmp_path / "boxes.parquet")
    images = {"image_key": ["p_1.jpg", "p_2.jpg"], "product_id": ["p", "p"], "width": [20, 20], "height": [20, 20]}
    pq.write_table(pa.table(images), tmp_path / "images.parquet")
    found = read_truth(tmp_path / "boxes.parquet")
    assert [(i.image, i.labels, i.owner) for i in found.images] == [("p_1.jpg", ("bag",), "p"), ("p_2.jpg", (), "p")]
    assert lines_of(found) == [2]
    pq.write_table(pa.table({"image_key": ["a"]}), tmp_path / "boxes.parquet")
    with pytest.raises(DataError, match=r"boxes\.parquet"):
        read_truth(tmp_path / "boxes.parquet")


def test_words_become_groups_and_unknown_words_are_counted(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 5, 5]] * 3, np.float32)
    image = BoxedImage("a.jpg", boxes, ("Blouse", "umbrella", "footwear"))
    (made,), unknown = grouped([image], WORDS)
    assert made.labels == ("upper-body", "footwear")
    assert len(made.boxes) == 2
    assert unknown == {"umbrella": 1}
    words = read_words(write(tmp_path / "words.toml", 'Umbrella = "accessory"\n'))
    assert grouped([image], WORDS | words)[0][0].labels == ("upper-body", "accessory", "footwear")
    assert set(WORDS.values()) == set(GROUPS)


def test_boxes_are_checked_against_the_upright_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (40, 20), (200, 10, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert photo_size(tmp_path / "a.jpg") == (20, 40)
    assert read_photo(tmp_path / "a.jpg").shape == (40, 20, 3)
    assert read_photo(tmp_path / "a.jpg", 10).shape == (10, 5, 3)
    boxes = np.array([[1, 1, 19, 39], [1, 1, 39, 19]], np.float32)
    found = BoxSet((BoxedImage("a.jpg", boxes, ("bag", "hat")), BoxedImage("gone.jpg", boxes, ("bag", "hat"))))
    checked = checked_against(found, tmp_path, "boxes.csv")
    assert [(i.image, i.labels, i.width, i.height) for i in checked.images] == [("a.jpg", ("bag",), 20, 40)]
    assert ["out of the photo" in str(p) or "gone.jpg" in str(p) for p in checked.problems] == [True, True]


def test_boxes_outside_the_photo_are_named_by_file_and_line(tmp_path: Path) -> None:
    Image.new("RGB", (20, 40)).save(tmp_path / "a.jpg")
    rows = ["file,label,x1,y1,x2,y2", "a.jpg,bag,1,1,9,9", "a.jpg,hat,1,1,30,9", "gone.jpg,hat,1,1,9,9"]
    path = write(tmp_path / "boxes.csv", "\n".join(rows))
    checked = checked_against(read_csv_boxes(path), tmp_path, "folder")
    assert [(problem.file, problem.line) for problem in checked.problems] == [(str(path), 3), (str(path), 4)]
    assert [(image.labels, image.lines) for image in checked.images] == [(("bag",), (2,))]


def test_boxes_drawn_on_a_turned_or_reduced_copy_are_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    sizes = {(40, 20): 0, (10, 20): 0, (20, 40): 1, (21, 40): 1, (0, 0): 1}
    for (width, height), kept in sizes.items():
        image = BoxedImage("a.jpg", np.array([[1, 1, 9, 19]], np.float32), ("bag",), width, height)
        checked = checked_against(BoxSet((image,)), tmp_path, "boxes.csv")
        assert (len(checked.images), len(checked.problems)) == (kept, 1 - kept)
        assert kept or f"{width} x {height}" in str(checked.problems[0])


def test_transparent_photos_lie_on_white_and_16_bits_become_8(tmp_path: Path) -> None:
    clear = np.zeros((8, 6, 4), np.uint8)
    clear[:4] = (200, 10, 30, 255)
    Image.fromarray(clear).save(tmp_path / "a.png")
    pixels = read_photo(tmp_path / "a.png")
    assert (pixels[0, 0].tolist(), pixels[7, 5].tolist()) == ([200, 10, 30], [255, 255, 255])
    Image.fromarray(np.full((8, 6), 0x8040, np.uint16)).save(tmp_path / "b.png")
    assert read_photo(tmp_path / "b.png")[0, 0].tolist() == [0x80] * 3
