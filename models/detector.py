"""Loading the garment detector of a model card and finding the garments of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from models.backbones import build_backbone, optimized
from models.boxes.geometry import Letterbox
from models.cards import Card, read_card
from models.detections import Detections
from models.detector_network import FROZEN, GarmentDetector
from models.devices import Placement
from models.errors import CardError
from models.preprocessing import Preprocessing
from models.weights import load_tensors

ARCHITECTURE = "fcos"
BATCH_IMAGES = 8
"""Pictures a forward pass; fewer are filled up, so that a result never depends on its neighbours."""
MAX_GARMENTS = 100
"""Kept a picture where the card says nothing: all that FCOS gives. Who wants fewer takes the best ones."""
SAME_THING_IOU = 0.8
"""Two boxes of different groups that overlap this much are one garment with two names: the better one stays."""


@dataclass(frozen=True)
class Judgement:
    """How raw boxes become garments.

    Args:
        groups: names of the classes.
        thresholds: smallest score a group's garments need.
        nms_iou: boxes of one group that overlap more than this are the same garment.
        max_garments: kept a picture, best first.
    """

    groups: tuple[str, ...]
    thresholds: Mapping[str, float]
    nms_iou: float = 0.5
    max_garments: int = MAX_GARMENTS


class LoadedDetector:
    """A detector ready for use; `network` sits on `placement`'s device in its precision."""

    def __init__(
        self,
        network: GarmentDetector,
        preprocessing: Preprocessing,
        judgement: Judgement,
        placement: Placement,
        batch_images: int = BATCH_IMAGES,
    ) -> None:
        self.network = network
        self.preprocessing = preprocessing
        self.judgement = judgement
        self.placement = placement
        self.batch_images = batch_images
        self._least = min(judgement.thresholds.values())
        self._limits = torch.tensor([judgement.thresholds[group] for group in judgement.groups])

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Garments of each picture, best first.

        The result of a picture does not depend, to the last bit, on the pictures beside it.

        Args:
            images: uint8 (H, W, 3) RGB of any sizes.
        """
        found: list[Detections] = []
        for begin in range(0, len(images), self.batch_images):
            piece = images[begin : begin + self.batch_images]
            raw = self.network.found(self._batch(piece), self._least, self.judgement.nms_iou)
            found += [self._judged(one, image) for one, image in zip(raw, piece, strict=False)]
        return found

    def _batch(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Normalized (batch_images, 3, S, S) on the device; rows without a picture are zero."""
        size = self.preprocessing.size
        rows = torch.zeros((self.batch_images, 3, size, size), dtype=torch.uint8)
        for row, image in enumerate(images):
            rows[row] = self.preprocessing.resize_image(image)
        pixels = self.preprocessing.normalize(rows.to(self.placement.device, non_blocking=True))
        return pixels.to(self.placement.dtype, memory_format=torch.channels_last)

    def _judged(self, raw: dict[str, torch.Tensor], image: np.ndarray) -> Detections:
        keep = raw["scores"] >= self._limits.to(raw["scores"].device)[raw["labels"]]
        keep = keep.nonzero()[:, 0]
        keep = keep[_without_same_things(raw["boxes"][keep])][: self.judgement.max_garments]
        frame = Letterbox(image.shape[1], image.shape[0], self.preprocessing.size)
        boxes = frame.back(raw["boxes"][keep].float().cpu().numpy())
        labels = raw["labels"][keep].tolist()
        solid = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)  # what lay in the filling is cut to nothing
        groups = [self.judgement.groups[label] for label, good in zip(labels, solid, strict=True) if good]
        return Detections(boxes[solid], raw["scores"][keep].float().cpu().numpy()[solid], groups)


def _without_same_things(boxes: torch.Tensor) -> torch.Tensor:
    """Indices of boxes (n, 4), best first, that no better box covers almost exactly, whatever its group."""
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    covered = (box_iou(boxes, boxes) > SAME_THING_IOU).triu(diagonal=1).any(dim=0)
    return (~covered).nonzero()[:, 0]


def build_detector(card: Card, folder: Path) -> GarmentDetector:
    """The network a card describes, fp32 on the CPU, not fused: ready for training or for `load_detector`.

    Raises:
        CardError: the card is not a detector's, or its backbone or weights can't be used.
    """
    if card.role != "detector" or card.architecture != ARCHITECTURE:
        raise CardError(
            f"the card {card.name!r} is a {card.role} of {card.architecture!r}, not a {ARCHITECTURE} detector"
        )
    options = card.options
    if "backbone" not in options:
        raise CardError(f"the detector card {card.name!r} lacks options.backbone: the card file of its backbone")
    backbone_path = folder / str(options["backbone"])
    backbone = build_backbone(read_card(backbone_path), backbone_path.parent)
    network = GarmentDetector(backbone, len(card.labels), int(options["channels"]), int(options["convs"]))
    tensors = {name: tensor.float() for name, tensor in load_tensors(card, folder).items()}
    try:
        result = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise CardError(f"the weights of card {card.name!r} do not fit: {error}") from None
    missing = [n for n in result.missing_keys if not n.startswith(FROZEN) and not n.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        raise CardError(
            f"the weights of card {card.name!r} do not fit: missing {missing[:3]}, "
            f"unexpected {list(result.unexpected_keys)[:3]}"
        )
    return network.eval()


def load_detector(
    card: Card, folder: Path, device: str, precision: str, batch_images: int = BATCH_IMAGES
) -> LoadedDetector:
    """A detector for inference.

    Args:
        card: role detector; `thresholds` hold one score a group, `options` the network's shape and its backbone.
        folder: where the card lies.
        device: cpu or cuda.
        precision: fp32 or bf16.
        batch_images: rows of every forward pass.

    Raises:
        CardError: the card, its backbone or its weights can't be used.
    """
    if card.preprocessing is None or card.preprocessing.resize != "letterbox" or card.preprocessing.size % 32:
        raise CardError(f"the detector card {card.name!r} needs [preprocessing]: letterbox, size a multiple of 32")
    if missing := [group for group in card.labels if group not in card.thresholds]:
        raise CardError(f"the detector card {card.name!r} has no thresholds for {missing}")
    placement = Placement(device, precision)
    network = optimized(build_detector(card, folder), placement)
    judgement = Judgement(
        card.labels,
        {group: float(card.thresholds[group]) for group in card.labels},
        float(card.options.get("nms_iou", 0.5)),
        int(card.options.get("max_garments", MAX_GARMENTS)),
    )
    return LoadedDetector(network, card.preprocessing, judgement, placement, batch_images)  # type: ignore[arg-type]
