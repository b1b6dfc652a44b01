"""Releases: the named, immutable set of models that reads the photos, loaded and ready to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models.backbones import Backbone, build_backbone, optimized
from models.captioner import LoadedCaptioner, load_captioner
from models.detections import GROUPS, Detections
from models.devices import Placement, capabilities, choose
from models.errors import CardError, DataError
from models.heads import Answer, LoadedHead, join_inputs, load_head
from models.preprocessing import Preprocessing
from models.release_cards import ReleaseCards, read_release


class Detector(Protocol):
    """What `models.detector.load_detector` returns."""

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]: ...


class Release:
    """Loaded models, ready to read photos.

    Every forward pass has the same number of rows (missing ones are padding), so that what comes out for one photo
    does not depend, to the last bit, on which photos come with it.
    """

    def __init__(self, cards: ReleaseCards, placement: Placement, batch_images: int) -> None:
        backbone_card, folder = cards.backbone
        if backbone_card.preprocessing is None:
            raise CardError(f"the backbone card {backbone_card.name!r} has no [preprocessing]")
        self.cards = cards
        self.release_id = cards.release_id
        self.feature_id = cards.feature_id
        self.device = placement.device
        self.precision = placement.precision
        self.preprocessing: Preprocessing = backbone_card.preprocessing
        self.batch_images = batch_images
        self._dtype = placement.dtype
        backbone = build_backbone(backbone_card, folder)
        self.dim = backbone.dim
        self._backbone: Backbone = optimized(backbone, placement)  # type: ignore[assignment]
        self.heads: dict[str, LoadedHead] = {
            name: load_head(card, place, placement.device, self.dim) for name, (card, place) in cards.heads.items()
        }
        self.captioner: LoadedCaptioner | None = None
        if cards.captioner:
            self.captioner = load_captioner(*cards.captioner, placement.device, self.dim)
        self._detector = _load_detector(cards, placement)
        self.groups: tuple[str, ...] = cards.detector[0].labels if cards.detector else GROUPS

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Garments of each picture (uint8 (H, W, 3)), best first; none at all where the release has no detector."""
        if self._detector is None:
            return [Detections() for _ in images]
        return self._detector.detect(images)

    @torch.inference_mode()
    def features(self, crops: torch.Tensor) -> np.ndarray:
        """Pooled features, not normalized to length 1.

        Args:
            crops: uint8 (N, 3, size, size), as `preprocessing.resize_image` makes them.

        Returns:
            float32 (N, dim).
        """
        size = self.preprocessing.size
        if crops.dtype != torch.uint8 or crops.shape[1:] != (3, size, size):
            raise DataError(f"crops are uint8 (N, 3, {size}, {size}), not {crops.dtype} {tuple(crops.shape)}")
        out = np.empty((len(crops), self.dim), np.float32)
        for begin, rows in self._chunks(crops):
            pixels = self.preprocessing.normalize(rows.to(self.device, non_blocking=True))
            made = self._backbone(pixels.to(self._dtype, memory_format=torch.channels_last))
            kept = min(self.batch_images, len(crops) - begin)
            out[begin : begin + kept] = made[:kept].float().cpu().numpy()
        return out

    @torch.inference_mode()
    def classify(self, features: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> dict[str, list[Answer]]:
        """Answers of every head.

        Args:
            features: float32 (N, dim), as `features` returns them.
            extra: further inputs by name, float32 (N, length), for heads that ask for them (`extra_inputs`).

        Returns:
            For each head N answers, in the order of the rows.
        """
        return {name: head.answers(self.probabilities(name, features, extra)) for name, head in self.heads.items()}

    @torch.inference_mode()
    def probabilities(
        self, head: str, features: np.ndarray, extra: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Calibrated probabilities float32 (N, labels) of one head; arguments as in `classify`."""
        loaded = self.heads[head]
        joined = join_inputs(self._tensor(features), loaded, extra or {})
        out = np.empty((len(features), len(loaded.labels)), np.float32)
        for begin, rows in self._chunks(joined):
            kept = min(self.batch_images, len(features) - begin)
            out[begin : begin + kept] = loaded.probabilities(rows)[:kept].cpu().numpy()
        return out

    def caption(self, features: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> list[tuple[str, float]]:
        """A sentence and its score (geometric mean of its words' probabilities) for each feature.

        Args:
            features: float32 (N, dim).
            extra: further inputs by name, float32 (N, length), for a captioner that asks for them (`extra_inputs`).

        Returns:
            N pairs; empty where the release has no captioner.
        """
        if self.captioner is None:
            return []
        said: list[tuple[str, float]] = []
        for begin, rows in self._chunks(join_inputs(self._tensor(features), self.captioner, extra or {})):
            said += self.captioner.captions(rows)[: min(self.batch_images, len(features) - begin)]
        return said

    def _tensor(self, features: np.ndarray) -> torch.Tensor:
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise DataError(f"features are (N, {self.dim}), not {features.shape}")
        return torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(self.device)

    def _chunks(self, rows: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Pieces of exactly `batch_images` rows with where they begin; the last one is filled up with zeros."""
        for begin in range(0, len(rows), self.batch_images):
            piece = rows[begin : begin + self.batch_images]
            if len(piece) < self.batch_images:
                filling = piece.new_zeros((self.batch_images - len(piece), *piece.shape[1:]))
                piece = torch.cat([piece, filling])
            yield begin, piece


def _load_detector(cards: ReleaseCards, placement: Placement) -> Detector | None:
    if cards.detector is None:
        return None
    from models.detector import load_detector

    card, folder = cards.detector
    return load_detector(card, folder, placement.device, placement.precision)


def load_release(
    folder: Path, device: str = "auto", precision: str = "auto", threads: int = 0, batch_images: int = 32
) -> Release:
    """Load every model of a release, each checked against its card.

    Args:
        folder: with `release.toml`; `STARTER` is the one that ships.
        device: auto, cpu or cuda (an error where there is none).
        precision: auto (bf16 where the hardware multiplies it), fp32 or bf16.
        threads: CPU threads of PyTorch in this process; 0 leaves them as they are.
        batch_images: rows of every forward pass.

    Raises:
        CardError: the release or a card can't be used.
        DeviceError: the device or precision is not there.
    """
    placement = choose(device, precision, capabilities())
    if threads > 0:
        torch.set_num_threads(threads)
    return Release(read_release(folder), placement, batch_images)
