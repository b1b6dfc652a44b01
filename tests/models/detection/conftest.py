"""A tiny set of drawn garments, and a small untrained detector on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.boxes.annotations import BoxedImage, BoxSet
from models.boxes.plain import write_csv_boxes
from models.cards import Card, write_card
from models.detections import GROUPS
from models.preprocessing import Preprocessing

COLORS = {"upper-body": (200, 30, 30), "lower-body": (30, 40, 200)}


@pytest.fixture(scope="session")
def boxed_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """boxes.csv with 24 photos of one red (upper-body) or blue (lower-body) rectangle on gray ground."""
    folder = tmp_path_factory.mktemp("boxed")
    images = []
    for number in range(24):
        rng = np.random.default_rng(number)
        width, height = (int(side) for side in rng.integers(70, 130, 2))
        group = list(COLORS)[number % 2]
        x1, y1 = int(rng.integers(0, width // 3)), int(rng.integers(0, height // 3))
        x2, y2 = x1 + width // 2, y1 + height // 2
        pixels = np.full((height, width, 3), 180, np.uint8)
        pixels[y1:y2, x1:x2] = COLORS[group]
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        images.append(
            BoxedImage(f"{number:02d}.png", np.array([[x1, y1, x2, y2]], np.float32), (group,), width, height)
        )
    write_csv_boxes(BoxSet(tuple(images)), folder / "boxes.csv")
    return folder / "boxes.csv"


@pytest.fixture(scope="session")
def backbone_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Card of an efficientnet_lite0 with random weights."""
    card = Card(
        role="backbone",
        name="tiny",
        architecture="efficientnet_lite0",
        weights="random:5",
        preprocessing=Preprocessing(64, (127.0,) * 3, (128.0,) * 3),  # type: ignore[arg-type]
    )
    return write_card(card, None, tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def detector_card(backbone_card: Path) -> Path:
    """Card of an untrained detector that reports nearly every box it thinks of."""
    from models.detector_network import own_tensors
    from models.training.detection_run import starting_point

    start = starting_point(backbone_card, 96, seed=3)
    card = Card(
        role="detector",
        name="detector",
        architecture="fcos",
        weights="",
        labels=GROUPS,
        preprocessing=start.preprocessing,
        thresholds=dict.fromkeys(GROUPS, 0.02),
        options=start.options | {"backbone": backbone_card.name, "nms_iou": 0.5, "max_garments": 6},
    )
    return write_card(card, own_tensors(start.network), backbone_card.parent)
