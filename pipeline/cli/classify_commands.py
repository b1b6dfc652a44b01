"""`atelier classify train|finetune|plot|test`: heads for color, brand, type and any other attribute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.compare_command import compare
from pipeline.cli.finetune_command import finetune
from pipeline.cli.head_options import (
    ExtraInputs,
    Hidden,
    SplitFile,
    Weights,
    command_line,
    data_words,
    inputs_of,
    kinds_of,
    names_of,
    on_epochs,
    split_of,
    tell_of_twins,
    warn_of_other_split,
    weights_of,
    widths_of,
)
from pipeline.cli.output import emit, log

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Train, plot and test heads (color, brand, type, ...) on cached features. First: `atelier features`.",
)

Features = Annotated[list[Path], typer.Option("--features", help="folder made by `atelier features`; again for more")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group.command("train")(train)
    group.command("plot")(plot)
    group.command("test")(test)
    group.command("finetune")(finetune)
    group.command("compare")(compare)
    app.add_typer(group, name="classify")


def train(
    out: Annotated[Path, typer.Argument(help="folder of the run: cards, metrics.jsonl, checkpoint.pt")],
    features: Features,
    head: Annotated[list[str], typer.Option(help="attribute to learn (a label column); again for several at once")],
    multi: Annotated[list[str] | None, typer.Option(help="heads that may give several labels at once")] = None,
    start: Annotated[list[Path] | None, typer.Option("--from", help="card of a head to refine on these labels")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's checkpoint")] = False,
    min_count: Annotated[int, typer.Option(min=1, help="training rows a label needs to be learned")] = 10,
    precision: Annotated[
        float,
        typer.Option(min=0.01, max=0.999, help="wanted share of right answers; below its threshold a head abstains"),
    ] = 0.9,
    recipe: Annotated[Literal["adamw", "sgd"], typer.Option(help="sgd is the recipe of FashionBrain D2.5")] = "adamw",
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training rows, at the most")] = 40,
    lr: Annotated[float | None, typer.Option(help="learning rate; default: 0.001 for adamw, 0.01 for sgd")] = None,
    batch: Annotated[int, typer.Option(min=1, help="rows a step")] = 256,
    balance: Annotated[float, typer.Option(min=0, max=1, help="0: rows weigh alike; 1: labels weigh alike")] = 0.0,
    weight: Weights = None,
    extra_input: ExtraInputs = None,
    hidden: Hidden = None,
    smoothing: Annotated[float, typer.Option(min=0, max=0.5, help="share of the target spread over all labels")] = 0.0,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="share of the inputs dropped in training")] = 0.5,
    weight_decay: Annotated[
        list[float] | None, typer.Option(help="again for several: one copy is trained with each, validation picks")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, help="epochs without a better validation loss before it stops")] = 10,
    open_head: Annotated[
        list[str] | None, typer.Option("--open", help="head that may answer (unknown), for labels it never saw")
    ] = None,
    leave_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="share of the labels of --open heads left out to learn that from")
    ] = 0.1,
    expect_unknown: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="share of future photos whose label an --open head never saw")
    ] = 0.2,
    split: SplitFile = None,
    validation: Annotated[float, typer.Option(help="share of the products that choose epoch and thresholds")] = 0.15,
    held_out: Annotated[float, typer.Option(help="share of the products that only test")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="another seed is another split of the products and labels")] = 0,
    seed: Annotated[int, typer.Option(help="of first weights, order and dropout")] = 0,
    licence: Annotated[str, typer.Option(help="licence of the weights, for the card")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the card")] = "",
) -> None:
    """Train heads on cached features, calibrate them and write their model cards.

    A product's photos are all in training, all in validation or all in test. Validation chooses the epoch, the weight
    decay, the temperature, and the threshold below which the head abstains; the figures printed are those of
    the test products. `pool` is another name of `type`. A head with --open answers `(unknown)` where it takes a photo
    for a label that it was never shown, such as a new brand; rare labels and a share of the others are kept from it to
    learn and to test that. Held-out photos with a look-alike in training are listed in near_duplicates.csv.

    Examples:

        atelier classify train var/runs/type --features var/features/shop --head type

        atelier classify train var/runs/more --features var/features/new --head type
            --from var/runs/type/cards/type.toml

        atelier classify train var/runs/brand --features var/features/shop --head brand --open brand --leave-out 0.2
    """
    from models.cards import read_card
    from models.training.classify import Request, Words, train_heads
    from models.training.features import join_features, read_features
    from models.training.heads import HeadOptions
    from models.training.open_set import OpenRequest

    decays = (1e-4, 1e-3, 1e-2) if recipe == "sgd" else HeadOptions.weight_decays
    joined = join_features([read_features(folder) for folder in features])
    request = Request(
        heads=kinds_of(head, multi or []),
        min_count=min_count,
        precision=precision,
        split=split_of(split, split_seed, validation, held_out),
        options=HeadOptions(
            recipe=recipe,
            epochs=epochs,
            lr=lr or (0.01 if recipe == "sgd" else 0.001),
            weight_decays=tuple(weight_decay) if weight_decay else decays,
            batch=batch,
            smoothing=smoothing,
            dropout=dropout,
            balance=balance,
            patience=patience,
            seed=seed,
        ),
        start={read_card(path).name: path for path in start or []},
        weights=weights_of(weight or []),
        inputs=inputs_of(extra_input or []),
        hidden=widths_of(hidden),
        words=Words(licence, data_words(data, joined), command_line()),
        open_set=OpenRequest(names_of(open_head), leave_out, expect_unknown, split_seed),
    )
    for path in request.start.values():
        warn_of_other_split(path, request.split)
    with on_epochs(f"train {', '.join(request.heads)}", epochs) as on_epoch:
        made = train_heads(joined, request, out, on_epoch, resume=resume)
    tell_of_twins(out, made.twins.checked, made.twins.same, made.twins.alike)
    answer = {"out": str(out), "cards": {name: str(path) for name, path in made.cards.items()}}
    emit({**answer, "figures": made.figures, "near_duplicates": made.near_duplicates, "epochs": made.epochs})


def plot(
    run: Annotated[Path, typer.Argument(help="folder that `atelier classify train` wrote")],
) -> None:
    """Draw a run: learning curves, and for each head the confusion matrix and the reliability diagram, as PNG.

    Example: `atelier classify plot var/runs/type`
    """
    from models.training.plots import plot_run

    emit({"run": str(run), "pictures": [str(path) for path in plot_run(run)]})


def test(
    card: Annotated[Path, typer.Argument(help="card of a head")],
    features: Features,
    everything: Annotated[
        bool, typer.Option("--all", help="test on every labelled row, not only on the products held out")
    ] = False,
    by_product: Annotated[
        bool, typer.Option("--by-product", help="agree the photos of each product, and compare with single photos")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="folder for confusion matrix and reliability diagram, PNG")] = None,
    split: SplitFile = None,
    held_out: Annotated[float | None, typer.Option(help="share of the products held out, as in training")] = None,
    split_seed: Annotated[int | None, typer.Option(help="seed of the split, as in training")] = None,
) -> None:
    """Test a head on labelled features: accuracy, top-3, F1, coverage at its threshold, calibration error.

    Tests on the products that the head's own run held out (its split.parquet). Where that is gone, give --split, or
    --split-seed and --held-out as in training; a product that trained the head is refused where it can be seen.
    Rows with a label that the head does not know are left out and counted. Use --all on data that the head has
    never been trained on.

    Examples:

        atelier classify test var/runs/type/cards/type.toml --features var/features/shop --plots var/runs/type/test

        atelier classify test models/starter/cards/type.toml --features var/features/shop --all --by-product
    """
    from models.cards import read_card
    from models.training.features import join_features, read_features
    from models.training.judge import judge_head
    from models.training.splits import split_of_run

    data = join_features([read_features(folder) for folder in features])
    own = split_of_run(card) if split_seed is None and held_out is None else None
    chosen = None if everything else split_of(split or own, split_seed or 0, 0.15, held_out or 0.15)
    if chosen and not (split or own) and not chosen.tests_like(stated := read_card(card).split):
        log.warning(
            "this may test on photos that trained the head: its card states another split: %s", stated or "none"
        )
    figures = judge_head(card, data, chosen, by_product=by_product, plots=plots)
    pictures: list[Path] = []
    if plots:
        from models.training.plots import plot_predictions

        pictures = plot_predictions(plots, read_card(card).name)
    emit({"card": str(card), **figures, **({"pictures": [str(path) for path in pictures]} if plots else {})})
