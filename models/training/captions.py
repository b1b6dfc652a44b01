"""From cached features with captions to a captioner with its card: split, train, test against baselines, write.

`compare_decoders` trains both decoders on the same rows and keeps the one that writes better on validation products.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.caption_decoders import DECODERS, Architecture, Decoder, Shape, architecture, count_parameters
from models.caption_search import Decoding
from models.caption_words import Vocabulary, tokenize
from models.captioner import LoadedCaptioner, load_captioner
from models.cards import Card, read_card, write_card
from models.errors import DataError
from models.heads import join_inputs
from models.training.caption_metrics import caption_figures, consensus, nearest_rows
from models.training.caption_trainer import (
    CaptionOptions,
    CaptionTrainer,
    Sentences,
    new_decoder,
    pieces,
    take_over,
)
from models.training.checkpoints import CHECKPOINT, forget
from models.training.classify import Words, save_split
from models.training.features import FeatureSet
from models.training.log import TrainingLog
from models.training.splits import SPLIT_FILE, TEST, TRAIN, VALIDATION, Split, refuse_leaks

HEAD = "caption"
"""The label column with the sentences."""

WRITE_ROWS = 64
COMPARED = ("parameters", "validation", "test")
"""Figures of the decoder not chosen that the card of the chosen one states."""
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class CaptionRequest:
    """What to train.

    Args:
        split: which products train, validate and test.
        options: how it is trained.
        words: for the card.
        start: card of a captioner to refine; architecture, sizes and further inputs are then its own.
        inputs: names of further inputs besides the feature, such as color_histogram.
        checkpoint: go on from this checkpoint of a run with the same data and options.
    """

    split: Split = field(default_factory=Split)
    options: CaptionOptions = field(default_factory=CaptionOptions)
    words: Words = field(default_factory=Words)
    start: Path | None = None
    inputs: tuple[str, ...] = ()
    checkpoint: Path | None = None


def captioned(data: FeatureSet) -> FeatureSet:
    """The rows that have a caption.

    Raises:
        DataError: there are none.
    """
    if HEAD not in data.heads:
        raise DataError(f"the features have no captions; they have {', '.join(data.heads)}: name a column caption=...")
    keep = data.rows[HEAD].map(lambda text: bool(tokenize(text)) if isinstance(text, str) else False).to_numpy(bool)
    if not keep.any():
        raise DataError("no row of the features has a caption")
    return data.take(keep)


def train_captioner(
    data: FeatureSet, request: CaptionRequest, folder: Path, on_epoch: OnEpoch | None = None, *, resume: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Train and test a captioner; its card goes to `folder`/cards, the log to `folder`/metrics.jsonl.

    Args:
        resume: go on from the folder's own checkpoint.

    Returns:
        The card's path and its figures: of validation and test products, and of the baselines on the test products.

    Raises:
        DataError: no captions, too few products, an input that is not there, a checkpoint that does not fit, or
            products held out that trained the captioner to refine.
    """
    data = captioned(data)
    parts = request.split.parts(data.rows["product_id"])
    if not {TRAIN, VALIDATION} <= set(parts.tolist()):
        raise DataError("too few products with captions: the split leaves none to train or to validate on")
    start = _start(request, data, parts)
    request = _fitting(request, start)
    training = data.rows[HEAD].to_numpy()[parts == TRAIN]
    vocabulary = Vocabulary.build(training, request.options.min_count)
    extra = _extra_inputs(request.inputs, data)
    limit = request.options.decoding.max_words
    numbers = [vocabulary.encode(text)[: limit + 1] for text in data.rows[HEAD]]
    sentences = Sentences((data.features, *(data.extra[name] for name in extra)), numbers, parts)
    decoder = new_decoder(sentences, vocabulary, request.options, extra)
    if start is not None:
        take_over(decoder, vocabulary, start)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = CaptionTrainer(sentences, decoder, request.options, folder)
    checkpoint = request.checkpoint or (folder / CHECKPOINT if resume else None)
    if checkpoint is None:
        forget(folder)
    log = TrainingLog(folder, after_epoch=trainer.resume(checkpoint) if checkpoint else 0)
    save_split(data, parts, folder)

    def logged(epoch: int, numbers: dict[str, float]) -> None:
        log.add(epoch, **numbers)
        if on_epoch:
            on_epoch(epoch, numbers)

    module = trainer.fit(logged)
    card = _card(module, vocabulary, data, request)
    loaded = LoadedCaptioner(card, _as_stored(module))
    figures = {
        "train_rows": len(training),
        "parameters": count_parameters(module),
        "epochs": trainer.epoch,
        "best_epoch": trainer.best_epoch,
        "validation": _figures(loaded, data, np.flatnonzero(parts == VALIDATION)),
        **held_out_captions(loaded, data, parts),
    }
    tensors = {name: tensor.half() for name, tensor in module.state_dict().items()}
    return write_card(replace(card, figures=figures), tensors, folder / "cards"), figures


def _start(request: CaptionRequest, data: FeatureSet, parts: np.ndarray) -> LoadedCaptioner | None:
    if request.start is None:
        return None
    refuse_leaks(list(data.rows["product_id"]), parts, request.start)
    return captioner_for(data, request.start)


def captioner_for(data: FeatureSet, path: Path) -> LoadedCaptioner:
    """The captioner of a card, to read these features.

    Raises:
        DataError: it was trained on another backbone's features.
    """
    card = read_card(path)
    if card.options.get("backbone", data.backbone) != data.backbone:
        raise DataError(f"the captioner {path} was trained on another backbone's features; make the features again")
    return load_captioner(card, path.parent, "cpu", data.features.shape[1])


def _fitting(request: CaptionRequest, start: LoadedCaptioner | None) -> CaptionRequest:
    """The request with the architecture, sizes and inputs of the captioner to refine, and room for the longest caption.

    Raises:
        DataError: the captioner to refine has no room for captions that long.
    """
    options = request.options
    longest = options.decoding.max_words
    if start is None:
        shape = replace(options.shape, positions=max(options.shape.positions, longest))
        return replace(request, options=replace(options, shape=shape))
    if longest > start.module.longest:
        raise DataError(f"the captioner to refine writes up to {start.module.longest} words, not {longest}")
    shape, decoder = Shape.read(start.card.options), architecture(start.card)
    return replace(request, options=replace(options, decoder=decoder, shape=shape), inputs=start.extra_inputs)


def _extra_inputs(names: Sequence[str], data: FeatureSet) -> dict[str, int]:
    if missing := sorted(set(names) - set(data.extra)):
        raise DataError(f"the features have no input {missing}; they have {', '.join(data.extra) or 'none'}")
    return {name: data.extra[name].shape[1] for name in names}


def _card(module: Decoder, vocabulary: Vocabulary, data: FeatureSet, request: CaptionRequest) -> Card:
    options = request.options
    extra = {"extra_inputs": module.extra_inputs} if module.extra_inputs else {}
    return Card(
        role="captioner",
        name="captioner",
        architecture=options.decoder,
        weights="captioner.safetensors",
        labels=vocabulary.words,
        licence=request.words.licence,
        data=request.words.data,
        split=request.split.words(),
        seed=options.seed,
        command=request.words.command,
        options={**options.shape.of(options.decoder), **asdict(options.decoding), **extra, "backbone": data.backbone},
    )


def _as_stored(module: Decoder) -> Decoder:
    """The figures of a card are those of the rounded numbers in its file."""
    module.load_state_dict({name: tensor.half().float() for name, tensor in module.state_dict().items()})
    return module


def held_out_captions(captioner: LoadedCaptioner, data: FeatureSet, parts: np.ndarray) -> dict[str, Any]:
    """BLEU, ROUGE-L and CIDEr on the test rows: of the captioner, and of captions copied from training photos."""
    test, train = np.flatnonzero(parts == TEST), np.flatnonzero(parts == TRAIN)
    if len(test) == 0:
        return {}
    figures = {"test": _figures(captioner, data, test)}
    if len(train):
        captions = list(data.rows[HEAD])
        truth = [captions[row] for row in test]
        near = nearest_rows(data.features, train, test)
        figures["nearest_photo"] = caption_figures([captions[rows[0]] for rows in near], truth)
        figures["nearest_consensus"] = caption_figures(
            [consensus([captions[row] for row in rows]) for rows in near], truth
        )
    return figures


def _figures(captioner: LoadedCaptioner, data: FeatureSet, rows: np.ndarray) -> dict[str, float]:
    truth = list(data.rows[HEAD].to_numpy()[rows])
    return caption_figures(write_all(captioner, data, rows), truth)


def write_all(
    captioner: LoadedCaptioner, data: FeatureSet, rows: Sequence[int] | np.ndarray, how: Decoding | None = None
) -> list[str]:
    """Captions of these rows.

    Raises:
        DataError: the captioner asks for an input that the features do not have.
    """
    said: list[str] = []
    extra = _extra_inputs(captioner.extra_inputs, data)
    device = captioner.module.mean.device
    for batch in pieces(np.asarray(rows), WRITE_ROWS):
        features = torch.from_numpy(np.asarray(data.features[batch], np.float32)).to(device)
        inputs = join_inputs(features, captioner, {name: data.extra[name][batch] for name in extra})
        said += [sentence for sentence, _ in captioner.captions(inputs, how)]
    return said


def compare_decoders(
    data: FeatureSet, request: CaptionRequest, folder: Path, on_epoch: OnEpoch | None = None, *, resume: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Train every decoder on the same rows, each in a folder of its name, and keep the better one.

    CIDEr on the validation products chooses; test products have no say. The card of the chosen one, in `folder`/cards,
    has the figures of the others beside its own.

    Args:
        resume: go on with those that have a checkpoint.

    Returns:
        The card's path, and its figures.
    """
    made: dict[Architecture, tuple[Path, dict[str, Any]]] = {}
    for name in DECODERS:
        place = folder / name
        wanted = replace(request, options=replace(request.options, decoder=name))
        again = resume and (place / CHECKPOINT).is_file()
        made[name] = train_captioner(data, wanted, place, on_epoch, resume=again)
    chosen = max(made, key=lambda name: made[name][1]["validation"]["cider"])
    path, figures = made[chosen]
    for name, (_, theirs) in made.items():
        if name != chosen:
            figures = {**figures, name: {part: theirs[part] for part in COMPARED if part in theirs}}
    card = read_card(path)
    (folder / "cards").mkdir(exist_ok=True)
    shutil.copyfile(folder / chosen / SPLIT_FILE, folder / SPLIT_FILE)
    shutil.copyfile(path.parent / card.weights, folder / "cards" / card.weights)
    return write_card(replace(card, figures=figures), None, folder / "cards"), figures
