"""Figures on detections whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.detections import Detections
from models.training.detection_metrics import Truth, best_thresholds, coco_figures, main_garment_share

GROUPS = ("upper-body", "footwear")


def detections(*found: tuple[str, float, tuple[float, ...]]) -> Detections:
    return Detections(
        np.array([box for *_, box in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        [group for group, *_ in found],
    )


def truth(*garments: tuple[str, tuple[float, ...]]) -> Truth:
    boxes = np.array([box for _, box in garments], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([GROUPS.index(group) for group, _ in garments], np.int64))


A, B = (0.0, 0.0, 100.0, 100.0), (200.0, 200.0, 240.0, 240.0)


def test_perfect_detections_score_one() -> None:
    found = [detections(("upper-body", 0.9, A), ("footwear", 0.8, B))]
    figures = coco_figures(found, [truth(("upper-body", A), ("footwear", B))], GROUPS)
    for name in ("ap", "ap50", "ap75", "voc07_ap50", "ap_medium", "ap_large"):
        assert figures[name] == pytest.approx(1)
    assert figures["ap_small"] == -1
    assert figures["groups"]["footwear"] == {"ap": 1.0, "ap50": 1.0, "garments": 1}


def test_a_loose_box_counts_at_half_overlap_only_and_a_wrong_group_not_at_all() -> None:
    loose = (0.0, 0.0, 100.0, 160.0)  # IoU 0.625
    figures = coco_figures([detections(("upper-body", 0.9, loose))], [truth(("upper-body", A))], GROUPS)
    assert figures["ap50"] == pytest.approx(1)
    assert figures["ap75"] == pytest.approx(0)
    assert figures["ap"] == pytest.approx(0.3, abs=1e-3)  # 0.50, 0.55, 0.60 of ten
    wrong = coco_figures([detections(("footwear", 0.9, A))], [truth(("upper-body", A))], GROUPS)
    assert wrong["ap50"] == pytest.approx(0)


def test_groups_can_be_judged_alone() -> None:
    found = [detections(("upper-body", 0.9, A))]
    truths = [truth(("upper-body", A), ("footwear", B))]
    assert coco_figures(found, truths, GROUPS)["ap50"] == pytest.approx(0.5)
    assert coco_figures(found, truths, GROUPS, of=["upper-body"])["ap50"] == pytest.approx(1)


def test_voc_2007_takes_eleven_recalls() -> None:
    # the first of two garments is found after one false alarm: precision 1/2 up to recall 1/2
    found = [detections(("upper-body", 0.9, B), ("upper-body", 0.8, A)), detections()]
    truths = [truth(("upper-body", A)), truth(("upper-body", A))]
    assert coco_figures(found, truths, GROUPS)["voc07_ap50"] == pytest.approx(6 / 11 * 0.5, abs=1e-3)


def test_thresholds_separate_right_from_wrong() -> None:
    found = [detections(("upper-body", 0.5, A), ("upper-body", 0.3, B)) for _ in range(12)]
    truths = [truth(("upper-body", A)) for _ in range(12)]
    chosen = best_thresholds(found, truths, GROUPS)
    assert chosen["upper-body"] == pytest.approx(0.5)
    assert chosen["footwear"] == 0.35  # nothing to learn it from


def test_share_of_main_garments() -> None:
    found = [detections(("footwear", 0.2, A)), detections(("footwear", 0.9, B)), detections(), detections()]
    truths = [truth(("upper-body", A), ("footwear", B)), truth(("upper-body", A)), truth(("upper-body", A)), truth()]
    assert main_garment_share(found, truths) == pytest.approx(1 / 3)
