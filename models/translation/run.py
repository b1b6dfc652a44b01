"""A training run from pictures to model cards: memory check, log, samples, checkpoints, cards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.devices import Placement
from models.errors import DataError
from models.gan.balance import Band
from models.gan.checkpoint import CHECKPOINT, read_checkpoint
from models.training.log import TrainingLog
from models.translation.memory import Need, available, check_memory
from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair
from models.translation.samples import PAGE, SamplePage
from models.translation.trainer import TranslatorTraining, steps_per_epoch
from models.translation.translator import Words, write_cards

log = logging.getLogger("atelier")
CARDS, EPOCHS = "cards", "epochs"
"""Folders of a run: the final cards; cards of earlier epochs, a folder each."""


@dataclass(frozen=True)
class TranslatorRun:
    """What a run does besides training.

    Args:
        folder: for everything it writes.
        options: of the training.
        words: for the cards.
        checkpoint_every: steps between checkpoints within an epoch; 0: only after each epoch.
        card_every: epochs between cards that are kept, to be tested and compared; 0: only the last.
        samples: photos of each side on the sample page.
        start_from: folder of a run, of any size of pictures, whose networks are the first weights.
    """

    folder: Path
    options: TranslateOptions
    words: Words
    checkpoint_every: int = 0
    card_every: int = 20
    samples: int = 6
    start_from: Path | None = None


def cards_of(run: Path) -> dict[int, Path]:
    """Card folders of a run by epoch; 0 stands for the final cards.

    Raises:
        DataError: the folder has none.
    """
    made = {int(path.name): path for path in sorted((run / EPOCHS).glob("*")) if path.is_dir()}
    if (run / CARDS).is_dir():
        made[0] = run / CARDS
    if not made:
        raise DataError(f"{run} has no cards yet: {CARDS}/ is written when `atelier translate train` has finished")
    return made


def card_of_side(folder: Path, side: str) -> Path:
    """The card in a folder that starts from side `a` or `b`.

    Raises:
        DataError: there is none.
    """
    from models.cards import read_card

    for path in sorted(folder.glob("*.toml")):
        if read_card(path).options.get("side") == side:
            return path
    raise DataError(f"{folder} has no card of a translator from side {side}")


def refuse_existing(folder: Path) -> None:
    """Check that a new run overwrites none.

    Raises:
        DataError: there is one in the folder.
    """
    if (folder / CHECKPOINT).exists():
        raise DataError(f"{folder} already holds a run: go on with --resume, or name another folder")


def steps_left(pictures: PicturePair, run: TranslatorRun, *, resume: bool) -> int:
    """Steps that a training with these arguments will take.

    Raises:
        DataError: see `TranslatorTraining.resume`.
    """
    done = read_checkpoint(run.folder / CHECKPOINT)["position"] if resume else {"epoch": 1, "step": 0}
    steps = steps_per_epoch(pictures, run.options)
    return max(0, (run.options.total_epochs - done["epoch"] + 1) * steps - done["step"])


def train_translator(
    pictures: PicturePair,
    run: TranslatorRun,
    placement: Placement,
    on_step: Callable[[], object],
    on_epoch: Callable[[int, dict[str, float]], object],
    *,
    resume: bool = False,
) -> dict[str, Any]:
    """Train both directions and write their cards into `cards/` of the run's folder.

    Args:
        on_step: called after every step.
        on_epoch: told the epoch that ended and its mean losses.
        resume: go on from the run's checkpoint.

    Returns:
        Paths and figures of the run, for people and programs.

    Raises:
        DeviceError: there is not enough memory.
        DataError: nothing to resume; or the folder already holds a run and `resume` was not asked for.
    """
    if not resume:
        refuse_existing(run.folder)
    need = check_memory(run.options, placement, available(placement.device))
    run.folder.mkdir(parents=True, exist_ok=True)
    training = TranslatorTraining(pictures, run.options, placement, run.folder)
    done = training.resume() if resume else 0
    if run.start_from and not resume:
        training.start_from(run.start_from)
    journal = TrainingLog(run.folder, after_epoch=done)
    samples = SamplePage(run.folder, pictures, run.samples, after_epoch=done)
    first, started, epoch_started = training.steps_done, time.perf_counter(), [time.perf_counter()]

    def finish_epoch(epoch: int, losses: dict[str, float]) -> None:
        seconds = time.perf_counter() - epoch_started[0]
        journal.add(
            epoch, **losses, rate=run.options.rate(epoch), seconds=round(seconds, 3), **_verdicts(epoch, losses)
        )
        samples.add(epoch, training.generators(), losses)
        if run.card_every and epoch % run.card_every == 0:
            write_cards(
                training.generators(), pictures, run.options, epoch, run.folder / EPOCHS / f"{epoch:04d}", run.words
            )
        on_epoch(epoch, losses)
        epoch_started[0] = time.perf_counter()

    training.fit(lambda _: on_step(), finish_epoch, run.checkpoint_every)
    cards = write_cards(
        training.generators(), pictures, run.options, run.options.total_epochs, run.folder / CARDS, run.words
    )
    return _summary(training, need, cards, run.folder) | {
        "images_per_s": _rate(training, first, time.perf_counter() - started)
    }


def _verdicts(epoch: int, losses: dict[str, float]) -> dict[str, str]:
    """Whether each discriminator's accuracy is healthy; says so where it is not."""
    made: dict[str, str] = {}
    for letter in "ab":
        share = losses[f"discriminator_{letter}_accuracy"]
        verdict = made[f"balance_{letter}"] = Band().verdict(share)
        if verdict != "balanced":
            said = "learns nothing from a judge that is always right" if share > 0.5 else "is never corrected"
            log.warning(
                "epoch %d: discriminator %s is right %.0f %% of the time (%s): the generator of side %s %s",
                epoch,
                letter,
                100 * share,
                verdict,
                letter,
                said,
            )
    return made


def _rate(training: TranslatorTraining, first: int, seconds: float) -> float:
    """Photos (of both sides) a second."""
    return round(2 * training.options.batch * (training.steps_done - first) / max(seconds, 1e-9), 2)


def _summary(training: TranslatorTraining, need: Need, cards: tuple[Path, Path], folder: Path) -> dict[str, Any]:
    return {
        "cards": [str(path) for path in cards],
        "samples": str(folder / PAGE),
        "epochs": training.epoch - 1,
        "steps": training.steps_done,
        "steps_per_epoch": training.steps_per_epoch,
        "photos": {f"{letter}_train": len(training.pictures.side(letter).train) for letter in "ab"},
        "memory_estimated": need.total,
        "device": training.placement.device,
        "precision": training.placement.precision,
    }
