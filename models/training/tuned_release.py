"""From pictures and labels to a fine-tuned backbone with its heads, calibrated, tested and written as cards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.backbones import Backbone, build_backbone, optimized
from models.cards import Card, read_card, write_card
from models.devices import Placement
from models.errors import CardError, DataError
from models.heads import Head
from models.training.augment import augmentation_for
from models.training.checkpoints import CHECKPOINT, forget
from models.training.classify import Ready, Request, Trained, prepare, write_heads
from models.training.features import FeatureSet, Pictures
from models.training.finetune import FineTuner, Tuned, TuneOptions
from models.training.heads import HeadTrainer, OnEpoch
from models.training.log import TrainingLog

EVAL_PICTURES = 32


@dataclass(frozen=True)
class TuneRequest:
    """What to fine-tune: heads, split and words as for frozen features, and how the backbone moves."""

    request: Request
    options: TuneOptions = field(default_factory=TuneOptions)
    name: str = "backbone"


def tune(
    data: FeatureSet,
    pictures: Pictures,
    start: Path,
    wanted: TuneRequest,
    placement: Placement,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    *,
    resume: bool = False,
) -> tuple[Path, Trained]:
    """Train heads on the frozen features, then everything; write the cards of backbone and heads to `folder`/cards.

    Args:
        data: features of the backbone that `start` describes.
        pictures: of the same rows, as `atelier features --pictures` keeps them.
        start: card of the backbone to begin from.

    Returns:
        The backbone's card, and cards and figures of the heads.
    """
    card = read_card(start)
    if card.preprocessing is None or (len(pictures), pictures.side) != (len(data), card.preprocessing.size):
        raise CardError(
            f"{len(pictures)} pictures of {pictures.side} px are not those that {start} reads; make the features again"
        )
    if card.digest(functional=True) != data.backbone:
        raise DataError(
            f"the features were not made by the backbone {start}; "
            "name the card of the one that made them (--backbone), or make them again"
        )
    ready = prepare(data, wanted.request)
    if not resume:
        forget(folder)
        forget(folder / "frozen")
    begun = (folder / CHECKPOINT).is_file()
    heads = ready.heads if begun else _on_frozen(ready, wanted, folder / "frozen", resume=resume)
    network = Tuned(build_backbone(card, start.parent), heads, wanted.options.frozen)
    how = (card.preprocessing, augmentation_for(wanted.request.heads), placement)
    tuner = FineTuner(pictures, ready.examples, ready.plans, network, wanted.options, how, _made(folder))
    log = TrainingLog(folder, after_epoch=tuner.resume() if begun else 0)

    def logged(epoch: int, numbers: dict[str, float]) -> None:
        log.add(epoch, **numbers)
        if on_epoch:
            on_epoch(epoch, numbers)

    tuned = tuner.fit(logged).to("cpu")
    path = _write_backbone(card, tuned.backbone, wanted, folder / "cards")
    made = read_card(path)
    features = features_of(build_backbone(made, path.parent), made, pictures, placement)
    moved = replace(data, features=features, backbone=made.digest(functional=True))
    examples = replace(ready.examples, features=features)
    final = {name: tuned.head(name) for name in heads}
    request = replace(wanted.request, options=replace(wanted.request.options, seed=wanted.options.seed))
    return path, write_heads(moved, replace(ready, examples=examples), final, request, folder, tuner.epoch)


def _on_frozen(ready: Ready, wanted: TuneRequest, folder: Path, *, resume: bool) -> dict[str, Head]:
    """Heads trained on the features as they are.

    Raises:
        DataError: it was to be resumed, and nothing had begun.
    """
    trainer = HeadTrainer(ready.examples, ready.plans, ready.heads, wanted.request.options, _made(folder))
    if resume:
        trainer.resume()
    return trainer.fit(lambda epoch, numbers: None)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_backbone(card: Card, backbone: Backbone, wanted: TuneRequest, folder: Path) -> Path:
    """The card of the fine-tuned backbone: matrices in float16, norms and their statistics in float32."""
    tensors = {
        name: tensor.half() if tensor.dim() > 1 else tensor
        for name, tensor in backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    words = wanted.request.words
    made = replace(
        card,
        name=wanted.name,
        weights="",
        sha256="",
        licence=words.licence,
        data=f"{card.data}; then fine-tuned on {words.data}" if words.data else card.data,
        split=wanted.request.split.words(),
        seed=wanted.options.seed,
        command=words.command,
    )
    return write_card(made, tensors, folder)


@torch.inference_mode()
def features_of(backbone: Backbone, card: Card, pictures: Pictures, placement: Placement) -> np.ndarray:
    """Features float16 (N, dim) of pictures, computed the way a release computes them."""
    if card.preprocessing is None:
        raise CardError(f"the backbone card {card.name!r} has no [preprocessing]")
    net: Any = optimized(backbone, placement)
    out = np.empty((len(pictures), backbone.dim), np.float16)
    for begin in range(0, len(pictures), EVAL_PICTURES):
        rows = np.arange(begin, min(begin + EVAL_PICTURES, len(pictures)))
        x = card.preprocessing.normalize(torch.from_numpy(pictures.take(rows)).to(placement.device))
        out[rows] = net(x.to(placement.dtype, memory_format=torch.channels_last)).cpu().numpy()
    return out
