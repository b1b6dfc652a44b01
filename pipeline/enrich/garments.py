"""From a detector's boxes to garments: which are kept, which one the photo is about, what is cut out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.detections import Detections
from models.preprocessing import Preprocessing
from pipeline.enrich.photo import Colors, Photo, measure
from pipeline.images.crops import crop


@dataclass(frozen=True)
class Garment:
    """One garment of a photo.

    Args:
        group: detector class.
        score: of the detection, in [0, 1].
        box: float32 (4,), x1 y1 x2 y2 in pixels of the working picture.
        colors: of the crop.
        input: uint8 (3, S, S), the crop as the backbone takes it.
    """

    group: str
    score: float
    box: np.ndarray
    colors: Colors
    input: torch.Tensor


def prominence(detections: Detections, width: int, height: int) -> np.ndarray:
    """How much the photo is about each garment: score x share of the picture's area x centrality, float64 (n,).

    Centrality is exp(-2 d^2), where d is the distance of the box's center from the picture's, 1 at the corners. A shop
    puts what it sells large into the middle; the belt, the neighbor's bag and the passer-by are small or aside.
    """
    boxes = detections.boxes.astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / (width, height) - 0.5
    centrality = np.exp(-2.0 * np.square(middle).sum(axis=1) / 0.5)
    return detections.scores.astype(np.float64) * area * centrality


def order(detections: Detections, width: int, height: int, most: int) -> list[int]:
    """Indices of the garments that are kept: the `most` best scores, the main garment first, then by score."""
    kept = list(range(min(most, len(detections.groups))))
    if not kept:
        return []
    main = int(prominence(detections, width, height)[: len(kept)].argmax())
    return [main, *(index for index in kept if index != main)]


def garments_of(photo: Photo, detections: Detections, preprocessing: Preprocessing, most: int) -> list[Garment]:
    """The garments of a photo, the main one first. Crops come from the working picture: nothing is decoded twice."""
    pixels = photo.decoded.pixels
    height, width = pixels.shape[:2]
    found = []
    for index in order(detections, width, height, most):
        part = crop(pixels, detections.boxes[index])
        found.append(
            Garment(
                group=detections.groups[index],
                score=float(detections.scores[index]),
                box=detections.boxes[index],
                colors=measure(part),
                input=preprocessing.resize_image(part),
            )
        )
    return found
