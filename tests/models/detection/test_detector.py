"""Finding garments: neighbours, sizes, empty pictures, suppression, cards that can't be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cards import read_card, write_card
from models.detections import GROUPS
from models.detector import Judgement, LoadedDetector, _without_same_things, load_detector
from models.errors import CardError, DataError

SIZES = ((120, 80), (64, 200), (300, 300), (33, 47), (96, 96), (500, 120), (31, 400))


def pictures() -> list[np.ndarray]:
    """Noise of many sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def detector(request: pytest.FixtureRequest, detector_card: Path) -> LoadedDetector:
    return load_detector(read_card(detector_card), detector_card.parent, "cpu", request.param, batch_images=4)


def test_detections_lie_in_their_picture_best_first(detector: LoadedDetector) -> None:
    for picture, found in zip(pictures(), detector.detect(pictures()), strict=True):
        assert found.boxes.dtype == np.float32
        assert found.boxes.shape == (len(found.groups), 4)
        assert 0 < len(found.groups) <= 6  # the card's max_garments
        assert set(found.groups) <= set(GROUPS)
        assert (np.diff(found.scores) <= 0).all()
        assert ((found.scores >= 0.02) & (found.scores <= 1)).all()
        assert found.boxes.min() >= 0
        assert (found.boxes[:, 2:] <= (picture.shape[1], picture.shape[0])).all()
        assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()


def test_mixed_sizes_in_one_call_equal_one_by_one_to_the_bit(detector: LoadedDetector) -> None:
    together = detector.detect(pictures())
    for picture, found in zip(pictures(), together, strict=True):
        (alone,) = detector.detect([picture])
        assert alone.groups == found.groups
        assert alone.boxes.tobytes() == found.boxes.tobytes()
        assert alone.scores.tobytes() == found.scores.tobytes()


def test_a_card_without_a_limit_gives_as_many_garments_as_the_setting_can_ask_for(detector_card: Path) -> None:
    card = read_card(detector_card)
    free = replace(card, options={name: value for name, value in card.options.items() if name != "max_garments"})
    found = load_detector(free, detector_card.parent, "cpu", "fp32").detect([pictures()[2]])[0]
    assert 20 < len(found.groups) <= 100


def test_neighbours_and_order_do_not_matter(detector: LoadedDetector) -> None:
    first, *others = pictures()
    dark = np.zeros((50, 50, 3), np.uint8)
    for neighbours in ([], others[:2], [dark, dark, dark]):
        found = detector.detect([*neighbours, first])[-1]
        assert found.boxes.tobytes() == detector.detect([first])[0].boxes.tobytes()


def test_a_picture_without_a_garment_has_none(detector: LoadedDetector) -> None:
    strict = Judgement(GROUPS, dict.fromkeys(GROUPS, 0.9))
    sure = LoadedDetector(detector.network, detector.preprocessing, strict, detector.placement, 4)
    (found,) = sure.detect([np.full((60, 40, 3), 255, np.uint8)])
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.groups == []
    assert detector.detect([]) == []


def test_thresholds_are_each_groups_own(detector: LoadedDetector) -> None:
    limits = dict.fromkeys(GROUPS, 0.02) | {"bag": 0.99}
    picky = LoadedDetector(detector.network, detector.preprocessing, Judgement(GROUPS, limits), detector.placement, 4)
    assert all("bag" not in found.groups for found in picky.detect(pictures()))
    assert any("bag" in found.groups for found in detector.detect(pictures()))


def test_one_garment_with_two_names_keeps_the_better_one() -> None:
    boxes = torch.tensor([[0.0, 0, 100, 100], [1, 1, 100, 100], [0, 0, 100, 50], [0, 0, 99, 98]])
    assert _without_same_things(boxes).tolist() == [0, 2]
    assert _without_same_things(boxes[:0]).tolist() == []


@pytest.mark.parametrize("picture", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32)])
def test_what_is_no_picture_is_refused(detector: LoadedDetector, picture: np.ndarray) -> None:
    with pytest.raises(DataError):
        detector.detect([picture])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"role": "head"}, "not a fcos detector"),
        ({"architecture": "yolo"}, "not a fcos detector"),
        ({"preprocessing": None}, "letterbox"),
        ({"thresholds": {"bag": 0.5}}, "thresholds"),
        ({"options": {"channels": 80, "convs": 3}}, "options.backbone"),
        ({"options": {"channels": 40, "convs": 3, "backbone": "tiny.toml"}}, "do not fit"),
        ({"options": {"channels": 80, "convs": 2, "backbone": "tiny.toml"}}, "do not fit"),
        ({"options": {"channels": 80, "convs": 3, "backbone": "none.toml"}}, "none.toml"),
        ({"sha256": "0" * 64}, "sha256"),
    ],
)
def test_a_card_that_can_not_be_used_is_named(detector_card: Path, change: dict, word: str) -> None:
    card = replace(read_card(detector_card), **change)
    with pytest.raises(CardError, match=word):
        load_detector(card, detector_card.parent, "cpu", "fp32")


def test_altered_weights_are_refused(detector_card: Path, backbone_card: Path, tmp_path: Path) -> None:
    for name in ("detector.safetensors", "tiny.toml"):
        (tmp_path / name).write_bytes((detector_card.parent / name).read_bytes())
    write_card(read_card(detector_card), None, tmp_path)
    load_detector(read_card(tmp_path / "detector.toml"), tmp_path, "cpu", "fp32")
    data = bytearray((tmp_path / "detector.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "detector.safetensors").write_bytes(data)
    with pytest.raises(CardError, match="sha256"):
        load_detector(read_card(tmp_path / "detector.toml"), tmp_path, "cpu", "fp32")
