"""`atelier classify finetune`: the backbone learns together with heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    weights_of,
    widths_of,
)
from pipeline.cli.output import emit, log
from pipeline.settings import settings


def finetune(
    out: Annotated[Path, typer.Argument(help="folder of the run: cards of backbone and heads, metrics.jsonl")],
    features: Annotated[list[Path], typer.Option(help="folder made by `atelier features --pictures`; again for more")],
    head: Annotated[list[str], typer.Option(help="attribute to learn (a label column); again for several at once")],
    backbone: Annotated[Path | None, typer.Option(help="card of the backbone; default: the starter's")] = None,
    name: Annotated[str, typer.Option(help="name of the new backbone's card")] = "backbone",
    multi: Annotated[list[str] | None, typer.Option(help="heads that may give several labels at once")] = None,
    weight: Weights = None,
    extra_input: ExtraInputs = None,
    hidden: Hidden = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's checkpoint")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training pictures, at the most")] = 8,
    lr: Annotated[float, typer.Option(help="learning rate of the heads; the backbone gets a tenth and less")] = 3e-3,
    frozen: Annotated[int, typer.Option(min=0, max=3, help="stages from the bottom that do not learn")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="pictures a step")] = 32,
    balance: Annotated[float, typer.Option(min=0, max=1, help="1: labels of the first head are drawn alike")] = 0.0,
    mix: Annotated[
        float, typer.Option(min=0, max=1, help="mixup: blend pictures and labels, against learning by heart; 0: none")
    ] = 0.2,
    patience: Annotated[int, typer.Option(min=1, help="epochs without better validation accuracy before it stops")] = 5,
    min_count: Annotated[int, typer.Option(min=1, help="training rows a label needs to be learned")] = 10,
    precision: Annotated[float, typer.Option(min=0.01, max=0.999, help="wanted share of right answers")] = 0.9,
    open_head: Annotated[
        list[str] | None, typer.Option("--open", help="head that may answer (unknown), as in classify train")
    ] = None,
    leave_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="share of the labels of --open heads left out")
    ] = 0.1,
    split: SplitFile = None,
    validation: Annotated[float, typer.Option(help="share of the products that choose epoch and thresholds")] = 0.15,
    held_out: Annotated[float, typer.Option(help="share of the products that only test")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="another seed is another split of the products")] = 0,
    seed: Annotated[int, typer.Option(help="of order and augmentation")] = 0,
    licence: Annotated[str, typer.Option(help="licence of the weights, for the card")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the card")] = "",
) -> None:
    """Fine-tune the backbone together with heads: better answers for minutes to hours of training.

    Several heads share the backbone, their losses are summed, and pictures are only augmented in ways that every
    head allows (no hue jitter with color, no mirroring with brand). Put the new cards into a release:

        atelier features var/features/shop --labels shop/labels.csv --label-column type --pictures

        atelier classify finetune var/runs/shop --features var/features/shop --head type

        atelier release create var/releases/2 --from starter --card var/runs/shop/cards/backbone.toml
            --card var/runs/shop/cards/type.toml --without color ...

    Heads and captioners of other backbones do not fit the new one: leave them out or train them on its features.
    """
    from models.devices import capabilities, choose
    from models.release_cards import STARTER, read_release
    from models.training.classify import Request, Words
    from models.training.features import join_features, read_features, read_pictures
    from models.training.finetune import TuneOptions
    from models.training.open_set import OpenRequest
    from models.training.tuned_release import TuneRequest, tune

    joined, pictures = join_features([read_features(one) for one in features]), read_pictures(features)
    request = Request(
        heads=kinds_of(head, multi or []),
        min_count=min_count,
        precision=precision,
        split=split_of(split, split_seed, validation, held_out),
        weights=weights_of(weight or []),
        inputs=inputs_of(extra_input or []),
        hidden=widths_of(hidden),
        words=Words(licence, data_words(data, joined), command_line()),
        open_set=OpenRequest(names_of(open_head), leave_out, seed=split_seed),
    )
    options = TuneOptions(
        epochs=epochs,
        lr=lr,
        frozen=frozen,
        batch=batch,
        balance=balance,
        mix=mix,
        patience=patience,
        seed=seed,
    )
    enrich = settings().enrich
    placement = choose(enrich.device, enrich.precision, capabilities())
    log.info("fine-tuning on %s in %s", placement.device, placement.precision)
    start = backbone or STARTER / "cards" / f"{read_release(STARTER).backbone[0].name}.toml"
    with on_epochs(f"fine-tune {', '.join(request.heads)}", epochs) as on_epoch:
        wanted = TuneRequest(request, options, name)
        card, made = tune(joined, pictures, start, wanted, placement, out, on_epoch, resume=resume)
    tell_of_twins(out, made.twins.checked, made.twins.same, made.twins.alike)
    answer = {"out": str(out), "backbone": str(card), "cards": {one: str(path) for one, path in made.cards.items()}}
    how = {"epochs": made.epochs, "device": placement.device, "precision": placement.precision}
    emit({**answer, "figures": made.figures, **how})
