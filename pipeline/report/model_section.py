"""The release's models: what their cards say of them and, where a training log lies beside a card, its curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.cards import Card
from models.errors import CardError
from models.release_cards import LOG_SUFFIX, read_release
from pipeline.errors import AtelierError
from pipeline.releases import release_folder
from pipeline.report.asking import Row
from pipeline.report.content import Figure, Model, Models
from pipeline.report.figures import Line, lines
from pipeline.report.page import count, moment
from pipeline.report.texts import clip, plural
from pipeline.settings import Settings

MODELS_SHOWN = 12
FIGURES_SHOWN = 6
EPOCHS_SHOWN = 400
LOG_BYTES = 2_000_000
"""A longer log is read up to there: curves of a page need no more."""
DATA_LENGTH = 240
_UNTOLD = {"n", "micro_f1", "ap_small", "ap_medium", "ap_large", "ap75", "voc07_ap50", "ar10"}
"""Figures that stay on the card: sizes, and those that say the same as others."""


def models_of(settings: Settings, run_id: str, release_id: str | None, history: Sequence[Row]) -> Models | None:
    """What the page says of the release that this run read photos with; None where none has read any.

    Args:
        settings: release.uri, whose cards are shown if they are of that release.
        run_id: the run.
        release_id: its release.
        history: rows of the statement `RELEASES`, newest release first.
    """
    first = next((row for row in history if row["release_id"] == release_id), None)
    if release_id is None or first is None:
        return None
    new = first["first_run_id"] == run_id
    before = next((row["release_id"] for row in history if row["release_id"] != release_id), None)
    words = f"Release {release_id} reads photos since {moment(first['first_started_at'])}."
    if new:
        replaced = f", in place of {before}" if before else ""
        words = f"Release {release_id} reads photos for the first time in this run{replaced}."
    try:
        cards = read_release(release_folder(settings))
    except (AtelierError, CardError) as error:
        return Models(f"{words} Its cards can't be read: {clip(str(error), DATA_LENGTH)}.", new, ())
    if cards.release_id != release_id:
        words += f" The settings name another one now, {cards.release_id}, so its cards are not shown."
        return Models(words, new, ())
    models = tuple(
        sorted(
            (_model(card, folder) for card, folder in list(cards.all())[:MODELS_SHOWN]),
            key=lambda model: not model.curves,
        )
    )
    if not any(model.curves for model in models):
        words += " No training log lies beside the cards, so there are no curves: the figures are those of the cards."
    return Models(words, new, models)


def _model(card: Card, folder: Path) -> Model:
    name = card.name if card.name == card.role else f"{card.role} {card.name}"
    kind = f"{card.architecture}, {plural(len(card.labels), 'label')}" if card.labels else card.architecture
    words = f"{kind}. {clip(card.data, DATA_LENGTH)}".strip()
    return Model(clip(name, 60), words, _figures(card.figures), _curves(clip(name, 60), card, folder))


def _figures(figures: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The first numbers of the card's first group of held-out figures, `test` if it has one."""
    groups = {name: group for name, group in figures.items() if isinstance(group, Mapping)}
    group = groups.get("test") or next(iter(groups.values()), {})
    shown = [
        (clip(name, 40).replace("_", " "), f"{value:.3f}")
        for name, value in group.items()
        if isinstance(value, int | float) and name not in _UNTOLD
    ][:FIGURES_SHOWN]
    size = group.get("n", group.get("photos"))
    return (*shown, *([("held-out photos", count(size))] if isinstance(size, int) else []))


def _curves(name: str, card: Card, folder: Path) -> tuple[Figure, ...]:
    """Losses, and the other numbers of the card's training log, over epochs."""
    log = read_log(folder / f"{card.name}{LOG_SUFFIX}")
    wanted = {key for line in log for key in line if key != "epoch" and _about(key, card)}
    losses = sorted(key for key in wanted if key.endswith("loss"))
    others = sorted(wanted - set(losses))
    drawn = (
        lines([_line(log, key) for key in keys], f"{name}: {title} over {len(log)} epochs", from_zero=False)
        for title, keys in (("loss", losses), (_words(others) or "validation figures", others))
        if keys
    )
    return tuple(figure for figure in drawn if figure)


def _about(key: str, card: Card) -> bool:
    """Whether a number of the log is of this model: several heads that were trained together share one log."""
    head, slash, _ = key.partition("/")
    return not slash or card.role != "head" or head == card.name


def _line(log: Sequence[Mapping[str, float]], key: str) -> Line:
    there = [line for line in log if key in line]
    return Line(_words([key]).removesuffix(" loss"), [line["epoch"] for line in there], [line[key] for line in there])


def _words(keys: Sequence[str]) -> str:
    """What the only one of some numbers is called: `type/validation_accuracy` is validation accuracy."""
    return clip(keys[0].rpartition("/")[2].replace("_", " "), 30) if len(keys) == 1 else ""


def read_log(path: Path) -> list[dict[str, float]]:
    """The finite numbers of a training log, a line an epoch; [] where there is no log; what is no line is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(LOG_BYTES)
    found = [_numbers(line) for line in text.splitlines()]
    return [line for line in found if "epoch" in line][-EPOCHS_SHOWN:]


def _numbers(line: str) -> dict[str, float]:
    try:
        parsed: Any = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in parsed.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
