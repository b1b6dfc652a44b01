"""`atelier design sample|plot|compare`: pictures of a designer, curves of a run, a table of several runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from models.design.designer import Designer
    from models.release import Release

FIGURES = ("loss_ratio", "discriminator_accuracy", "in_band", "frozen", "kid", "kid_spread", "fid")
Seed = Annotated[int, typer.Option(help="the same seed draws the same pictures")]


def sample(
    card: Annotated[Path, typer.Argument(help="card of a designer, such as var/runs/shoes/designer.toml")],
    out: Annotated[Path, typer.Argument(help="PNG to write; with --each, a folder")],
    count: Annotated[int, typer.Option(min=1, help="pictures; of an interpolation, ways")] = 64,
    with_: Annotated[list[str] | None, typer.Option("--with", help="HEAD=LABEL: designs of this kind only")] = None,
    interpolate: Annotated[int, typer.Option(min=0, help="steps from one design to another; 0: single designs")] = 0,
    each: Annotated[bool, typer.Option("--each", help="a PNG a design, in place of one grid")] = False,
    columns: Annotated[int, typer.Option(min=1, help="of the grid")] = 8,
    seed: Seed = 0,
) -> None:
    """Draw designs: a grid, single pictures, or ways from one design to another.

    Designs follow the training pictures' mix of attributes unless --with says which. A way leads along a great circle
    of the noise: each step is a design of its own, and jumps in it show what the generator has not understood.

    Examples:

        atelier design sample var/runs/types/designer.toml boots.png --with type=Boots --count 32

        atelier design sample var/runs/shoes/designer.toml ways.png --interpolate 10 --count 6
    """
    import numpy as np

    from models.design.run import picture_grid

    if interpolate == 1:
        raise InputError("--interpolate 1 leads nowhere; give at least 2 steps")
    designer, said = _designer(card), _said(with_ or [])
    if interpolate:
        made = designer.interpolate(count, interpolate, seed, said)
        made, columns = made.reshape(-1, *made.shape[2:]), interpolate
    else:
        made = designer.sample(count, seed, said)
    files = _single(made, out, seed) if each else [_save(picture_grid(made, columns), out)]
    apart = float(np.abs(np.diff(made.astype(np.float32), axis=0)).mean() / 255) if len(made) > 1 else 0.0
    emit({"card": str(card), "pictures": len(made), "size": designer.size, "files": files, "apart": round(apart, 4)})


def _designer(card: Path) -> Designer:
    from models.design.designer import read_designer
    from models.devices import capabilities, choose

    return read_designer(card, choose(settings().enrich.device, settings().enrich.precision, capabilities()))


def _said(words: Sequence[str]) -> dict[str, str]:
    made = {}
    for one in words:
        head, separator, label = one.partition("=")
        if not separator or not label:
            raise InputError(f"--with is HEAD=LABEL, not {one!r}")
        made[head] = label
    return made


def _save(picture: np.ndarray, path: Path) -> str:
    from PIL import Image

    if path.suffix.lower() != ".png":
        raise InputError(f"{path} has to end in .png, or give --each for a folder of pictures")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return str(path)


def _single(pictures: np.ndarray, folder: Path, seed: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return [_save(one.transpose(1, 2, 0), folder / f"{seed}-{n:05d}.png") for n, one in enumerate(pictures)]


def plot(
    run: Annotated[Path, typer.Argument(help="folder that `atelier design train` wrote")],
) -> None:
    """Draw a run as PNG: both losses, their ratio, the discriminator's accuracy, and what was done about it.

    Example: `atelier design plot var/runs/shoes`
    """
    from models.design.plots import plot_design

    emit({"run": str(run), "pictures": [str(plot_design(run))]})


def compare(
    out: Annotated[
        Path, typer.Argument(help="folder to write: comparison.json, comparison.md, designs.png, curves.png")
    ],
    runs: Annotated[list[Path], typer.Argument(help="folders of runs on the same pictures")],
    pictures: Annotated[Path, typer.Option(help="the pictures they were trained on: KID and FID compare with these")],
    release: Annotated[str | None, typer.Option(help="release whose backbone compares; default: release.uri")] = None,
    count: Annotated[int, typer.Option(min=2, help="designs of each run, and real pictures at the most")] = 500,
    last: Annotated[int, typer.Option(min=1, help="epochs that the loss ratio and accuracy are means of")] = 5,
    seed: Seed = 0,
) -> None:
    """Compare runs: loss ratio, discriminator accuracy, KID and FID, a row of designs each.

    `in_band` is the share of all epochs in which the discriminator was right in 60 to 95 % of its answers. KID and
    FID rest on the release's backbone: compare them with each other, not with published ones.

    Example:

        atelier design compare var/compare var/runs/exp1 var/runs/exp2 var/runs/exp3 var/runs/exp4
            --pictures var/designs/shoes
    """
    from models.design.pictures import read_design_pictures
    from models.design.plots import plot_balances
    from models.design.run import picture_grid

    real = read_design_pictures(pictures)
    judge, features = _judge(release, real.pictures, count)
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, dict[str, Any]] = {}
    rows = []
    for run in runs:
        made = _designer(_card_of(run)).sample(count, seed)
        figures[run.resolve().name] = {**_balance(run, last), **_distances(_features(judge, made), features)}
        rows.append(made[:12])
        log.info("%s: %s", run, figures[run.resolve().name])
    if len(figures) < len(runs):
        raise InputError("two runs have folders of one name; rename one")
    if len({row.shape for row in rows}) == 1:
        import numpy as np

        _save(picture_grid(np.concatenate(rows), 12), out / "designs.png")
    words = f"{count} designs a run against {len(features)} real pictures, features of {judge.cards.backbone[0].name}"
    summary = {"figures": figures, "compared": words, "seed": seed}
    (out / "comparison.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (out / "comparison.md").write_text(_markdown(figures, words), encoding="utf-8")
    plot_balances(runs, out / "curves.png")
    console.print(_table(figures))
    emit({"out": str(out), **summary})


def _card_of(run: Path) -> Path:
    cards = sorted(run.glob("*.toml"))
    if len(cards) != 1:
        raise InputError(f"{run} has {len(cards)} cards; a finished run has one")
    return cards[0]


def _judge(release: str | None, real: np.ndarray, count: int) -> tuple[Release, np.ndarray]:
    """The release that compares, and its features of real pictures, spread evenly."""
    import numpy as np

    from models.release import load_release
    from pipeline.releases import release_folder

    enrich = settings().enrich
    folder = release_folder(settings(), release)
    judge = load_release(folder, enrich.device, enrich.precision, enrich.threads, enrich.model_images)
    rows = np.unique(np.linspace(0, len(real) - 1, min(count, len(real))).round().astype(np.int64))
    return judge, _features(judge, real[rows])


def _features(judge: Release, pictures: np.ndarray) -> np.ndarray:
    """float32 (N, D) of uint8 (N, 3, S, S)."""
    import numpy as np
    import torch

    made = []
    for begin in range(0, len(pictures), 64):
        images = [np.ascontiguousarray(one.transpose(1, 2, 0)) for one in pictures[begin : begin + 64]]
        made.append(judge.features(torch.stack([judge.preprocessing.resize_image(image) for image in images])))
    return np.concatenate(made)


def _balance(run: Path, last: int) -> dict[str, Any]:
    """Means over the last epochs of a run's log, and how often its discriminator was in the band."""
    from models.gan.balance import Band
    from models.training.log import read_log

    lines = read_log(run)
    ends = lines[-last:]
    made: dict[str, Any] = {"epochs": len(lines)}
    for name in ("loss_ratio", "discriminator_loss", "generator_distance", "discriminator_accuracy", "frozen"):
        made[name] = round(sum(line[name] for line in ends) / len(ends), 4)
    healthy = [Band().verdict(line["discriminator_accuracy"]) == "balanced" for line in lines]
    return made | {"in_band": round(sum(healthy) / len(healthy), 4)}


def _distances(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    from models.translation.distances import fid, kid

    value, spread = kid(made, real)
    return {"kid": round(value, 5), "kid_spread": round(spread, 5), "fid": round(fid(made, real), 2)}


def _cells(made: dict[str, Any]) -> list[str]:
    return [f"{made[name]:.4f}" if name.startswith("kid") else f"{made[name]:.3f}" for name in FIGURES]


def _markdown(figures: dict[str, dict[str, Any]], words: str) -> str:
    titles = [name.replace("_", " ") for name in FIGURES]
    lines = [f"| run | epochs | {' | '.join(titles)} |", "|---" * (len(FIGURES) + 2) + "|"]
    lines += [f"| {run} | {made['epochs']} | {' | '.join(_cells(made))} |" for run, made in figures.items()]
    return "\n".join([*lines, "", words + "."]) + "\n"


def _table(figures: dict[str, dict[str, Any]]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("run", "epochs", box=SIMPLE)
    for name in FIGURES:
        table.add_column(name.replace("_", " "), justify="right")
    for run, made in figures.items():
        table.add_row(run, str(made["epochs"]), *_cells(made))
    return table
