"""Training: the loss goes down, a resumed run equals an uninterrupted one, splits, composing, cut-outs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.cards import read_card
from models.detections import GROUPS
from models.detector import load_detector
from models.errors import CardError, DataError, DeviceError
from models.training.detection import DetectorPlan, DetectorTraining, Pictures
from models.training.detection_augment import Augmentation, Picture, cut, mosaic, placed
from models.training.detection_compose import Composer, find_cutouts
from models.training.detection_cutouts import find_boxes, read_labelled
from models.training.detection_data import PhotoReader, held_out, load_sources, parse_source, repeat_factors
from models.training.detection_run import DetectorRun, starting_point, train_detector

PLAN = DetectorPlan(size=64, steps=6, batch=4, warmup=2, seed=1, mosaic=0.5, composed=0.0)


def run_in(folder: Path, boxes: Path, start: Path, **changes: object) -> DetectorRun:
    return DetectorRun(folder, (str(boxes),), start, replace(PLAN, **changes), held_out=0.3)  # type: ignore[arg-type]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, boxed_photos: Path, backbone_card: Path) -> None:
    whole, parts = (run_in(tmp_path / name, boxed_photos, backbone_card) for name in ("whole", "parts"))
    result = train_detector(whole)
    assert "card" not in train_detector(parts, stop_after=2)
    train_detector(parts, resume=True, stop_after=5)
    assert train_detector(parts, resume=True)["held_out"] == result["held_out"]
    one, other = (load_file(run.folder / "detector.safetensors") for run in (whole, parts))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "whole" / "tiny.toml").is_file()
    card = read_card(Path(result["card"]))
    load_detector(card, whole.folder, "cpu", "fp32").detect([np.zeros((30, 40, 3), np.uint8)])
    assert set(card.thresholds) == set(GROUPS)
    assert {"ap", "ap50", "ap75", "voc07_ap50", "main_garment"} <= set(card.figures["held_out"])


def test_a_shop_has_its_own_groups(tmp_path: Path, boxed_photos: Path, backbone_card: Path) -> None:
    """Words that lead to none of them are left out; the next training keeps them, and refuses others."""
    words = tmp_path / "words.toml"
    words.write_text("".join(f'{group} = "{"shoes" if group == "footwear" else "clothes"}"\n' for group in GROUPS[:4]))
    own = ("clothes", "shoes", "jewelry")
    run = replace(run_in(tmp_path / "own", boxed_photos, backbone_card), words=words, groups=own)
    card_file = Path(train_detector(run)["card"])
    assert read_card(card_file).labels == own
    found = load_detector(read_card(card_file), run.folder, "cpu", "fp32").detect([np.zeros((30, 40, 3), np.uint8)])[0]
    assert set(found.groups) <= set(own)
    assert starting_point(card_file, 64, 1).groups == own
    with pytest.raises(CardError, match="detects clothes, shoes, jewelry; for other groups start from"):
        starting_point(card_file, 64, 1, GROUPS)
    with pytest.raises(DataError, match="each of them once"):
        starting_point(backbone_card, 64, 1, ("bag", "bag"))


def test_the_loss_goes_down(tmp_path: Path, boxed_photos: Path, backbone_card: Path) -> None:
    start = starting_point(backbone_card, 64, seed=1)
    photos = load_sources([parse_source(str(boxed_photos))], GROUPS, {group: group for group in GROUPS}).photos
    plan = replace(PLAN, steps=40, batch=4, learning_rate=4e-3, warmup=5, mosaic=0.0)
    training = DetectorTraining(start.network, start.preprocessing, plan, tmp_path)
    training.run(Pictures(photos, PhotoReader(96), None, Augmentation(64, mosaic=0, blur=0), plan.seed))
    first, last = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert last["epoch"] == 40
    assert last["loss"] < 0.9 * first["loss"]


def test_a_run_that_is_there_is_neither_overwritten_nor_resumed_with_another_plan(
    tmp_path: Path, boxed_photos: Path, backbone_card: Path, detector_card: Path
) -> None:
    train_detector(run_in(tmp_path / "run", boxed_photos, backbone_card), stop_after=1)
    with pytest.raises(DataError, match="resume"):
        train_detector(run_in(tmp_path / "run", boxed_photos, backbone_card))
    with pytest.raises(DataError, match="seed"):
        train_detector(run_in(tmp_path / "run", boxed_photos, backbone_card, seed=2), resume=True)
    run = run_in(tmp_path / "run", boxed_photos, backbone_card)
    with pytest.raises(DataError, match="other photos, boxes, split"):
        train_detector(replace(run, held_out=0.5), resume=True)  # it would be judged on what it learned from
    with pytest.raises(DataError, match="starting weights"):
        train_detector(replace(run, start=detector_card), resume=True)
    with pytest.raises(DataError, match="no training"):
        train_detector(run_in(tmp_path / "other", boxed_photos, backbone_card), resume=True)


def test_fine_tuning_keeps_the_groups_and_changes_the_weights(
    tmp_path: Path, boxed_photos: Path, detector_card: Path
) -> None:
    run = run_in(tmp_path / "tuned", boxed_photos, detector_card, steps=1, batch=2, train_backbone=False)
    card = read_card(Path(train_detector(run)["card"]))
    assert card.labels == GROUPS
    before, after = load_file(detector_card.with_suffix(".safetensors")), load_file(run.folder / "detector.safetensors")
    changed = {name for name in after if not torch.equal(before[name].half().float(), after[name].float())}
    assert any(name.startswith("head.") for name in changed)
    assert not any(name.startswith("backbone.stages") for name in changed)


def test_bad_plans_sources_and_starts_are_refused(tmp_path: Path, boxed_photos: Path, backbone_card: Path) -> None:
    with pytest.raises(DataError, match="multiple of 32"):
        DetectorPlan(size=100)
    for wrong in ({"seed": -1}, {"warmup": -1}, {"learning_rate": float("nan")}, {"mosaic": 1.5}, {"average": -0.1}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            DetectorPlan(**wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no source"):
        parse_source(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="unknown"):
        parse_source(f"{boxed_photos},wait=3")
    with pytest.raises(CardError):
        starting_point(tmp_path / "none.toml", 64, 0)
    with pytest.raises(DeviceError, match="gpu"):
        train_detector(replace(run_in(tmp_path / "run", boxed_photos, backbone_card), device="gpu"))


def test_a_split_follows_the_owner_alone(boxed_photos: Path) -> None:
    photos = load_sources([parse_source(str(boxed_photos))], GROUPS, {group: group for group in GROUPS}).photos
    owned = [replace(photo, owner=f"person {number % 200}") for number, photo in enumerate(photos * 40)]
    sides = {photo.owner: held_out(photo, 0.3) for photo in owned}
    assert all(held_out(photo, 0.3) == sides[photo.owner] for photo in owned)
    assert 0.15 < np.mean(list(sides.values())) < 0.45
    assert not any(held_out(photo, 0.0) for photo in owned)


def test_photos_of_rare_groups_are_drawn_more_often(boxed_photos: Path) -> None:
    photos = load_sources([parse_source(str(boxed_photos))], GROUPS, {group: group for group in GROUPS}).photos
    rare = replace(photos[0], classes=np.array([GROUPS.index("bag")]))
    empty = replace(photos[0], boxes=photos[0].boxes[:0], classes=photos[0].classes[:0])
    factors = repeat_factors([*photos, rare, empty], 0.26)
    assert factors[:-2].tolist() == [1.0] * len(photos)
    assert factors[-2] == pytest.approx((0.26 * 26) ** 0.5)
    assert factors[-1] == 1
    assert (repeat_factors([*photos, rare], 0) == 1).all()


def garment(group: int) -> Picture:
    pixels = np.full((80, 60, 3), 250, np.uint8)
    pixels[20:60, 10:50] = 10
    return Picture(pixels, np.array([[10, 20, 50, 60]], np.float32), np.array([group]))


def dark_box(pixels: np.ndarray) -> list[int]:
    rows, columns = (np.flatnonzero((pixels < 60).all(axis=2).any(axis=axis)) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("seed", range(12))
def test_boxes_follow_the_pixels_when_a_photo_is_placed(seed: int) -> None:
    made = placed(np.random.default_rng(seed), garment(2), Augmentation(96, centered=0.2))
    assert made.pixels.shape == (96, 96, 3)
    if len(made.boxes):
        assert np.abs(made.boxes[0] - dark_box(made.pixels)).max() <= 2
        assert made.classes.tolist() == [2]


@pytest.mark.parametrize("seed", range(5))
def test_a_mosaic_holds_the_garments_of_its_four_pictures(seed: int) -> None:
    made = mosaic(np.random.default_rng(seed), [garment(group) for group in range(4)], Augmentation(128))
    assert made.pixels.shape == (128, 128, 3)
    assert set(made.classes.tolist()) <= {0, 1, 2, 3}
    assert len(made.boxes) == len(made.classes) >= 2
    for x1, y1, x2, y2 in made.boxes.round().astype(int):
        assert made.pixels[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].mean() < 60


def test_boxes_that_are_mostly_cut_off_are_dropped() -> None:
    boxes = np.array([[-30, 0, 10, 20], [-5, 0, 35, 20]], np.float32)
    made = cut(Picture(np.zeros((20, 40, 3), np.uint8), boxes, np.array([0, 1])))
    assert made.boxes.tolist() == [[0, 0, 35, 20]]
    assert made.classes.tolist() == [1]


def test_composed_pictures_have_the_boxes_of_what_was_pasted(tmp_path: Path) -> None:
    for group in ("upper-body", "lower-body", "footwear"):
        (tmp_path / group).mkdir()
        cutout = np.zeros((40, 30, 4), np.uint8)
        cutout[5:35, 5:25] = (10, 200, 10, 255)
        cv2.imwrite(str(tmp_path / group / "a.png"), cutout)
    composer = Composer(find_cutouts(tmp_path, GROUPS), GROUPS, side=160)
    for seed in range(10):
        made = composer.draw(np.random.default_rng(seed))
        again = composer.draw(np.random.default_rng(seed))
        assert np.array_equal(made.pixels, again.pixels)
        assert len(made.boxes) == len(made.classes) >= 1
        assert (made.boxes[:, :2] >= 0).all()
        assert (made.boxes[:, 2:] <= (made.pixels.shape[1], made.pixels.shape[0])).all()
        assert {GROUPS[label] for label in made.classes} <= {"upper-body", "lower-body", "footwear"}
    assert find_cutouts(tmp_path, GROUPS).count == 3
    with pytest.raises(DataError, match="cut-outs"):
        find_cutouts(tmp_path, GROUPS, without={Path("photos/a.jpg")})  # cut-outs of held-out photos are not composed
    with pytest.raises(DataError, match="cut-outs"):
        find_cutouts(tmp_path / "none", GROUPS)


def test_only_clear_masks_give_boxes() -> None:
    mask = np.zeros((100, 80), np.uint8)
    mask[20:80, 10:40] = 255
    cut_one = find_boxes(mask, "upper-body")
    assert cut_one is not None
    assert cut_one.clean
    assert cut_one.boxes.tolist() == [[10, 20, 40, 80]]
    mask[20:80, 50:75] = 255
    assert find_boxes(mask, "upper-body") is None
    shoes = find_boxes(mask, "footwear")
    assert shoes is not None
    assert shoes.boxes.tolist() == [[10, 20, 40, 80], [50, 20, 75, 80]]
    assert find_boxes(np.full((50, 50), 128, np.uint8), "bag") is None
    assert find_boxes(np.zeros((50, 50), np.uint8), "bag") is None


def test_labels_without_a_group_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,type,sender_id\na.jpg,T-Shirt,7\nb.jpg,Not sure,7\n")
    (item,) = read_labelled(path, {"t-shirt": "upper-body"})
    assert (item.file, item.group, item.owner) == ("a.jpg", "upper-body", "7")
    with pytest.raises(DataError, match="type"):
        path.write_text("file\n")
        read_labelled(path, {})
