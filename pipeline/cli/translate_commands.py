"""`atelier translate pictures|train|test|compare|plot|write`: turn pictures of one kind into another, unpaired."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.output import emit, log, progress
from pipeline.cli.translate_tests import RUN, compare, test
from pipeline.cli.translate_write import write
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    from models.translation.pictures import PicturePair
    from models.translation.run import TranslatorRun
    from pipeline.cli.translate_parts import Wanted

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Learn to turn pictures of one kind into another (dress to shoe and back), measure it, and apply it.",
)

Side = Annotated[
    str | None, typer.Option(help="photos of this side: a folder or s3:// prefix; with a catalog: COLUMN=VALUE|VALUE")
]
Catalog = Annotated[str | None, typer.Option(help="CSV or Parquet with a row a photo, to choose photos by label")]
Images = Annotated[str | None, typer.Option(help="folder of the catalog's photos; default: the catalog's own")]
Demo = Annotated[str | None, typer.Option(help="a demo catalog, in place of --catalog")]
FileColumn = Annotated[str | None, typer.Option(help="column with the photo's path; default: file")]
ProductColumn = Annotated[str | None, typer.Option(help="column with the product: its photos stay together")]
Names = Annotated[Path | None, typer.Option(help="TOML with new names for labels, a table a head")]
Tests = Annotated[str | None, typer.Option(help="folder of photos to test on, in place of a share of the products")]
Name = Annotated[str | None, typer.Option(help="what to call this side, such as dress; default: its label or folder")]
HeldOut = Annotated[float, typer.Option(help="share of the products that are never trained on")]
SplitSeed = Annotated[int, typer.Option(help="another seed is another split of the products")]
Size = Annotated[int, typer.Option(help="side of the pictures in pixels: a multiple of 16, at least 32")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group.command("pictures")(pictures)
    group.command("train")(train)
    group.command("test")(test)
    group.command("compare")(compare)
    group.command("plot")(plot)
    group.command("write")(write)
    app.add_typer(group, name="translate")


def pictures(
    out: Annotated[Path, typer.Argument(help="folder to write: memory-mapped arrays, rows.parquet, meta.json")],
    a: Side,
    b: Side,
    size: Size = 128,
    catalog: Catalog = None,
    images: Images = None,
    demo: Demo = None,
    file_column: FileColumn = None,
    product_column: ProductColumn = None,
    names: Names = None,
    test_a: Tests = None,
    test_b: Tests = None,
    name_a: Name = None,
    name_b: Name = None,
    held_out: HeldOut = 0.15,
    split_seed: SplitSeed = 0,
) -> None:
    """Decode and resize the photos of both sides once; training and testing then read them from here.

    A hash of the product decides what is held out to test. A folder serves any number of trainings of its size, and
    several folders can be trained on together.

    Examples:

        atelier translate pictures var/pictures/cc0 --catalog labels.csv --product-column sender_id
            --a type=Dress --b type=Shoes --size 128

        atelier translate pictures var/pictures/shop --a shop/trainA --b shop/trainB
            --test-a shop/testA --test-b shop/testB --name-a dress --name-b shoe
    """
    source = (catalog, images, demo, file_column, product_column, names)
    wanted = _wanted((a, b), (test_a, test_b), (name_a, name_b), source, (split_seed, held_out))
    emit({"out": str(out), **_prepared(wanted, size, out)})


def _wanted(
    sides: tuple[str | None, str | None],
    tests: tuple[str | None, str | None],
    names: tuple[str | None, str | None],
    source: tuple[str | None, str | None, str | None, str | None, str | None, Path | None],
    split: tuple[int, float],
) -> Wanted:
    from pipeline.cli.translate_parts import Wanted, split_of
    from pipeline.labels.sources import Source

    if not all(sides):
        raise InputError("name both sides: --a and --b")
    catalog, images, demo, file_column, product_column, label_names = source
    labelled = None
    if catalog or demo:
        if any(tests):
            raise InputError("--test-a and --test-b are for folders; of a catalog, --held-out products are tested on")
        labelled = Source(catalog, images, demo, file_column, product_column, (), label_names, None)
    if any(tests) and not all(tests):
        raise InputError("name both --test-a and --test-b, or neither")
    return Wanted(_by_side(sides), _by_side(tests), _by_side(names), labelled, split_of(*split))


def _by_side(words: tuple[str | None, str | None]) -> dict[str, str]:
    return dict(zip("ab", (word or "" for word in words), strict=True))


def _prepared(wanted: Wanted, size: int, out: Path) -> dict[str, Any]:
    from models.translation.networks import check_size
    from pipeline.cli.translate_parts import prepare

    check_size(size)
    with progress("pictures", None, "photos") as advance:
        made = prepare(wanted, size, out, settings(), advance)
    for reason, count in made["left_out"].items():
        log.warning("%d photos left out: %s", count, reason)
    return made


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="folder of the run: cards, metrics.jsonl, samples.html, checkpoint.pt")],
    picture_folder: Annotated[
        list[Path] | None, typer.Option("--pictures", help="made by `atelier translate pictures`; again for more")
    ] = None,
    a: Side = None,
    b: Side = None,
    catalog: Catalog = None,
    images: Images = None,
    product_column: ProductColumn = None,
    held_out: HeldOut = 0.15,
    split_seed: SplitSeed = 0,
    generator: Annotated[
        Literal["ganilla", "ganilla_no_skip", "ganilla_deconv", "resnet_9blocks", "resnet_6blocks"],
        typer.Option(help="skip connections (ganilla) copy the source's outline; without them structure can change"),
    ] = "ganilla",
    size: Size = 128,
    width: Annotated[int, typer.Option(help="channels of the generators' first layer; 64 as published")] = 64,
    discriminator_width: Annotated[int, typer.Option(help="likewise of the discriminators")] = 64,
    loss: Annotated[Literal["lsgan", "bce"], typer.Option(help="squares, or cross entropy")] = "lsgan",
    cycle: Annotated[float, typer.Option(min=0, help="weight of the cycle error")] = 10.0,
    identity: Annotated[float, typer.Option(min=0, help="weight of the identity error, as a share of --cycle")] = 0.5,
    cycle_noise: Annotated[
        float, typer.Option(min=0, help="noise before the way back, such as 0.1: nothing hides in faint detail")
    ] = 0.0,
    color: Annotated[float, typer.Option(min=0, help="weight of keeping the garment's mean color, such as 5")] = 0.0,
    pool: Annotated[int, typer.Option(min=0, help="old fakes kept for each discriminator")] = 50,
    lr: Annotated[float, typer.Option(help="learning rate of Adam")] = 2e-4,
    epochs: Annotated[int, typer.Option(min=0, help="with a constant learning rate")] = 100,
    decay_epochs: Annotated[int, typer.Option(min=0, help="then, while the rate falls to zero")] = 100,
    steps_per_epoch: Annotated[int, typer.Option(min=0, help="0: every photo of the larger side once")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="photos of each side a step")] = 1,
    average: Annotated[float, typer.Option(help="moving average of the generators' weights, such as 0.999")] = 0.0,
    augment: Annotated[
        list[str] | None, typer.Option(help="color, translation, cutout: what discriminators see, for few photos")
    ] = None,
    balance: Annotated[
        Literal["report", "skip"], typer.Option(help="skip: a discriminator that is nearly always right waits")
    ] = "report",
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="less memory, a third more time")] = False,
    checkpoint_every: Annotated[int, typer.Option(min=0, help="steps between checkpoints within an epoch")] = 0,
    card_every: Annotated[int, typer.Option(min=0, help="epochs between cards that are kept to be tested")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="photos of each side on the sample page")] = 6,
    start_from: Annotated[
        Path | None, typer.Option(help="a run with the same networks, of any size, to take the first weights from")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on from the run's checkpoint: give all options again")
    ] = False,
    seed: Annotated[int, typer.Option(help="of first weights, order, crops, pool and augmentation")] = 0,
    licence: Annotated[str, typer.Option(help="licence of the weights, for the cards")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the cards")] = "",
) -> None:
    """Train both directions at once and write a model card for each.

    The defaults are the published recipe (GANILLA, CycleGAN) at 128 pixels. Memory is estimated first, and a training
    that does not fit is refused with what each setting would need. `samples.html` shows held-out photos after every
    epoch; a run that was stopped goes on with --resume as if nothing had happened.

    Examples:

        atelier translate train var/runs/shoes --catalog labels.csv --product-column sender_id
            --a type=Dress --b type=Shoes --generator ganilla_no_skip

        atelier translate train var/runs/small --pictures var/pictures/cc0 --pictures var/pictures/demo
            --size 64 --width 32 --batch 4 --epochs 30 --decay-epochs 30 --average 0.999 --augment color

        atelier translate train var/runs/large --pictures var/pictures/cc0-128 --width 32
            --start-from var/runs/small --epochs 5 --decay-epochs 5
    """
    from models.translation.options import TranslateOptions
    from models.translation.pictures import read_pictures
    from models.translation.run import TranslatorRun, refuse_existing
    from models.translation.translator import Words

    recipe = {field.name: context.params[field.name] for field in fields(TranslateOptions)}
    options = TranslateOptions(**recipe | {"augment": tuple(augment or ())})
    if not resume:
        refuse_existing(out)
    out.mkdir(parents=True, exist_ok=True)
    folders = list(picture_folder or [])
    split = split_seed, held_out
    if not folders:
        folders = [out / "pictures"]
        if not resume:
            source = (catalog, images, None, None, product_column, None)
            _prepared(_wanted((a, b), (None, None), (None, None), source, split), size, folders[0])
    elif a or b or catalog:
        raise InputError("name --pictures, or --a and --b, not both")
    words = Words(licence, data, command=_command())
    (out / RUN).write_text(json.dumps({"pictures": [str(folder.absolute()) for folder in folders]}, indent=1) + "\n")
    run = TranslatorRun(out, options, words, checkpoint_every, card_every, samples, start_from)
    emit({"out": str(out), **_train(read_pictures(folders), run, resume=resume)})


def _train(pair: PicturePair, run: TranslatorRun, *, resume: bool) -> dict[str, Any]:
    from models.devices import capabilities, choose
    from models.translation.run import steps_left, train_translator

    enrich = settings().enrich
    placement = choose(enrich.device, enrich.precision, capabilities())
    log.info("training %s on %s in %s", run.options.generator, placement.device, placement.precision)
    with progress("train", steps_left(pair, run, resume=resume), "steps") as advance:

        def on_epoch(epoch: int, losses: dict[str, float]) -> None:
            log.info("epoch %d: %s", epoch, "  ".join(f"{name} {value:.3f}" for name, value in losses.items()))

        return train_translator(pair, run, placement, advance, on_epoch, resume=resume)


def _command() -> str:
    return shlex.join(["atelier", *sys.argv[1:]])


def plot(
    run: Annotated[Path, typer.Argument(help="folder that `atelier translate train` wrote")],
) -> None:
    """Draw a run as PNG: losses, the balance of generators and discriminators, and test figures over epochs.

    Balance: a discriminator that is right in more than 95 % (or less than 60 %) of its answers teaches nothing.

    Example: `atelier translate plot var/runs/shoes`
    """
    from models.translation.plots import plot_run

    emit({"run": str(run), "pictures": [str(path) for path in plot_run(run)]})
