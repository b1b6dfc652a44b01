"""From sources of boxes to a detector's model card: reads, splits, trains, judges on what was held out, writes."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.backbones import build_backbone, optimized
from models.boxes.groups import GROUPS, WORDS, read_words
from models.cards import Card, read_card, write_card
from models.detector import ARCHITECTURE, Judgement, LoadedDetector, build_detector
from models.detector_network import GarmentDetector, own_tensors
from models.devices import capabilities, choose
from models.errors import CardError, DataError
from models.preprocessing import Preprocessing
from models.training.checkpoints import digest_of
from models.training.detection import STATE, DetectorPlan, DetectorTraining, Pictures
from models.training.detection_augment import Augmentation
from models.training.detection_compose import Composer, CutOuts, find_cutouts
from models.training.detection_data import Photo, PhotoReader, Photos, held_out, load_sources, parse_source
from models.training.detection_evaluate import FLOOR, Outcome, run_over
from models.training.detection_metrics import best_thresholds, coco_figures, flat, main_garment_share

log = logging.getLogger("atelier")
NAME = "detector"
CHANNELS, CONVS = 80, 3
Advance = Callable[[int], None]


@dataclass(frozen=True)
class DetectorRun:
    """One training.

    Args:
        folder: for the state, the metrics and, at the end, the card.
        sources: see `parse_source`.
        start: card of a backbone (a new detector) or of a detector (fine-tuning).
        plan: the training itself.
        held_out: share of the owners (products, persons, photos) kept out to judge it, by hash.
        cutouts: folder with cut-out garments; None: nothing is composed.
        scenes: folder with photos to compose on.
        words: TOML file with the shop's own words for garments, on top of the built-in ones.
        groups: the shop's own classes; None: those of the detector it starts from, `GROUPS` where it is new.
        device: auto, cpu or cuda.
        texts: `licence`, `data` and `command` for the card.
    """

    folder: Path
    sources: tuple[str, ...]
    start: Path
    plan: DetectorPlan
    held_out: float = 0.15
    cutouts: Path | None = None
    scenes: Path | None = None
    words: Path | None = None
    groups: tuple[str, ...] | None = None
    device: str = "cpu"
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Start:
    """A network to train with what its card will need; `backbone` is the file of the backbone's card."""

    network: GarmentDetector
    groups: tuple[str, ...]
    preprocessing: Preprocessing
    backbone: Path
    options: dict[str, Any]


def starting_point(path: Path, size: int, seed: int, groups: tuple[str, ...] | None = None) -> Start:
    """A new detector on a backbone's card, or the detector of a card, for input of `size` pixels.

    Args:
        groups: see `DetectorRun`.

    Raises:
        CardError: the card is of another role, is a detector of other groups, or can't be used.
        DataError: groups without a name, or twice the same.
    """
    if groups is not None and (not all(groups) or len(set(groups)) != len(groups)):
        raise DataError(f"groups are names, each of them once, not {','.join(groups)!r}")
    card = read_card(path)
    if card.preprocessing is None or card.role not in {"backbone", "detector"}:
        raise CardError(f"a detector starts from the card of a backbone or detector, not from the {card.role} {path}")
    preprocessing = replace(card.preprocessing, size=size, resize="letterbox")
    if card.role == "detector":
        if groups not in (None, card.labels):
            raise CardError(
                f"{path} detects {', '.join(card.labels)}; for other groups start from the card of a backbone"
            )
        options = {"channels": card.options["channels"], "convs": card.options["convs"]}
        network = build_detector(card, path.parent)
        return Start(network, card.labels, preprocessing, path.parent / card.options["backbone"], options)
    backbone = build_backbone(card, path.parent)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GarmentDetector(backbone, len(groups or GROUPS), CHANNELS, CONVS)
    return Start(network, groups or GROUPS, preprocessing, path, {"channels": CHANNELS, "convs": CONVS})


def load_photos(sources: Sequence[str], groups: Sequence[str], words: Path | None) -> Photos:
    """Photos of all sources; what was left out is logged by file and line."""
    known = WORDS | {group.lower(): group for group in groups} | (read_words(words) if words else {})
    photos = load_sources([parse_source(source) for source in sources], groups, known)
    for problem in photos.problems:
        log.warning("left out: %s", problem)
    for word, count in photos.unknown.most_common():
        log.info("left out: %d boxes of %r, which belongs to no group", count, word)
    return photos


def split(photos: Photos, share: float) -> tuple[list[Photo], list[Photo]]:
    """Photos to train on and photos held out.

    Raises:
        DataError: one side is empty.
    """
    kept_out = [photo for photo in photos.photos if held_out(photo, share)]
    rest = [photo for photo in photos.photos if not held_out(photo, share)]
    if not rest or (share > 0 and not kept_out):
        raise DataError(f"{len(photos.photos)} photos are too few to hold out a share of {share:g}")
    return rest, kept_out


def train_detector(
    run: DetectorRun, resume: bool = False, advance: Advance = lambda count: None, stop_after: int | None = None
) -> dict[str, Any]:
    """Train, judge on the held-out photos and write the card.

    Args:
        resume: go on from the folder's state; else a folder that holds one is refused.
        advance: called after each step.
        stop_after: end early after this many steps, without a card (to be resumed).

    Returns:
        `steps`, `photos`, `held_out`, `seconds`, and with a card `card`, `thresholds` and the figures.

    Raises:
        DataError, CardError: what was handed in can't be used; the message names it.
    """
    if not resume and (run.folder / STATE).exists():
        raise DataError(f"{run.folder} holds a training already; resume it, or name another folder")
    started = time.monotonic()
    device = choose(run.device, "auto", capabilities()).device
    start = starting_point(run.start, run.plan.size, run.plan.seed, run.groups)
    train, kept_out = split(load_photos(run.sources, start.groups, run.words), run.held_out)
    log.info("training on %d photos, %d held out", len(train), len(kept_out))
    cutouts = _cutouts(run, start.groups, kept_out)
    data = _digest(start, train, kept_out, cutouts)
    training = DetectorTraining(start.network, start.preprocessing, run.plan, run.folder, device, data)
    if resume:
        training.resume()
        advance(training.step)
    training.run(_pictures(run, start, train, cutouts), advance, stop_after)
    result: dict[str, Any] = {"steps": training.step, "photos": len(train), "held_out": len(kept_out)}
    if training.step == run.plan.steps:
        result |= _finish(run, start, training.averaged(), kept_out)
    return result | {"seconds": round(time.monotonic() - started, 1)}


def _cutouts(run: DetectorRun, groups: Sequence[str], kept_out: Sequence[Photo]) -> CutOuts | None:
    if run.cutouts is None:
        return None
    return find_cutouts(run.cutouts, groups, run.scenes, {photo.path for photo in kept_out})


def _pictures(run: DetectorRun, start: Start, train: Sequence[Photo], cutouts: CutOuts | None) -> Pictures:
    composed = Composer(cutouts, start.groups).draw if cutouts else None
    augmentation = Augmentation(run.plan.size, mosaic=run.plan.mosaic, composed=run.plan.composed)
    reader = PhotoReader(round(run.plan.size * augmentation.scale[1]))
    return Pictures(train, reader, composed, augmentation, run.plan.seed, run.plan.balance)


def _digest(start: Start, train: Sequence[Photo], kept_out: Sequence[Photo], cutouts: CutOuts | None) -> str:
    """Of the starting weights, the photos with their boxes by side of the split, and the cut-outs with their scenes.

    Photos and cut-outs go by name, so that a folder may have moved in between.
    """
    parts: list[np.ndarray | str] = list(start.groups)
    for name, tensor in start.network.state_dict().items():
        parts += [name, tensor.numpy()]
    for side in (train, kept_out):
        parts.append(f"{len(side)} photos")
        for photo in side:
            parts += [photo.path.name, photo.owner, f"{photo.weight:g}", photo.boxes, photo.classes]
    for files in (*cutouts.files, cutouts.scenes) if cutouts else ():
        parts += [f"{len(files)} files", *(file.name for file in files)]
    return digest_of(parts)


def _finish(run: DetectorRun, start: Start, network: GarmentDetector, kept_out: Sequence[Photo]) -> dict[str, Any]:
    """Judge the trained network, choose its thresholds, write card and weights."""
    tensors = {name: _halved(tensor.detach().clone()) for name, tensor in own_tensors(network).items()}
    thresholds, figures = dict.fromkeys(start.groups, 0.35), {}
    if kept_out:
        placement = choose(run.device, "auto", capabilities())
        judgement = Judgement(start.groups, dict.fromkeys(start.groups, FLOOR), max_garments=100)
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
        loaded = LoadedDetector(optimized(network, placement), start.preprocessing, judgement, placement)  # type: ignore[arg-type]
        outcome = run_over(loaded, kept_out)
        thresholds = best_thresholds(outcome.found, outcome.truths, start.groups)
        figures = {"held_out": judged(outcome, start.groups)}
    card = Card(
        role="detector",
        name=NAME,
        architecture=ARCHITECTURE,
        weights="",
        labels=start.groups,
        preprocessing=start.preprocessing,
        split=f"{run.held_out:g} of the owners (products, persons, photos) held out by sha256 of their name",
        seed=run.plan.seed,
        figures=figures,
        thresholds=thresholds,
        options=start.options | {"backbone": _backbone_beside(start.backbone, run.folder), "nms_iou": 0.5},
        **dict(run.texts),  # type: ignore[arg-type]
    )
    path = write_card(card, tensors, run.folder)
    return {"card": str(path), "thresholds": thresholds} | figures


def judged(outcome: Outcome, groups: Sequence[str]) -> dict[str, float]:
    """Flat figures of an outcome, as a card stores them."""
    figures = flat(coco_figures(outcome.found, outcome.truths, groups))
    share = main_garment_share(outcome.found, outcome.truths)
    return figures | {"main_garment": round(share, 4), "photos": len(outcome.found)}


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor


def _backbone_beside(card_path: Path, folder: Path) -> str:
    """Copy a backbone's card (and weights that lie beside it) into the detector's folder; returns the file's name."""
    card = read_card(card_path)
    files = [card_path] + [f for f in [card_path.parent / card.weights] if ":" not in card.weights and f.is_file()]
    for file in files:
        if file.parent.resolve() != folder.resolve():
            shutil.copyfile(file, folder / file.name)
    return card_path.name
