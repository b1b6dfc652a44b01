"""`atelier classify compare`: one layer over all labels against a head an attribute, on the same data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.output import console, emit, log, progress
from pipeline.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

DECISION = (
    "thresholds of both are tuned for samples F1 on validation products; naive has one a label (or one for all, "
    "if that is better there), naive_argmax and multi_task give the best label of a single-label head"
)


def compare(
    out: Annotated[Path, typer.Argument(help="folder to write: comparison.png, comparison.json, a log a training")],
    features: Annotated[
        list[Path], typer.Option("--features", help="folder made by `atelier features`; again for more")
    ],
    head: Annotated[list[str], typer.Option(help="attribute to learn (a label column); name two or more")],
    multi: Annotated[list[str] | None, typer.Option(help="heads that may give several labels at once")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="times; each with another seed and another split")] = 3,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the checkpoints in the folder")] = False,
    min_count: Annotated[int, typer.Option(min=1, help="training rows a label needs to be learned")] = 10,
    recipe: Annotated[Literal["adamw", "sgd"], typer.Option(help="as in `atelier classify train`")] = "adamw",
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training rows, at the most")] = 40,
    lr: Annotated[
        list[float] | None,
        typer.Option(help="learning rate; again for several, validation picks; default: 0.01, 0.03, 0.1"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="rows a step")] = 256,
    validation: Annotated[float, typer.Option(help="share of the products that choose epoch and thresholds")] = 0.15,
    held_out: Annotated[float, typer.Option(help="share of the products that only test")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="of the first repeat's split of the products")] = 0,
    seed: Annotated[int, typer.Option(help="of the first repeat's weights, order and dropout")] = 0,
) -> None:
    """Compare the naive head with multi-task heads: same features, products, batches and epochs.

    Naive is one layer over the labels of all heads with one binary cross entropy, where a missing label is a "no";
    multi-task is a softmax or binary cross entropy a head, summed, with missing labels left out. Printed are samples
    F1 (mean over pictures), micro and macro F1 of the products held out, for each head and together. A third line,
    naive_argmax, lets the naive layer give one answer for each single-label head.

    Example:

        atelier classify compare var/runs/naive --features var/features/shop --head type --head color
            --head material --multi material --repeats 5 --epochs 20
    """
    from models.training.classify import Request
    from models.training.comparison_plot import plot_comparison
    from models.training.features import join_features, read_features
    from models.training.heads import HeadOptions
    from models.training.naive import compare_heads
    from models.training.splits import Split
    from pipeline.cli.head_options import ALIASES

    heads = [ALIASES.get(name, name) for name in head]
    several = {ALIASES.get(name, name) for name in multi or []}
    if strange := sorted(several - set(heads)):
        raise InputError(f"--multi is for {strange[0]!r}, which is not compared here; --head {strange[0]} is missing")
    request = Request(
        heads={name: "multi" if name in several else "single" for name in heads},
        min_count=min_count,
        split=Split(split_seed, validation, held_out),
        options=HeadOptions(
            recipe=recipe,
            epochs=epochs,
            weight_decays=(1e-4, 1e-3, 1e-2) if recipe == "sgd" else HeadOptions.weight_decays,
            batch=batch,
            seed=seed,
        ),
    )
    rates = lr or (0.01, 0.03, 0.1)
    joined = join_features([read_features(folder) for folder in features])
    with progress(f"compare on {', '.join(heads)}", 2 * repeats * len(rates) * epochs, "epochs") as advance:

        def on_epoch(training: str, epoch: int, numbers: dict[str, float]) -> None:
            log.debug("%s epoch %d: %s", training, epoch, numbers)
            advance()

        made = compare_heads(joined, request, out, rates, repeats, on_epoch, resume=resume)
    summary = {"heads": dict(request.heads), **made.summary(), "decision": DECISION}
    (out / "comparison.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    picture = plot_comparison(made, out / "comparison.png")
    console.print(_table(summary))
    console.print(_gain(summary), highlight=False, soft_wrap=True)
    emit({"out": str(out), "picture": str(picture), **summary})


def _table(summary: dict[str, Any]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    from models.training.naive import FIGURES, METHODS

    table = Table("labels", "method", box=SIMPLE)
    for name in FIGURES:
        table.add_column(name.replace("_", " ").replace("f1", "F1"), no_wrap=True)
    for scope in summary["methods"][METHODS[0]]:
        for method in METHODS:
            figures = summary["methods"][method][scope]
            cells = [f"{figures[name]['mean']:.3f} ± {figures[name]['spread']:.3f}" for name in FIGURES]
            table.add_row(scope, method, *cells, end_section=method == METHODS[-1])
    return table


def _gain(summary: dict[str, Any]) -> str:
    from models.training.naive import AS_NEGATIVE

    parts = []
    for name, words in (("samples_f1", "samples F1"), (AS_NEGATIVE, "samples F1 with missing labels as negatives")):
        gain = summary["multi_task_minus_naive"][name]
        better = f"better in {gain['better_in']} of {summary['repeats']}"
        parts.append(f"{words} {gain['mean']:+.4f} ± {gain['spread']:.4f}, {better}")
    return f"multi-task minus naive: {'; '.join(parts)}"
