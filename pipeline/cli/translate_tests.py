"""`atelier translate test|compare`: figures of translators, and the table that answers the question behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    from rich.table import Table

    from models.devices import Placement
    from models.translation.measures import Bench, Plan
    from models.translation.pictures import PicturePair
    from models.translation.translator import Translator
    from pipeline.cli.translate_parts import ReleaseJudge

RUN = "run.json"
"""File in a run's folder that names its pictures."""

WORSE_COLOR = 1.2
"""Color "stays" while its distance is at most this many times that of the generator with skip connections."""

FIGURES = ("target_probability", "target_share", "color_distance", "color_distance_chance", "cycle_error", "kid", "fid")
Pictures = Annotated[
    list[Path] | None, typer.Option("--pictures", help="made by `atelier translate pictures`; default: the run's own")
]
Release = Annotated[str | None, typer.Option(help="release whose backbone and type head judge; default: release.uri")]
Limit = Annotated[int, typer.Option(min=2, help="pictures of each kind, at the most")]
Labels = Annotated[
    str | None, typer.Option(help="labels of the type head for this side: LABEL|LABEL; default: those of the pictures")
]
Batch = Annotated[int, typer.Option(min=1, help="pictures a forward pass")]


def test(
    run: Annotated[Path, typer.Argument(help="folder of a run, or one card of a translator")],
    pictures: Pictures = None,
    every: Annotated[bool, typer.Option("--every", help="also the cards of earlier epochs that the run kept")] = False,
    release: Release = None,
    limit: Limit = 1000,
    labels_a: Labels = None,
    labels_b: Labels = None,
    batch: Batch = 8,
) -> None:
    """Measure a translator on held-out photos, both ways.

    Printed are, each beside what untranslated sources and real photos reach: the color distance between source and
    variant (0: same colors), the probability that the type head sees the target in the variants, the cycle error, and
    FID and KID on the release's backbone with n. FID depends on n: compare it at equal n only.

    Example:

        atelier translate test var/runs/shoes --labels-b "Sneakers|Heels|Boots|Sandals"
    """
    from models.translation.plots import TESTS, read_tests
    from models.translation.run import cards_of

    is_card = run.suffix == ".toml"
    pair, judge, placement = _pair(pictures, run), _judge(release), _placement()
    plans = _plans(limit, labels_a, labels_b)
    if is_card:
        emit({"card": str(run), **_measured(_card_sides(run), pair, judge, plans, placement, batch)})
        return
    cards = cards_of(run)
    last = 0 if 0 in cards else max(cards)
    chosen = cards if every else {last: cards[last]}
    figures = read_tests(run)
    benches: dict[str, Bench] = {}
    for epoch, folder in chosen.items():
        figures[str(epoch)] = _measured(_folder_sides(folder), pair, judge, plans, placement, batch, benches)
        log.info("epoch %s: %s", epoch or "last", figures[str(epoch)])
    (run / TESTS).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    emit({"run": str(run), "figures": {str(epoch): figures[str(epoch)] for epoch in chosen}})


def compare(
    out: Annotated[Path, typer.Argument(help="folder to write: comparison.json, a picture for each direction")],
    runs: Annotated[list[Path], typer.Argument(help="folders of runs, the one with skip connections first")],
    pictures: Pictures = None,
    release: Release = None,
    limit: Limit = 1000,
    labels_a: Labels = None,
    labels_b: Labels = None,
    batch: Batch = 8,
    rows: Annotated[int, typer.Option(min=1, help="sources shown in the pictures")] = 8,
) -> None:
    """Compare runs on the same held-out photos: does the structure change while the color stays?

    Against the first run, a run's structure changes more if the type head sees the target more often in its variants,
    and its color stays if the distance to the source's colors is at most 20 % larger.

    Example:

        atelier translate compare var/compare var/runs/ganilla var/runs/no_skip var/runs/deconv
    """
    from models.translation.run import CARDS

    pair, judge, placement = _pair(pictures, runs[0]), _judge(release), _placement()
    plans = _plans(limit, labels_a, labels_b)
    names = _run_names(runs)
    benches: dict[str, Bench] = {}
    figures = {}
    for name, run in names.items():
        sides = _folder_sides(run / CARDS)
        figures[name] = _measured(sides, pair, judge, plans, placement, batch, benches)
        log.info("%s: measured", name)
    answers = {name: _answer(made, figures[next(iter(names))]) for name, made in list(figures.items())[1:]}
    out.mkdir(parents=True, exist_ok=True)
    summary = {"runs": {name: str(run) for name, run in names.items()}, "figures": figures, "answers": answers}
    (out / "comparison.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    drawn = list(_drawn(out, names, benches, placement, rows, batch))
    console.print(_table(figures))
    for name, answer in answers.items():
        for direction, said in answer.items():
            console.print(f"{name}, {direction}: {said['words']}", highlight=False, soft_wrap=True)
    emit({"out": str(out), "pictures": [str(path) for path in drawn], **summary})


def _pair(pictures: list[Path] | None, run: Path) -> PicturePair:
    from models.translation.pictures import read_pictures

    if pictures:
        return read_pictures(pictures)
    try:
        folders = json.loads((run / RUN).read_text())["pictures"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{run} does not say which pictures it was trained on; name them with --pictures") from None
    return read_pictures([Path(folder) for folder in folders])


def _judge(release: str | None) -> ReleaseJudge:
    from models.release import load_release
    from pipeline.cli.translate_parts import ReleaseJudge
    from pipeline.releases import release_folder

    chosen = settings()
    enrich = chosen.enrich
    folder = release_folder(chosen, release)
    return ReleaseJudge(load_release(folder, enrich.device, enrich.precision, enrich.threads, enrich.model_images))


def _placement() -> Placement:
    from models.devices import capabilities, choose

    return choose(settings().enrich.device, settings().enrich.precision, capabilities())


def _plans(limit: int, labels_a: str | None, labels_b: str | None) -> dict[str, Plan]:
    """What to read, by source side."""
    from models.translation.measures import Plan

    a, b = (tuple(filter(None, (words or "").split("|"))) for words in (labels_a, labels_b))
    return {"a": Plan(limit, a, b), "b": Plan(limit, b, a)}


def _card_sides(card: Path) -> dict[str, Path]:
    from models.cards import read_card

    return {str(read_card(card).options.get("side", "a")): card}


def _folder_sides(folder: Path) -> dict[str, Path]:
    from models.translation.run import card_of_side

    return {side: card_of_side(folder, side) for side in "ab"}


def _loaded(
    cards: Mapping[str, Path], placement: Placement, batch: int
) -> Iterator[tuple[str, Translator, Translator]]:
    from models.translation.translator import load_both

    for side, path in cards.items():
        yield side, *load_both(path, placement, batch)


def _measured(
    cards: Mapping[str, Path],
    pair: PicturePair,
    judge: ReleaseJudge,
    plans: Mapping[str, Plan],
    placement: Placement,
    batch: int,
    benches: dict[str, Bench] | None = None,
) -> dict[str, Any]:
    """Figures of each direction, `dress_to_shoe`; benches are made once and kept."""
    from models.translation.measures import make_bench, measure

    benches = {} if benches is None else benches
    figures = {}
    for side, there, back in _loaded(cards, placement, batch):
        if there.size != pair.size:
            raise InputError(f"{cards[side]} translates {there.size} px, the pictures have {pair.size}; name others")
        if side not in benches:
            benches[side] = make_bench(pair, side, judge, plans[side])
        figures[there.card.name] = measure(there, back, benches[side], judge)
    return figures


def _run_names(runs: list[Path]) -> dict[str, Path]:
    """Runs by the name of their folder, or the whole path where names repeat."""
    short = [run.resolve().name for run in runs]
    return {name if short.count(name) == 1 else str(run): run for name, run in zip(short, runs, strict=True)}


def _answer(made: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """Against the first run: does the structure change more, does the color stay?"""
    answers = {}
    for direction in made:
        if direction not in first:
            raise InputError(f"the runs translate different things: {', '.join(made)} and {', '.join(first)}")
        ours, theirs = made[direction], first[direction]
        changes = ours["target_probability"] > theirs["target_probability"]
        worse = ours["color_distance"] / max(theirs["color_distance"], 1e-9)
        answers[direction] = {
            "structure_changes_more": changes,
            "color_stays": worse <= WORSE_COLOR,
            "color_distance_ratio": round(worse, 3),
            "words": (
                f"structure changes {'more' if changes else 'no more'} (probability of the target "
                f"{ours['target_probability']:.3f} against {theirs['target_probability']:.3f}), color "
                f"{'stays' if worse <= WORSE_COLOR else 'is lost'} (distance {worse:.2f} times)"
            ),
        }
    return answers


def _table(figures: Mapping[str, Any]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("direction", "run", "n", box=SIMPLE)
    for name in FIGURES:
        table.add_column(name.replace("_", " "), justify="right")
    for direction in next(iter(figures.values())):
        one = next(iter(figures.values()))[direction]
        for name, made in figures.items():
            cells = [f"{made[direction][figure]:.3f}" for figure in FIGURES]
            table.add_row(direction, name, str(made[direction]["n"]), *cells)
        for name in ("untranslated", "real"):
            cells = [f"{one[name][figure]:.3f}" if figure in one[name] else "" for figure in FIGURES]
            table.add_row(direction, f"({name})", "", *cells, end_section=name == "real")
    return table


def _drawn(
    out: Path, runs: Mapping[str, Path], benches: Mapping[str, Bench], placement: Placement, rows: int, batch: int
) -> Iterator[Path]:
    """The same sources through every run, a picture for each direction."""
    from models.translation.pictures import Stack
    from models.translation.plots import plot_comparison
    from models.translation.run import CARDS
    from models.translation.samples import spread_rows

    for side, bench in benches.items():
        sources = spread_rows(Stack([bench.sources]), rows)
        variants, title = {}, ""
        for name, run in runs.items():
            ((_, there, _),) = _loaded({side: _folder_sides(run / CARDS)[side]}, placement, batch)
            variants[name], title = there(sources), there.card.name
        yield plot_comparison(sources, variants, title.replace("_", " "), out / f"{title}.png")
