"""`atelier vocab` and `atelier annotate train|plot|test|write`: the captioner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.classify_commands import command_line, plot
from pipeline.cli.output import emit, log, progress
from pipeline.settings import settings

if TYPE_CHECKING:
    from models.captioner import LoadedCaptioner

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Train, plot and test the captioner on cached features, or write captions of photos. "
    "First: `atelier features ... --label-column caption=COLUMN`.",
)

Features = Annotated[list[Path], typer.Option("--features", help="folder made by `atelier features`; again for more")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("vocab")(vocab)
    group.command("train")(train)
    group.command("plot")(plot)
    group.command("test")(test)
    group.command("write")(write)
    app.add_typer(group, name="annotate")


def vocab(
    features: Features,
    min_count: Annotated[int, typer.Option(min=1, help="times a word has to occur")] = 2,
    out: Annotated[Path | None, typer.Option(help="file to write, a word a line, most frequent first")] = None,
) -> None:
    """Show (and write) the words that a captioner would learn from these captions.

    Example: `atelier vocab --features var/features/shop --min-count 3 --out var/words.txt`
    """
    from models.captioner import SPECIAL, Vocabulary
    from models.training.captions import HEAD, captioned
    from models.training.features import join_features, read_features

    data = captioned(join_features([read_features(folder) for folder in features]))
    words = Vocabulary.build(data.rows[HEAD], min_count).words[len(SPECIAL) :]
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    emit({"captions": len(data), "words": len(words), "most_frequent": words[:20], "out": str(out) if out else None})


def train(
    out: Annotated[Path, typer.Argument(help="folder of the run: cards, metrics.jsonl, checkpoint.pt")],
    features: Features,
    start: Annotated[
        Path | None, typer.Option("--from", help="card of a captioner to refine on these captions")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's checkpoint")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training rows, at the most")] = 40,
    lr: Annotated[float, typer.Option(help="first learning rate")] = 2e-3,
    batch: Annotated[int, typer.Option(min=1, help="sentences a step")] = 64,
    min_count: Annotated[int, typer.Option(min=1, help="times a word has to occur in training")] = 2,
    max_words: Annotated[int, typer.Option(min=1, help="length limit of written captions")] = 20,
    beam: Annotated[int, typer.Option(min=1, help="sentences kept while writing; 1 is greedy")] = 3,
    validation: Annotated[float, typer.Option(help="share of the products that choose the epoch")] = 0.15,
    held_out: Annotated[float, typer.Option(help="share of the products that only test")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="another seed is another split of the products")] = 0,
    seed: Annotated[int, typer.Option(help="of first weights, order and dropout")] = 0,
    licence: Annotated[str, typer.Option(help="licence of the weights, for the card")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the card")] = "",
) -> None:
    """Train a captioner (a GRU that starts from the photo's feature) and write its model card.

    The figures printed are those of the test products, next to the baseline "caption of the nearest training photo".

    Example: `atelier annotate train var/runs/captions --features var/features/shop`
    """
    from models.training.captions import CaptionOptions, CaptionRequest, train_captioner
    from models.training.classify import Words
    from models.training.features import join_features, read_features
    from models.training.splits import Split

    joined = join_features([read_features(folder) for folder in features])
    request = CaptionRequest(
        split=Split(split_seed, validation, held_out),
        options=CaptionOptions(
            epochs=epochs, lr=lr, batch=batch, min_count=min_count, max_words=max_words, beam=beam, seed=seed
        ),
        words=Words(licence, data, command_line()),
        start=_loaded(start, joined.features.shape[1]) if start else None,
    )
    with progress("train captioner", epochs, "epochs") as advance:

        def on_epoch(epoch: int, numbers: dict[str, float]) -> None:
            log.info("epoch %d: %s", epoch, "  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
            advance()

        card, figures = train_captioner(joined, request, out, on_epoch, resume=resume)
    emit({"out": str(out), "card": str(card), "figures": figures})


def _loaded(card: Path, dim: int) -> LoadedCaptioner:
    from models.captioner import load_captioner
    from models.cards import read_card

    return load_captioner(read_card(card), card.parent, "cpu", dim)


def test(
    card: Annotated[Path, typer.Argument(help="card of a captioner")],
    features: Features,
    everything: Annotated[bool, typer.Option("--all", help="test on every row, not only on products held out")] = False,
    held_out: Annotated[float, typer.Option(help="share of the products held out, as in training")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="seed of the split, as in training")] = 0,
) -> None:
    """Test a captioner: BLEU, ROUGE-L and CIDEr, next to the baseline of the nearest training photo.

    Example: `atelier annotate test var/runs/captions/cards/captioner.toml --features var/features/shop`
    """
    import numpy as np

    from models.training.captions import captioned, held_out_captions
    from models.training.features import join_features, read_features
    from models.training.splits import TEST, Split

    data = captioned(join_features([read_features(folder) for folder in features]))
    split = Split(split_seed, test=held_out)
    parts = np.full(len(data), TEST, np.int8) if everything else split.parts(data.rows["product_id"])
    emit({"card": str(card), **held_out_captions(_loaded(card, data.features.shape[1]), data, parts)})


def write(
    photos: Annotated[list[Path], typer.Argument(help="photos to describe")],
    card: Annotated[Path | None, typer.Option(help="card of a captioner; default: the release's")] = None,
    release: Annotated[str | None, typer.Option(help="release to use; default: the setting release.uri")] = None,
) -> None:
    """Write a caption for each photo; all models of the release come from one backbone pass.

    Example: `atelier annotate write shop/1163.jpg shop/1164.jpg`
    """
    import numpy as np
    import torch

    from models.release import load_release
    from pipeline.errors import InputError
    from pipeline.images.decode import Limits, decode
    from pipeline.releases import release_folder

    chosen = settings()
    loaded = load_release(release_folder(chosen, release), chosen.enrich.device, chosen.enrich.precision)
    if card:
        loaded.captioner = _loaded(card, loaded.dim)
    if loaded.captioner is None:
        raise InputError(f"the release {loaded.release_id} has no captioner; name one with --card")
    if missing := [str(path) for path in photos if not path.is_file()]:
        raise InputError(f"there is no photo {', '.join(missing)}")
    pixels = [decode(path.read_bytes(), Limits.of(chosen)).pixels for path in photos]
    features = loaded.features(torch.stack([loaded.preprocessing.resize_image(np.asarray(p)) for p in pixels]))
    said = [
        {"photo": str(path), "caption": text, "score": round(score, 4)}
        for path, (text, score) in zip(photos, loaded.caption(features), strict=True)
    ]
    emit({"captions": said, "release_id": loaded.release_id})
