"""Cutting garments out of labelled photos: photos of one name in several folders stay apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.detections import GROUPS
from models.errors import DataError
from models.training.detection_compose import find_cutouts
from models.training.detection_cutouts import Labelled, cut_out, inside


class Darkness:
    """What is dark is the garment: a network that needs no weights."""

    def __init__(self) -> None:
        self.asked = 0

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        self.asked += 1
        return np.where(pixels.mean(axis=2) < 100, 255, 0).astype(np.uint8)


def a_photo(path: Path, left: int, top: int, side: int) -> None:
    pixels = np.full((100, 120, 3), 230, np.uint8)
    pixels[top : top + side, left : left + side] = 20
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_photos_of_one_name_in_two_folders_have_masks_boxes_and_cutouts_of_their_own(tmp_path: Path) -> None:
    a_photo(tmp_path / "photos/a/front.png", 10, 20, 40)
    a_photo(tmp_path / "photos/b/front.png", 50, 30, 60)
    files = [Labelled("a/front.png", "bag"), Labelled("b/front.png", "bag")]
    network = Darkness()
    for asked in (2, 2):  # the second time masks are kept
        made = cut_out(tmp_path / "photos", files, network, tmp_path / "cut", tmp_path / "masks")  # type: ignore[arg-type]
        assert [one.boxes.tolist() for one in made if one] == [[[10, 20, 50, 60]], [[50, 30, 110, 90]]]
        assert network.asked == asked
    cut = {path.relative_to(tmp_path / "cut/bag").as_posix(): path for path in (tmp_path / "cut/bag").rglob("*.png")}
    assert {name: Image.open(path).height for name, path in cut.items()} == {
        "a/front.png": 40,
        "b/front.png": 60,
    }
    held_out = {tmp_path / "photos/b/front.png"}
    assert find_cutouts(tmp_path / "cut", GROUPS, without=held_out).files[GROUPS.index("bag")] == (cut["a/front.png"],)


def test_cutouts_that_lie_flat_are_left_out_by_the_name_of_the_photo(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    cv2.imwrite(str(tmp_path / "bag/7.png"), np.zeros((4, 4, 4), np.uint8))
    assert find_cutouts(tmp_path, GROUPS, without={Path("images/8.jpg")}).count == 1
    with pytest.raises(DataError, match="no cut-outs"):
        find_cutouts(tmp_path, GROUPS, without={Path("images/7.jpg")})


@pytest.mark.parametrize(("file", "place"), [("/etc/a.jpg", "etc/a.jpg"), ("../../a.jpg", "a.jpg"), ("./b/a", "b/a")])
def test_what_is_written_stays_in_its_folder(file: str, place: str) -> None:
    assert str(inside(file)) == place
