"""Options that several commands about heads share, and how they are read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.output import log, progress
from pipeline.errors import InputError

if TYPE_CHECKING:
    from models.training.features import FeatureSet
    from models.training.splits import Split

ALIASES = {"pool": "type"}
"""Other names of heads: `pool` is what FashionBrain calls the type."""

SplitFile = Annotated[
    Path | None, typer.Option("--split", help="split.parquet of an earlier run: the same products test again")
]
Weights = Annotated[list[str] | None, typer.Option("--weight", help="HEAD=NUMBER: weight of a head's loss in the sum")]
ExtraInputs = Annotated[
    list[str] | None,
    typer.Option(
        "--extra-input", help="HEAD=NAME: a further input of a head; color=color_histogram joins the measured colors"
    ),
]
Hidden = Annotated[
    list[str] | None,
    typer.Option(
        "--hidden", help="HEAD=WIDTH: a hidden layer in a head; color=256 pays with a histogram beside the feature"
    ),
]


@contextmanager
def on_epochs(words: str, epochs: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A progress bar of epochs, whose figures are logged as they come."""
    with progress(words, epochs, "epochs") as advance:
        last = 0

        def on_epoch(epoch: int, numbers: dict[str, float]) -> None:
            nonlocal last
            log.info("epoch %d: %s", epoch, "  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
            advance(epoch - last)  # a resumed run has some behind it
            last = epoch

        yield on_epoch


def kinds_of(heads: list[str], multi: list[str]) -> dict[str, Literal["single", "multi"]]:
    """Kind of each `--head`; those of `--multi` may give several labels."""
    names, several = names_of(heads), set(names_of(multi))
    if strange := sorted(several - set(names)):
        raise InputError(f"--multi is for {strange[0]!r}, which is not trained here; --head {strange[0]} is missing")
    return {name: "multi" if name in several else "single" for name in names}


def names_of(heads: list[str] | None) -> tuple[str, ...]:
    """Names of heads, aliases resolved."""
    return tuple(ALIASES.get(name, name) for name in heads or [])


def split_of(path: Path | None, seed: int, validation: float, held_out: float) -> Split:
    """The split saved in a file, or the rule of the options."""
    from models.training.splits import Split, read_split

    rule = Split(seed, validation, held_out)
    return read_split(path, rule) if path else rule


def tell_of_twins(out: Path, checked: int, same: int, alike: int) -> None:
    """Warn of held-out pictures that training has seen."""
    if same or alike:
        log.warning(
            "of %d test pictures %d are in training too, under another product, and %d more show the same scene: "
            "see %s/near_duplicates.csv",
            *(checked, same, alike, out),
        )


def weights_of(texts: list[str]) -> dict[str, float]:
    """`--weight HEAD=NUMBER`."""
    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            weights[ALIASES.get(name, name)] = float(number)
        except ValueError:
            raise InputError(f"--weight is HEAD=NUMBER, not {text!r}") from None
    return weights


def inputs_of(texts: list[str]) -> dict[str, tuple[str, ...]]:
    """`--extra-input HEAD=NAME`."""
    inputs: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, separator, extra = text.partition("=")
        if not separator:
            raise InputError(f"--extra-input is HEAD=NAME, such as color=color_histogram, not {text!r}")
        head = ALIASES.get(name, name)
        inputs[head] = (*inputs.get(head, ()), extra)
    return inputs


def data_words(stated: str, data: FeatureSet) -> str:
    """What a card says of the data where the command does not: the sources and their pictures."""
    counts = data.rows["source"].value_counts(sort=False)
    return stated or ", ".join(f"{count} labelled pictures of {source}" for source, count in counts.items())


def warn_of_other_split(card: Path, split: Split) -> None:
    """Say so where nobody can tell whether products that are held out now trained the model to refine."""
    from models.cards import read_card
    from models.training.splits import split_of_run

    if split_of_run(card) is None and not split.tests_like(stated := read_card(card).split):
        log.warning(
            "%s has no split.parquet beside it and states another split (%s): if it was trained on these products, "
            "the figures of this run will be too good; give --split, or --split-seed and --held-out as it states",
            *(card, stated or "none"),
        )


def command_line() -> str:
    """The command being run, as a person would type it."""
    return shlex.join(["atelier", *sys.argv[1:]])


def widths_of(texts: list[str] | None) -> dict[str, int]:
    """`--hidden HEAD=WIDTH`."""
    widths = {}
    for text in texts or []:
        name, _, number = text.partition("=")
        if not number.isdecimal() or int(number) == 0:
            raise InputError(f"--hidden is HEAD=WIDTH, such as color=256, not {text!r}")
        widths[ALIASES.get(name, name)] = int(number)
    return widths
