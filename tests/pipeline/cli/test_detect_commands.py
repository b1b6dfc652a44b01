"""The detect commands as a person types them: curves, pictures of what was found, rendered parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.cards import Card, write_card
from models.detections import GROUPS
from models.detector_network import own_tensors
from models.errors import DataError
from models.preprocessing import Preprocessing
from models.training.detection_run import starting_point
from models.training.log import TrainingLog
from pipeline.cli.detect_commands import app
from pipeline.cli.detect_parts import belt
from pipeline.errors import SettingError


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Card of an untrained detector that says a lot."""
    folder = tmp_path_factory.mktemp("cards")
    gray = Preprocessing(64, (127.0,) * 3, (128.0,) * 3)  # type: ignore[arg-type]
    backbone = Card(
        role="backbone", name="tiny", architecture="efficientnet_lite0", weights="random:5", preprocessing=gray
    )
    start = starting_point(write_card(backbone, None, folder), 96, seed=3)
    detector = Card(
        role="detector",
        name="detector",
        architecture="fcos",
        weights="",
        labels=GROUPS,
        preprocessing=start.preprocessing,
        thresholds=dict.fromkeys(GROUPS, 0.02),
        options=start.options | {"backbone": "tiny.toml", "max_garments": 3},
    )
    return write_card(detector, own_tensors(start.network), folder)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photos of different shapes, in folders."""
    rng = np.random.default_rng(0)
    for number in range(5):
        path = tmp_path / "photos" / f"{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (90 + 40 * number, 120, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def run(*words: object) -> dict:
    """The JSON line that a command prints."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_one_photo_gives_its_garments_and_a_picture_of_its_size(card: Path, photos: Path, tmp_path: Path) -> None:
    answer = run("show", photos / "0/0.jpg", "--card", card, "--to", tmp_path / "one.png")
    assert 0 < len(answer["garments"]) <= 3
    assert answer["garments"][0].keys() == {"group", "score", "box"}
    assert Image.open(tmp_path / "one.png").size == (120, 90)


def test_a_folder_gives_a_sheet_of_its_photos_spread_evenly(card: Path, photos: Path, tmp_path: Path) -> None:
    answer = run("show", photos, "--card", card, "--to", tmp_path / "sheet.jpg", "--limit", 3)
    assert (answer["photos"], answer["of"]) == (3, 5)
    assert Image.open(tmp_path / "sheet.jpg").size == (7 * 220, 220)


def test_nothing_to_show_and_unknown_endings_are_said(card: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match="empty"):
        run("show", tmp_path / "empty", "--card", card)
    with pytest.raises(SettingError, match=r"\.jpg"):
        run("show", photos, "--card", card, "--to", tmp_path / "sheet.xyz")


def test_a_setting_that_is_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="train_backbone=maybe"):
        run("train", tmp_path, "--data", "boxes.csv", "--set", "train_backbone=maybe")


def test_curves_are_drawn_from_the_log_of_a_run_that_goes_on(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    for step in (20, 40):
        parts = {"classification": 0.3, "bbox_regression": 0.4, "bbox_ctrness": 0.6}
        log.add(step, loss=1.3, **parts, learning_rate=1e-3, seconds=1.0)
    assert run("plot", tmp_path)["pictures"] == [str(tmp_path / "curves.png")]
    assert Image.open(tmp_path / "curves.png").width > 1000
    with pytest.raises(DataError, match="no training run"):
        run("plot", tmp_path / "none")


def test_a_rendered_belt_is_a_ring_and_the_same_for_a_seed() -> None:
    first, again, other = (belt(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    alpha = first[..., 3]
    assert alpha.shape[1] == 320
    column = alpha[:, 160] > 128
    assert column.any()
    assert np.flatnonzero(np.diff(column.astype(int)) != 0).size >= 3  # far side, hole, near side
