"""How good detections are: COCO's average precisions, VOC 2007's, and the thresholds that balance each group best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou

from models.detections import Detections

MIN_THRESHOLD, MAX_THRESHOLD = 0.15, 0.5
"""Scores fall on photos of another kind than those held out, so no threshold may be as high as the best there."""


@dataclass(frozen=True)
class Truth:
    """Garments that are in a picture: boxes float32 (n, 4), classes int64 (n,)."""

    boxes: np.ndarray
    classes: np.ndarray


def coco_figures(
    found: Sequence[Detections], truths: Sequence[Truth], groups: Sequence[str], of: Sequence[str] | None = None
) -> dict[str, Any]:
    """Average precisions in [0, 1]; -1 where there is nothing to find.

    Args:
        found: detections of each picture with a low threshold (all that have any chance).
        truths: of the same pictures in the same order.
        groups: the detector's classes.
        of: judge these groups only; None: all.

    Returns:
        `ap` (mean over IoU 0.5 to 0.95), `ap50`, `ap75`, `voc07_ap50` (11 points), `ap_small`, `ap_medium`,
        `ap_large` (area below 32^2, 96^2, above, in pixels of the photo), `ar10` (recall with 10 boxes a picture),
        `groups`: {group: {`ap`, `ap50`, `garments`}}.
    """
    from torchmetrics.detection import MeanAveragePrecision

    names = list(groups)
    judged = [names.index(group) for group in (of or names)]
    metric = MeanAveragePrecision(backend="pycocotools", extended_summary=True, max_detection_thresholds=[1, 10, 100])
    metric.warn_on_many_detections = False
    for one, truth in zip(found, truths, strict=True):
        metric.update([_prediction(one, names, judged)], [_target(truth, judged)])
    result = metric.compute()
    # (IoU thresholds, 101 recalls, classes, areas, max detections); -1: no garment of that class
    precision = np.asarray(result["precision"])[..., 0, -1]
    classes = np.atleast_1d(np.asarray(result["classes"])).tolist()
    figures = {
        "ap": result["map"],
        "ap50": result["map_50"],
        "ap75": result["map_75"],
        "voc07_ap50": _mean(precision[0, ::10]),
        "ap_small": result["map_small"],
        "ap_medium": result["map_medium"],
        "ap_large": result["map_large"],
        "ar10": result["mar_10"],
    }
    counts = np.bincount(np.concatenate([t.classes for t in truths] or [np.zeros(0, int)]), minlength=len(names))
    by_group = {
        names[label]: {
            "ap": round(_mean(precision[:, :, at]), 4),
            "ap50": round(_mean(precision[0, :, at]), 4),
            "garments": int(counts[label]),
        }
        for at, label in enumerate(classes)
        if counts[label]
    }
    return {name: round(float(value), 4) for name, value in figures.items()} | {"groups": by_group}


def _prediction(one: Detections, names: list[str], judged: list[int]) -> dict[str, torch.Tensor]:
    labels = np.array([names.index(group) for group in one.groups], np.int64)
    keep = np.isin(labels, judged)
    return {
        "boxes": torch.from_numpy(one.boxes[keep]),
        "scores": torch.from_numpy(one.scores[keep]),
        "labels": torch.from_numpy(labels[keep]),
    }


def _target(truth: Truth, judged: list[int]) -> dict[str, torch.Tensor]:
    keep = np.isin(truth.classes, judged)
    return {"boxes": torch.from_numpy(truth.boxes[keep]), "labels": torch.from_numpy(truth.classes[keep])}


def _mean(values: np.ndarray) -> float:
    known = values[values >= 0]
    return float(known.mean()) if known.size else -1.0


def best_thresholds(
    found: Sequence[Detections], truths: Sequence[Truth], groups: Sequence[str], fallback: float = 0.35
) -> dict[str, float]:
    """For each group the score at which F1 (at IoU 0.5) is largest, between `MIN_THRESHOLD` and `MAX_THRESHOLD`.

    Groups with fewer than 10 garments get `fallback`.
    """
    chosen: dict[str, float] = {}
    for label, group in enumerate(groups):
        scores, right, total = _hits(found, truths, group, label)
        chosen[group] = fallback if total < 10 or not len(scores) else _best(scores, right, total)
    return chosen


def _best(scores: np.ndarray, right: np.ndarray, total: int) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + total)
    return round(float(np.clip(scores[order][int(f1.argmax())], MIN_THRESHOLD, MAX_THRESHOLD)), 3)


def _hits(
    found: Sequence[Detections], truths: Sequence[Truth], group: str, label: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores of a group's detections, whether each is right, and how many garments there are."""
    scores: list[float] = []
    right: list[bool] = []
    total = 0
    for one, truth in zip(found, truths, strict=True):
        mine = [i for i, name in enumerate(one.groups) if name == group]
        wanted = truth.boxes[truth.classes == label]
        total += len(wanted)
        scores += one.scores[mine].tolist()
        right += _matched(one.boxes[mine], wanted)
    return np.array(scores), np.array(right, bool), total


def _matched(boxes: np.ndarray, wanted: np.ndarray, iou: float = 0.5) -> list[bool]:
    """Whether each box (best first) takes a garment that no better box took."""
    if not len(boxes) or not len(wanted):
        return [False] * len(boxes)
    overlap = box_iou(torch.from_numpy(boxes), torch.from_numpy(wanted)).numpy()
    result = []
    for row in range(len(boxes)):
        best = int(overlap[row].argmax())
        result.append(bool(overlap[row, best] >= iou))
        if result[-1]:
            overlap[:, best] = -1
    return result


def main_garment_share(found: Sequence[Detections], truths: Sequence[Truth], iou: float = 0.5) -> float:
    """Share of pictures whose largest garment has a detection of any group with at least this IoU."""
    good = [
        bool(len(one.boxes)) and float(_iou_with_largest(one.boxes, truth.boxes).max()) >= iou
        for one, truth in zip(found, truths, strict=True)
        if len(truth.boxes)
    ]
    return float(np.mean(good)) if good else -1.0


def _iou_with_largest(boxes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    largest = np.prod(wanted[:, 2:] - wanted[:, :2], axis=1).argmax()
    return box_iou(torch.from_numpy(boxes), torch.from_numpy(wanted[largest : largest + 1])).numpy()


def share_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of the share right / count (Wilson 1927), in [0, 1]; `count` is at least 1."""
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def flat(figures: Mapping[str, Any]) -> dict[str, float]:
    """Figures for a model card: overall ones, and `ap50_<group>`."""
    by_group = {f"ap50_{group}": values["ap50"] for group, values in figures.get("groups", {}).items()}
    return {name: value for name, value in figures.items() if name != "groups"} | by_group
