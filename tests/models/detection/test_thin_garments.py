"""Garments thinner than a cell are learned; what larger ones teach is as in torchvision's FCOS."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.detection.fcos import FCOSHead

from models.detector_network import LEAST_SIDE, GarmentDetector, grown
from models.training.detection_run import starting_point


@pytest.fixture(scope="module")
def network(backbone_card: Path) -> GarmentDetector:
    return starting_point(backbone_card, 64, seed=4).network.train()


def target(*boxes: tuple[float, float, float, float]) -> list[dict[str, torch.Tensor]]:
    return [{"boxes": torch.tensor(boxes), "labels": torch.full((len(boxes),), 6)}]


def test_boxes_grow_about_their_middle_and_only_where_they_are_thin() -> None:
    boxes = torch.tensor([[10.0, 20, 40, 24], [0, 0, 30, 30]])
    assert grown(boxes, 16).tolist() == [[10, 14, 40, 30], [0, 0, 30, 30]]


def test_a_garment_between_the_middles_of_cells_teaches_its_own_box(network: GarmentDetector) -> None:
    pixels = torch.zeros((1, 3, 64, 64))
    # cells' middles lie at 4, 12, 20, ...: none is inside 21 to 27
    thin = network.losses(pixels, target((21.0, 21, 43, 27)))
    assert thin["bbox_regression"] > 0
    assert torch.isfinite(torch.stack(list(thin.values()))).all()
    grown_box = network.losses(pixels, target((21.0, 16, 43, 32)))
    assert thin["classification"] == grown_box["classification"]
    assert thin["bbox_ctrness"] == grown_box["bbox_ctrness"]
    assert thin["bbox_regression"] != grown_box["bbox_regression"]


def test_larger_garments_teach_what_fcos_teaches(network: GarmentDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    boxes = target((5.0, 6, 5 + LEAST_SIDE, 40), (20.0, 10, 60, 63))
    ours = network.losses(pixels, boxes)
    monkeypatch.setattr(type(network.head), "compute_loss", FCOSHead.compute_loss)
    theirs = network.losses(pixels, boxes)
    assert {name: value.item() for name, value in ours.items()} == pytest.approx(
        {name: value.item() for name, value in theirs.items()}
    )


def test_a_picture_without_garments_teaches_background_alone(network: GarmentDetector) -> None:
    nothing = [{"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}]
    losses = network.losses(torch.zeros((1, 3, 64, 64)), nothing)
    assert losses["classification"] > 0
    assert losses["bbox_regression"] == 0
    assert losses["bbox_ctrness"] == 0
