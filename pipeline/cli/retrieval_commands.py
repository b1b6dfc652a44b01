"""`atelier retrieval-eval`: the retrieval study on a labelled catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError, SettingError
from pipeline.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from models.training.features import FeatureSet
    from pipeline.index.study import Extractor

KS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("retrieval-eval")(retrieval_eval)


def retrieval_eval(
    features: Annotated[
        list[Path], typer.Argument(help="folders of `atelier features`, of the same photos, one an extractor")
    ],
    head: Annotated[
        list[str] | None, typer.Option(help="label column that counts; may be given again; default: all")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="queries, drawn without replacement")] = 1000,
    gallery: Annotated[int | None, typer.Option(min=1, help="items to search at the most; default: all others")] = None,
    probes: Annotated[str, typer.Option(help="k-means lists to look at")] = "1,4,16",
    release: Annotated[
        list[str] | None,
        typer.Option(help="release whose head predicts categories for a folder, in their order; `-` for none"),
    ] = None,
    category: Annotated[str, typer.Option(help="head that parts the gallery for category search")] = "type",
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
    held_out: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.9, help="ask only by photos of this share of the products: that no extractor was trained on"
        ),
    ] = None,
    split_seed: Annotated[int, typer.Option(help="of the split that kept them out, as `atelier classify` has it")] = 0,
    out: Annotated[Path, typer.Option(help="folder for curves.png and figures.json")] = Path("var/retrieval"),
) -> None:
    """Measure how well search finds items that share labels: features and search methods side by side.

    An item is relevant if it shares at least half of the labels (intersection over union). Methods: brute force,
    k-means lists, and categories as the release's head predicts them.

    Where an extractor was trained on some of the photos, say with --held-out and --split-seed which ones it has not
    seen; queries are drawn from those only.

    Example, the pretrained backbone against a fine-tuned one:

        atelier features var/f/pretrained --labels shop.csv --images shop --label-column type --label-column color
        atelier features var/f/tuned --release var/releases/tuned --labels shop.csv ... (the same)
        atelier retrieval-eval var/f/pretrained var/f/tuned --release starter --release var/releases/tuned
    """
    import json

    from pipeline.index.study import label_matrix, run_study
    from pipeline.index.study_report import draw_curves, table

    sets, extractors = _open(features, release or [], category)
    heads = head or list(sets[0].heads)
    labels, _ = label_matrix(sets[0].rows, heads)
    askable = None if held_out is None else _held_out(sets[0], held_out, split_seed)
    study = run_study(
        extractors,
        labels,
        queries=queries,
        gallery=gallery,
        probes=_numbers(probes),
        ks=KS,
        seed=seed,
        askable=askable,
    )
    rows = table(study)
    out.mkdir(parents=True, exist_ok=True)
    draw_curves(study, out / "curves.png")
    counts = {"queries": study.queries, "without_relevant": study.without, "gallery": study.gallery, "heads": heads}
    (out / "figures.json").write_text(json.dumps({**counts, "seed": seed, "curves": rows}, indent=1))
    columns = ("extractor", "method", "precision@10", "recall@100", "f1@100", "best_f1", "scanned", "query_ms")
    shown = Table(*columns, title=f"{study.queries} queries ({study.without} without anything relevant)")
    for row in rows:
        shown.add_row(*(str(row.get(name, "")) for name in columns))
    console.print(shown)
    emit({**counts, "out": str(out), "curves": rows})


def _open(folders: list[Path], releases: list[str], category: str) -> tuple[list[FeatureSet], list[Extractor]]:
    """Feature sets and extractors.

    Raises:
        InputError: the folders do not hold the same pictures.
        SettingError: more releases than folders.
    """
    from models.training.features import read_features
    from pipeline.index.study import Extractor

    if len(releases) > len(folders):
        raise SettingError(f"{len(releases)} times --release, but {len(folders)} folders of features")
    sets = [read_features(folder) for folder in folders]
    for folder, one in zip(folders, sets, strict=True):
        if len(one) != len(sets[0]) or not one.rows["file"].equals(sets[0].rows["file"]):
            raise InputError(f"{folder} and {folders[0]} hold different pictures: make both from the same labels")
    extractors = []
    for number, (folder, one) in enumerate(zip(folders, sets, strict=True)):
        named = releases[number] if number < len(releases) else "-"
        predicted = None if named == "-" else _predicted(one, named, category)
        extractors.append(Extractor(folder.name, one.features, predicted))
    return sets, extractors


def _predicted(one: FeatureSet, named: str, category: str) -> list[str | None] | None:
    """The category that a release's head gives to each picture, from the stored features."""
    import numpy as np

    from models.release import load_release
    from pipeline.releases import release_folder

    release = load_release(release_folder(settings(), named), settings().enrich.device)
    if category not in release.heads:
        log.warning("release %s has no head %s: no category search for it", named, category)
        return None
    extra = {name: np.asarray(values, np.float32) for name, values in one.extra.items()}
    return [answer.best for answer in release.classify(np.asarray(one.features, np.float32), extra)[category]]


def _held_out(one: FeatureSet, share: float, seed: int) -> np.ndarray:
    """Rows whose product a split of training keeps for its test: bool (n,)."""
    from models.training.splits import TEST, Split

    return Split(seed, validation=(1 - share) / 2, test=share).parts(one.rows["product_id"]) == TEST


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"--probes {text!r} is not a list of numbers, such as 1,4,16") from None
