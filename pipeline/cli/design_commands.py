"""`atelier design pictures|train|sample|plot|compare`: learn to draw new products, and draw them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.design_draw import compare, plot, sample
from pipeline.cli.output import emit, log, progress
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    from models.design.options import DesignOptions
    from models.design.pictures import DesignPictures
    from models.design.run import DesignRun

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Learn to draw new products (shoes, or any garment by its type), watch the balance, and draw them.",
)
Size = Annotated[int, typer.Option(help="side of the pictures in pixels: a power of two, 64 or 128 as a rule")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (pictures, train, sample, plot, compare):
        group.command(command.__name__)(command)
    app.add_typer(group, name="design")


def pictures(
    out: Annotated[Path, typer.Argument(help="folder to write: pictures.npy, rows.parquet, meta.json")],
    labels: Annotated[str | None, typer.Option(help="CSV or Parquet with a row a photo; or see --format")] = None,
    form: Annotated[
        Literal["table", "fashion-mnist"],
        typer.Option("--format", help="fashion-mnist: --labels is the folder of its four files"),
    ] = "table",
    images: Annotated[
        str | None, typer.Option(help="folder of photos; alone, all of them, labelled by subfolder")
    ] = None,
    demo: Annotated[str | None, typer.Option(help="a demo catalog, in place of --labels and --images")] = None,
    features: Annotated[
        Path | None, typer.Option(help="folder of `atelier features --pictures`: nothing is decoded again")
    ] = None,
    file_column: Annotated[str | None, typer.Option(help="column with the photo's path; default: file")] = None,
    product_column: Annotated[str | None, typer.Option(help="column with the product")] = None,
    label_column: Annotated[list[str] | None, typer.Option(help="HEAD=COLUMN, where the names differ")] = None,
    names: Annotated[Path | None, typer.Option(help="TOML with new names for labels, a table a head")] = None,
    where: Annotated[list[str] | None, typer.Option(help="HEAD=LABEL|LABEL: only these; may be given again")] = None,
    by: Annotated[list[str] | None, typer.Option(help="head that designs are chosen by, such as type")] = None,
    size: Size = 64,
) -> None:
    """Decode photos once, pad them to a square with white, and resize them; training then reads them from here.

    Examples:

        atelier design pictures var/designs/shoes --labels labels.csv --where type=Shoes --size 64

        atelier design pictures var/designs/mnist --format fashion-mnist
            --labels /usr/share/datasets/fashion-mnist --by type --size 32

        atelier design pictures var/designs/shop --images shop/photos --by folder --size 128
    """
    from pipeline.cli.design_parts import choice_of, from_features, from_photos
    from pipeline.labels.sources import Source

    choice = choice_of(where or [], by or [])
    if sum(bool(one) for one in (labels or images, demo, features)) != 1:
        raise InputError("name one source: --labels (or --images alone), --demo or --features")
    with progress("pictures", None, "pictures") as advance:
        if features:
            made = from_features(features, choice, size, out, advance)
        else:
            columns = (file_column, product_column, tuple(label_column or ()))
            source = Source(labels, images, demo, *columns, names, None, form)
            made = from_photos(source, choice, size, out, settings(), advance)
    for reason, count in made["left_out"].items():
        log.warning("%d photos left out: %s", count, reason)
    emit({"out": str(out), **made})


def train(
    out: Annotated[Path, typer.Argument(help="folder of the run: card, metrics.jsonl, samples/, checkpoint.pt")],
    picture_folder: Annotated[Path, typer.Option("--pictures", help="made by `atelier design pictures`")],
    preset: Annotated[
        Literal["exp1", "exp2", "exp3", "exp4"],
        typer.Option(
            help="exp1: noise from a normal distribution only; exp2: and pictures in [-1, 1], weight decay 1e-4, "
            "generator maximizes log D(G(z)); exp3: and real target 0.9; exp4: and freezing below 0.7"
        ),
    ] = "exp4",
    network: Annotated[
        Literal["dcgan", "plain"], typer.Option(help="convolutions, or fully connected for comparison")
    ] = "dcgan",
    first: Annotated[
        Path | None,
        typer.Option(help="card of a trained designer: train a second stage that makes it 2 or 4 times larger"),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="head that designs are chosen by; default: all that the pictures have")
    ] = None,
    no_attributes: Annotated[bool, typer.Option("--no-attributes", help="learn without attributes")] = False,
    width: Annotated[int, typer.Option(help="channels next to the picture; 64 as published")] = 64,
    noise: Annotated[int, typer.Option(help="numbers a picture is drawn from")] = 100,
    batch: Annotated[int, typer.Option(help="pictures a step")] = 64,
    lr: Annotated[float, typer.Option(help="learning rate of Adam")] = 2e-4,
    epochs: Annotated[int, typer.Option(help="passes over the pictures")] = 50,
    steps_per_epoch: Annotated[int, typer.Option(min=0, help="0: every picture once")] = 0,
    weight_decay: Annotated[float | None, typer.Option(help="in place of the preset's")] = None,
    real_target: Annotated[float | None, typer.Option(help="likewise: below 1 smooths the real side only")] = None,
    freeze: Annotated[float | None, typer.Option(help="likewise: 0 never freezes the discriminator")] = None,
    balance: Annotated[
        Literal["report", "skip", "ratio"],
        typer.Option(help="out of balance: say so; skip a step of the side that is ahead; more steps of the other"),
    ] = "report",
    average: Annotated[float, typer.Option(help="moving average of the generator's weights, such as 0.999")] = 0.0,
    augment: Annotated[
        list[str] | None, typer.Option(help="color, translation, cutout: what the discriminator sees, for few photos")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="turn half of the real pictures around")] = False,
    keep: Annotated[float, typer.Option(min=0, help="second stage: how closely it keeps to the first")] = 1.0,
    checkpoint_every: Annotated[int, typer.Option(min=0, help="steps between checkpoints within an epoch")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on from the run's checkpoint: give all options again")
    ] = False,
    seed: Annotated[int, typer.Option(help="of first weights, noise, order and augmentation")] = 0,
    name: Annotated[str, typer.Option(help="of the card")] = "designer",
    licence: Annotated[str, typer.Option(help="licence of the weights, for the card")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the card")] = "",
) -> None:
    """Train a designer: a generator that draws products, and the discriminator it learns from.

    Watch the balance: a discriminator that is right more than 95 % (or less than 60 %) of the time teaches nothing.
    Each epoch logs its accuracy, the loss ratio D / G and the share of frozen steps, and draws a grid of samples.
    A run that was stopped goes on with --resume as if nothing had happened.

    Examples:

        atelier design train var/runs/shoes --pictures var/designs/shoes --preset exp4 --epochs 50

        atelier design train var/runs/types --pictures var/designs/mnist --by type --width 32

        atelier design train var/runs/large --pictures var/designs/types-128 --first var/runs/types/designer.toml
            --width 32 --batch 16 --balance skip --average 0.999
    """
    from models.design.options import from_preset
    from models.design.pictures import read_design_pictures
    from models.design.run import DesignRun

    found = read_design_pictures(picture_folder, [] if no_attributes else (by or None))
    recipe: dict[str, Any] = {
        "weight_decay": weight_decay,
        "real_target": real_target,
        "freeze": freeze,
        "width": width,
    }
    recipe |= {"noise": noise, "batch": batch, "lr": lr, "epochs": epochs, "steps_per_epoch": steps_per_epoch}
    recipe |= {"average": average, "augment": tuple(augment or ()), "balance": balance, "mirror": mirror, "seed": seed}
    kind = "refine" if first else network
    options = from_preset(preset, network=kind, size=found.size, keep=keep, **recipe)
    run = DesignRun(out, options, _words(name, licence, data), checkpoint_every)
    emit({"out": str(out), "preset": preset, **_train(found, run, first, resume=resume)})


def _words(name: str, licence: str, data: str) -> Any:
    from models.design.designer import Words

    return Words(name, licence, data, shlex.join(["atelier", *sys.argv[1:]]))


def _train(found: DesignPictures, run: DesignRun, first: Path | None, *, resume: bool) -> dict[str, Any]:
    from models.design.designer import first_stage
    from models.design.run import steps_left, train_designer
    from models.devices import capabilities, choose

    enrich = settings().enrich
    placement = choose(enrich.device, enrich.precision, capabilities())
    stage = first_stage(first) if first else None
    log.info(
        "training %s on %s in %s: %s", run.options.network, placement.device, placement.precision, _said(run.options)
    )
    with progress("train", steps_left(found, run, resume=resume), "steps") as advance:
        return train_designer(found, run, placement, advance, resume=resume, first=stage)


def _said(options: DesignOptions) -> str:
    said = [f"pictures in [{-int(options.normalized)}, 1]", "log(1 - D)" if options.saturating else "-log D"]
    said += [f"weight decay {options.weight_decay:g}", f"real target {options.real_target:g}"]
    said += [f"frozen below {options.freeze:g}" if options.freeze else "never frozen", f"balance: {options.balance}"]
    return ", ".join(said)
