"""A training run from pictures to a model card: log, samples, checkpoints, card."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from models.cards import Card
from models.design.designer import Words, to_bytes, write_design_card
from models.design.options import DesignOptions
from models.design.pictures import DesignPictures
from models.design.trainer import DesignTraining, steps_per_epoch
from models.devices import Placement
from models.errors import DataError
from models.gan.balance import Band
from models.gan.checkpoint import CHECKPOINT, read_checkpoint
from models.training.log import TrainingLog
from models.translation.samples import grid

log = logging.getLogger("atelier")
SAMPLES = "samples"
"""Folder of a run: a PNG grid an epoch."""


@dataclass(frozen=True)
class DesignRun:
    """What a run does besides training.

    Args:
        folder: for everything it writes.
        options: of the training.
        words: for the card.
        checkpoint_every: steps between checkpoints within an epoch; 0: only after each epoch.
        rows: of the sample grids, which are as wide as high.
    """

    folder: Path
    options: DesignOptions
    words: Words
    checkpoint_every: int = 0
    rows: int = 6

    @property
    def card(self) -> Path:
        """The card it writes in the end."""
        return self.folder / f"{self.words.name}.toml"


def refuse_existing(folder: Path) -> None:
    """Check that a new run overwrites none.

    Raises:
        DataError: there is one in the folder.
    """
    if (folder / CHECKPOINT).exists():
        raise DataError(f"{folder} already holds a run: go on with --resume, or name another folder")


def steps_left(pictures: DesignPictures, run: DesignRun, *, resume: bool) -> int:
    """Steps that a training with these arguments will take.

    Raises:
        DataError: see `DesignTraining.resume`.
    """
    done = read_checkpoint(run.folder / CHECKPOINT)["position"] if resume else {"epoch": 1, "step": 0}
    return max(0, (run.options.epochs - done["epoch"] + 1) * steps_per_epoch(pictures, run.options) - done["step"])


def train_designer(
    pictures: DesignPictures,
    run: DesignRun,
    placement: Placement,
    on_step: Callable[[], object],
    *,
    resume: bool = False,
    first: tuple[nn.Module, Card] | None = None,
) -> dict[str, Any]:
    """Train and write a card into the run's folder.

    Args:
        on_step: called after every step.
        resume: go on from the run's checkpoint.
        first: the first stage of a network `refine`, and its card.

    Returns:
        Paths and figures of the run, for people and programs.

    Raises:
        DataError: nothing to resume; or the folder already holds a run and `resume` was not asked for.
    """
    if not resume:
        refuse_existing(run.folder)
    _check_first(pictures, run, first)
    run.folder.mkdir(parents=True, exist_ok=True)
    training = DesignTraining(pictures, run.options, placement, run.folder, first[0] if first else None)
    done = training.resume() if resume else 0
    journal = TrainingLog(run.folder, after_epoch=done)
    figures: list[dict[str, float]] = []
    started, begun = time.perf_counter(), [time.perf_counter(), training.steps_done]

    def finish_epoch(epoch: int, made: dict[str, float]) -> None:
        seconds = time.perf_counter() - begun[0]
        verdict = Band().verdict(made["discriminator_accuracy"])
        journal.add(epoch, **made, balance=verdict, seconds=round(seconds, 3))
        report(epoch, made, verdict)
        _draw_samples(training, run, epoch)
        figures.append(made)
        begun[0] = time.perf_counter()

    training.fit(on_step, finish_epoch, run.checkpoint_every)
    card = write_design_card(
        training.drawing(),
        pictures,
        run.options,
        training.epoch - 1,
        run.folder,
        run.words,
        first[1] if first else None,
    )
    seconds = max(time.perf_counter() - started, 1e-9)
    return {
        "card": str(card),
        "epochs": training.epoch - 1,
        "steps": training.steps_done,
        "pictures": len(pictures),
        "attributes": list(pictures.attributes.names),
        "last": {name: round(value, 4) for name, value in figures[-1].items()} if figures else {},
        "images_per_s": round((training.steps_done - begun[1]) * run.options.batch / seconds, 2),
        "device": placement.device,
        "precision": placement.precision,
    }


def report(epoch: int, made: dict[str, float], verdict: str) -> None:
    """Say how an epoch went, and what a lost balance means."""
    log.info("epoch %d: %s", epoch, "  ".join(f"{name} {value:.3f}" for name, value in made.items()))
    share = 100 * made["discriminator_accuracy"]
    if verdict == "discriminator_ahead":
        log.warning(
            "epoch %d: the discriminator is right %.0f %% of the time: it teaches little; "
            "--preset exp4, --balance skip or --augment hold it back",
            epoch,
            share,
        )
    elif verdict == "discriminator_behind":
        log.warning(
            "epoch %d: the discriminator is right only %.0f %% of the time: nothing corrects the generator; "
            "--balance ratio gives it more steps",
            epoch,
            share,
        )


def _check_first(pictures: DesignPictures, run: DesignRun, first: tuple[nn.Module, Card] | None) -> None:
    if first is None:
        return
    card, names = first[1], pictures.attributes.names
    if card.labels != names:
        raise DataError(
            f"the first stage {card.name!r} knows {', '.join(card.labels) or 'no attributes'}, the pictures have "
            f"{', '.join(names) or 'none'}; choose the same ones with --by"
        )
    if card.options["noise"] != run.options.noise:
        raise DataError(f"the first stage reads {card.options['noise']} numbers of noise: give --noise as many")


@torch.inference_mode()
def _draw_samples(training: DesignTraining, run: DesignRun, epoch: int) -> None:
    """The same noise after every epoch, a PNG grid."""
    count = run.rows**2
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((count, run.options.noise)).astype(np.float32)
    combinations = training.pictures.combinations()
    vectors = np.zeros((count, len(training.pictures.attributes)), np.float32)
    for number in range(count):
        vectors[number, combinations[number // run.rows % len(combinations)][0]] = 1  # a row a combination
    device = training.placement.device
    made = training.drawing()(torch.from_numpy(noise).to(device), torch.from_numpy(vectors).to(device))
    pixels = to_bytes(made, normalized=run.options.normalized).cpu().numpy()
    folder = run.folder / SAMPLES
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture_grid(pixels, run.rows)).save(folder / f"epoch-{epoch:04d}.png")


def picture_grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures uint8 (N, 3, S, S) row by row as one picture uint8 (h, w, 3)."""
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * columns, *pictures.shape[1:]), 255, np.uint8)
    whole[: len(pictures)] = pictures
    return grid([whole[column::columns] for column in range(columns)], group=columns)
