"""`atelier vocab` and `atelier annotate train|plot|test|write`: the captioner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.head_options import SplitFile, command_line, data_words, warn_of_other_split
from pipeline.cli.output import emit, log, progress
from pipeline.errors import InputError
from pipeline.settings import settings

if TYPE_CHECKING:
    from models.caption_search import Decoding
    from models.training.captions import CaptionRequest
    from models.training.features import FeatureSet
    from models.training.splits import Split

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Train, plot and test captioners on cached features, or write captions of photos. "
    "First: `atelier features ... --label-column caption=COLUMN`.",
)

Features = Annotated[list[Path], typer.Option("--features", help="folder made by `atelier features`; again for more")]
ExtraInput = Annotated[
    list[str] | None,
    typer.Option("--extra-input", help="a further input beside the feature: color_histogram, the measured colors"),
]
Decode = Annotated[
    Literal["greedy", "beam", "sample"] | None,
    typer.Option(help="the likeliest next word, the likeliest sentence, or words drawn; default: as the card says"),
]
Beam = Annotated[int | None, typer.Option(min=1, help="beginnings that beam search keeps; default: as the card says")]
MaxWords = Annotated[int | None, typer.Option(min=1, help="length limit; default: as the card says")]
MinWords = Annotated[int | None, typer.Option(min=0, help="words at least; default: as the card says")]
Temperature = Annotated[
    float | None, typer.Option(min=0.01, help="of --decode sample; below 1 stays closer to the likeliest words")
]
Seed = Annotated[int | None, typer.Option(min=0, help="of --decode sample")]


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
    from models.caption_words import SPECIAL, Vocabulary
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
    decoder: Annotated[
        Literal["gru", "transformer", "both"],
        typer.Option(help="the network that writes; gru is that of FashionBrain D2.5; both: keep the better one"),
    ] = "gru",
    extra_input: ExtraInput = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="card of a captioner to refine; its decoder and inputs are kept")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's checkpoint")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="go on from this checkpoint of another folder")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training rows, at the most")] = 14,
    lr: Annotated[float, typer.Option(min=0, help="highest learning rate")] = 1e-3,
    batch: Annotated[int, typer.Option(min=1, help="sentences a step")] = 64,
    weight_decay: Annotated[float, typer.Option(min=0, help="of AdamW, on matrices")] = 0.1,
    smoothing: Annotated[float, typer.Option(min=0, max=0.9, help="share of the target spread over all words")] = 0.1,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="share dropped inside the network")] = 0.2,
    input_dropout: Annotated[float, typer.Option(min=0, max=0.9, help="share of the photo's input dropped")] = 0.5,
    width: Annotated[int, typer.Option(min=8, help="transformer: length of its vectors, a multiple of 4")] = 192,
    layers: Annotated[int, typer.Option(min=1, help="transformer: blocks")] = 2,
    prefix: Annotated[int, typer.Option(min=1, help="transformer: tokens that the feature becomes")] = 4,
    direct: Annotated[bool, typer.Option(help="let the feature also speak for words directly")] = True,
    patience: Annotated[int, typer.Option(min=1, help="epochs without a better validation loss before it stops")] = 6,
    min_count: Annotated[int, typer.Option(min=1, help="times a word has to occur in training")] = 2,
    max_words: Annotated[int, typer.Option(min=1, help="length limit of captions, learned and written")] = 20,
    min_words: Annotated[int, typer.Option(min=0, help="words that a caption has at least")] = 1,
    beam: Annotated[int, typer.Option(min=1, help="beginnings kept while writing; 1 is greedy")] = 3,
    length_power: Annotated[float, typer.Option(min=0, help="beams rank by log probability / words ** this")] = 1.0,
    split: SplitFile = None,
    validation: Annotated[float, typer.Option(help="share of the products that choose the epoch")] = 0.15,
    held_out: Annotated[float, typer.Option(help="share of the products that only test")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="another seed is another split of the products")] = 0,
    seed: Annotated[int, typer.Option(help="of first weights, order and dropout")] = 0,
    licence: Annotated[str, typer.Option(help="licence of the weights, for the card")] = "",
    data: Annotated[str, typer.Option(help="what the training data are, for the card")] = "",
) -> None:
    """Train a captioner that starts from the photo's feature, and write its model card.

    The figures printed are those of the validation and the test products, next to two baselines on the test products:
    "caption of the nearest training photo", and of the ten nearest the caption most like the others. With
    `--decoder both`, the two decoders are trained on the same rows, OUT/gru and OUT/transformer, and the one with the
    better CIDEr on validation products is kept; its card has the figures of both.

    Examples:

        atelier annotate train var/runs/captions --features var/features/shop --extra-input color_histogram

        atelier annotate train var/runs/more --features var/features/new
            --from var/runs/captions/cards/captioner.toml
    """
    from models.caption_decoders import Shape
    from models.caption_search import Decoding
    from models.training.caption_trainer import CaptionOptions
    from models.training.captions import CaptionRequest
    from models.training.classify import Words
    from models.training.features import join_features, read_features
    from models.training.splits import Split

    if width % Shape.attention_heads:
        raise InputError(f"--width is a multiple of {Shape.attention_heads}, not {width}")
    if decoder == "both" and (start or checkpoint):
        raise InputError("--decoder both trains two new captioners; --from and --checkpoint are of one")
    joined = join_features([read_features(folder) for folder in features])
    request = CaptionRequest(
        split=_split(split, Split(split_seed, validation, held_out)),
        options=CaptionOptions(
            decoder="gru" if decoder == "both" else decoder,
            shape=Shape(width=width, layers=layers, prefix=prefix, direct=int(direct)),
            epochs=epochs,
            lr=lr,
            weight_decay=weight_decay,
            batch=batch,
            min_count=min_count,
            smoothing=smoothing,
            dropout=dropout,
            input_dropout=input_dropout,
            patience=patience,
            seed=seed,
            decoding=Decoding(beam=beam, max_words=max_words, min_words=min_words, length_power=length_power),
        ),
        words=Words(licence, data_words(data, joined), command_line()),
        start=start,
        inputs=tuple(extra_input or ()),
        checkpoint=checkpoint,
    )
    if start:
        warn_of_other_split(start, request.split)
    card, figures = _train(joined, request, out, both=decoder == "both", resume=resume)
    emit({"out": str(out), "card": str(card), "figures": figures})


def _train(
    data: FeatureSet, request: CaptionRequest, out: Path, *, both: bool, resume: bool
) -> tuple[Path, dict[str, Any]]:
    from models.training.captions import compare_decoders, train_captioner

    train_one = compare_decoders if both else train_captioner
    last = 0
    with progress("train captioner", request.options.epochs * (1 + both), "epochs") as advance:

        def on_epoch(epoch: int, numbers: dict[str, float]) -> None:
            nonlocal last
            log.info("epoch %d: %s", epoch, "  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
            advance(max(1, epoch - last))  # a resumed run has some behind it
            last = epoch

        return train_one(data, request, out, on_epoch, resume=resume)


def _split(path: Path | None, rule: Split) -> Split:
    from models.training.splits import read_split

    return read_split(path, rule) if path else rule


def plot(run: Annotated[Path, typer.Argument(help="folder of a training run")]) -> None:
    """Draw a run's learning curves as PNG files beside its log; of two decoders also one picture of both.

    Example: `atelier annotate plot var/runs/captions`
    """
    from models.training.caption_plot import plot_captioner

    emit({"run": str(run), "pictures": [str(path) for path in plot_captioner(run)]})


def test(
    card: Annotated[Path, typer.Argument(help="card of a captioner")],
    features: Features,
    everything: Annotated[bool, typer.Option("--all", help="test on every row, not only on products held out")] = False,
    split: SplitFile = None,
    decode: Decode = None,
    beam: Beam = None,
    max_words: MaxWords = None,
    min_words: MinWords = None,
    temperature: Temperature = None,
    seed: Seed = None,
) -> None:
    """Test a captioner: BLEU, ROUGE-L and CIDEr, next to captions copied from the nearest training photos.

    Tests on the products that the captioner's own run held out (its split.parquet), or those that --split names.

    Example: `atelier annotate test var/runs/captions/cards/captioner.toml --features var/features/shop`
    """
    import numpy as np

    from models.training.captions import captioned, captioner_for, held_out_captions
    from models.training.features import join_features, read_features
    from models.training.splits import TEST, read_split, refuse_leaks, split_of_run

    data = captioned(join_features([read_features(folder) for folder in features]))
    saved = split or split_of_run(card)
    if not saved and not everything:
        raise InputError(f"there is no split.parquet beside {card}: give --split, or test with --all on new photos")
    parts = read_split(saved).parts(data.rows["product_id"]) if saved and not everything else np.full(len(data), TEST)
    if not everything:
        refuse_leaks(list(data.rows["product_id"]), parts, card)
    captioner = captioner_for(data, card)
    captioner.decoding = _decoding(captioner.decoding, decode, beam, max_words, min_words, temperature, seed)
    emit({"card": str(card), **held_out_captions(captioner, data, parts)})


def write(
    photos: Annotated[list[Path], typer.Argument(help="photos to describe")],
    card: Annotated[Path | None, typer.Option(help="card of a captioner; default: the release's")] = None,
    release: Annotated[str | None, typer.Option(help="release to use; default: the setting release.uri")] = None,
    decode: Decode = None,
    beam: Beam = None,
    max_words: MaxWords = None,
    min_words: MinWords = None,
    temperature: Temperature = None,
    seed: Seed = None,
) -> None:
    """Write a caption for each photo; all models of the release come from one backbone pass.

    Examples:

        atelier annotate write shop/1163.jpg shop/1164.jpg

        atelier annotate write shop/1163.jpg --decode sample --seed 3 --temperature 0.7
    """
    import numpy as np
    import torch

    from models.captioner import load_captioner
    from models.cards import read_card
    from models.release import load_release
    from models.release_cards import refuse_strangers
    from pipeline.images.color import color_histogram
    from pipeline.images.decode import Limits
    from pipeline.images.decode import decode as decoded
    from pipeline.labels.extract import HISTOGRAM
    from pipeline.releases import release_folder

    chosen = settings()
    loaded = load_release(release_folder(chosen, release), chosen.enrich.device, chosen.enrich.precision)
    if card:
        own = read_card(card)
        refuse_strangers(loaded.cards.backbone[0], [own])
        loaded.captioner = load_captioner(own, card.parent, loaded.device, loaded.dim)
    captioner = loaded.captioner
    if captioner is None:
        raise InputError(f"the release {loaded.release_id} has no captioner; name one with --card")
    captioner.decoding = _decoding(captioner.decoding, decode, beam, max_words, min_words, temperature, seed)
    if missing := [str(path) for path in photos if not path.is_file()]:
        raise InputError(f"there is no photo {', '.join(missing)}")
    pixels = [decoded(path.read_bytes(), Limits.of(chosen)).pixels for path in photos]
    features = loaded.features(torch.stack([loaded.preprocessing.resize_image(np.asarray(p)) for p in pixels]))
    measured = {HISTOGRAM: np.stack([color_histogram(p) for p in pixels])} if captioner.extra_inputs else {}
    said = [
        {"photo": str(path), "caption": text, "score": round(score, 4)}
        for path, (text, score) in zip(photos, loaded.caption(features, measured), strict=True)
    ]
    emit({"captions": said, "release_id": loaded.release_id})


def _decoding(
    card: Decoding,
    mode: Literal["greedy", "beam", "sample"] | None,
    beam: int | None,
    max_words: int | None,
    min_words: int | None,
    temperature: float | None,
    seed: int | None,
) -> Decoding:
    """The card's way of writing with what was asked for instead."""
    wanted: dict[str, Any] = {
        "mode": mode,
        "beam": beam,
        "max_words": max_words,
        "min_words": min_words,
        "temperature": temperature,
        "seed": seed,
    }
    return replace(card, **{name: value for name, value in wanted.items() if value is not None})
