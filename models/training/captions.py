"""Training the captioner on cached features: teacher forcing, the epoch with the best validation loss is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from models.captioner import PAD, Captioner, LoadedCaptioner, Vocabulary, tokenize
from models.cards import Card, write_card
from models.errors import DataError
from models.training.caption_metrics import caption_figures, nearest_captions
from models.training.classify import Words, save_split
from models.training.features import FeatureSet
from models.training.log import TrainingLog
from models.training.splits import TEST, TRAIN, VALIDATION, Split

HEAD = "caption"
"""The label column with the sentences."""

EVAL_ROWS = 256
WRITE_ROWS = 64


@dataclass(frozen=True)
class CaptionOptions:
    """How the captioner is trained.

    Args:
        epochs: passes over the training rows, at the most.
        lr: first learning rate of AdamW; it falls to zero along a cosine.
        weight_decay: of AdamW.
        batch: sentences a step.
        min_count: times a word has to occur in training to be learned.
        max_words: length limit of written sentences.
        beam: sentences kept while writing.
        patience: epochs without a better validation loss before it stops.
        seed: of the first weights, the order of rows, and dropout.
    """

    epochs: int = 40
    lr: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 64
    min_count: int = 2
    max_words: int = 20
    beam: int = 3
    patience: int = 6
    seed: int = 0


@dataclass(frozen=True)
class CaptionRequest:
    """What to train: the split of the products, the options, and words for the card."""

    split: Split = field(default_factory=Split)
    options: CaptionOptions = field(default_factory=CaptionOptions)
    words: Words = field(default_factory=Words)
    start: LoadedCaptioner | None = None


@dataclass(frozen=True)
class _Sentences:
    """Rows with a caption: features (N, D), word numbers, part."""

    features: np.ndarray
    words: list[list[int]]
    parts: np.ndarray

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, D) float32 and word numbers (n, T), padded behind."""
        longest = max(len(self.words[row]) for row in rows)
        words = torch.full((len(rows), longest), PAD)
        for place, row in enumerate(rows):
            words[place, : len(self.words[row])] = torch.tensor(self.words[row])
        return torch.from_numpy(np.asarray(self.features[rows], np.float32)), words


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


class CaptionTrainer:
    """One training run of the captioner."""

    def __init__(self, data: FeatureSet, vocabulary: Vocabulary, request: CaptionRequest, folder: Path) -> None:
        self.options = request.options
        self.folder = folder
        parts = request.split.parts(data.rows["product_id"])
        if not {TRAIN, VALIDATION} <= set(parts.tolist()):
            raise DataError("too few products with captions: the split leaves none to train or to validate on")
        self.data = _Sentences(data.features, [vocabulary.encode(text) for text in data.rows[HEAD]], parts)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            self.model = Captioner(data.features.shape[1], len(vocabulary.words))
        train = np.flatnonzero(parts == TRAIN)
        sample = train[np.unique(np.linspace(0, len(train) - 1, min(len(train), 50_000)).astype(int))]
        std, mean = torch.std_mean(torch.from_numpy(np.asarray(data.features[sample], np.float32)), dim=0, correction=0)
        self.model.mean.copy_(mean)
        self.model.std.copy_(std.clamp(min=1e-6))
        if request.start is not None:
            _take_over(self.model, vocabulary, request.start)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.options.lr, weight_decay=self.options.weight_decay
        )
        self.epoch = self.best_epoch = 0
        self.best_loss = math.inf
        self.best_state = self._state()

    def fit(self, on_epoch: Callable[[int, dict[str, float]], None]) -> Captioner:
        """Train to the end; returns the network of the best epoch."""
        while self.epoch < self.options.epochs and self.epoch - self.best_epoch < self.options.patience:
            self.epoch += 1
            train = self._train()
            loss, accuracy = self._validate()
            if loss < self.best_loss:
                self.best_loss, self.best_epoch, self.best_state = loss, self.epoch, self._state()
            self._save()
            on_epoch(self.epoch, {"train_loss": train, "validation_loss": loss, "validation_word_accuracy": accuracy})
        self.model.load_state_dict(self.best_state)
        return self.model.eval()

    def _train(self) -> float:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * 0.5 * (1 + math.cos(math.pi * (self.epoch - 1) / self.options.epochs))
        rows = np.flatnonzero(self.data.parts == TRAIN)
        order = np.random.default_rng([self.options.seed, self.epoch]).permutation(rows)
        total = count = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed * 100_003 + self.epoch)  # for dropout
            for batch in _pieces(order, self.options.batch):
                loss, _, words = self._loss(batch)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                total, count = total + float(loss.detach()) * words, count + words
        return total / max(count, 1)

    def _loss(self, rows: np.ndarray) -> tuple[torch.Tensor, int, int]:
        """Cross entropy a word, words guessed right, words."""
        features, words = self.data.batch(rows)
        logits, target = self.model(features, words[:, :-1]), words[:, 1:]
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)
        right = int(((logits.argmax(dim=2) == target) & (target != PAD)).sum())
        return loss, right, int((target != PAD).sum())

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        self.model.eval()
        total = right = count = 0.0
        for batch in _pieces(np.flatnonzero(self.data.parts == VALIDATION), EVAL_ROWS):
            loss, hits, words = self._loss(batch)
            total, right, count = total + float(loss) * words, right + hits, count + words
        return total / count, right / count

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def _save(self) -> None:
        state = {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.folder / "checkpoint.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "checkpoint.pt")

    def resume(self) -> int:
        """Go on from `checkpoint.pt` in the run's folder; returns the epochs already done.

        Raises:
            DataError: there is no checkpoint, or it is of another vocabulary.
        """
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            raise DataError(f"there is nothing to resume: no {path}")
        state: dict[str, Any] = torch.load(path, weights_only=True)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
            self.best_state, self.epoch = state["best_state"], state["epoch"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        return self.epoch


def _pieces(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _take_over(model: Captioner, vocabulary: Vocabulary, start: LoadedCaptioner) -> None:
    """Begin from an existing captioner; words that only one of them knows begin fresh or are dropped."""
    known = {word: number for number, word in enumerate(start.vocabulary.words)}
    with torch.no_grad():
        for name, tensor in start.model.state_dict().items():
            if name not in {"embed.weight", "out.weight", "out.bias"}:
                model.state_dict()[name].copy_(tensor)
        for number, word in enumerate(vocabulary.words):
            if (old := known.get(word)) is not None:
                model.embed.weight[number] = start.model.embed.weight[old]
                model.out.weight[number] = start.model.out.weight[old]
                model.out.bias[number] = start.model.out.bias[old]


def train_captioner(
    data: FeatureSet,
    request: CaptionRequest,
    folder: Path,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    *,
    resume: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Train and test a captioner; its card goes to `folder`/cards, the log to `folder`/metrics.jsonl.

    Returns:
        The card's path and its figures, those of the baseline "caption of the nearest training photo" beside them.

    Raises:
        DataError: no captions, too few products, or a checkpoint that does not fit.
    """
    data = captioned(data)
    parts = request.split.parts(data.rows["product_id"])
    training = data.rows[HEAD].to_numpy()[parts == TRAIN]
    vocabulary = Vocabulary.build(training, request.options.min_count)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = CaptionTrainer(data, vocabulary, request, folder)
    log = TrainingLog(folder, after_epoch=trainer.resume() if resume else 0)
    save_split(data, parts, folder)

    def logged(epoch: int, numbers: dict[str, float]) -> None:
        log.add(epoch, **numbers)
        if on_epoch:
            on_epoch(epoch, numbers)

    model = trainer.fit(logged)
    model.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    card = Card(
        role="captioner",
        name="captioner",
        architecture="gru",
        weights="captioner.safetensors",
        labels=vocabulary.words,
        licence=request.words.licence,
        data=request.words.data,
        split=request.split.words(),
        seed=request.options.seed,
        command=request.words.command,
        options={"beam": request.options.beam, "max_words": request.options.max_words, "backbone": data.backbone},
    )
    figures = {"train_rows": len(training), **held_out_captions(LoadedCaptioner(card, model), data, parts)}
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items()}
    return write_card(replace(card, figures=figures), tensors, folder / "cards"), figures


def held_out_captions(captioner: LoadedCaptioner, data: FeatureSet, parts: np.ndarray) -> dict[str, Any]:
    """BLEU, ROUGE-L and CIDEr on the test rows: of the captioner, and of the nearest training photo's caption."""
    test = np.flatnonzero(parts == TEST)
    if len(test) == 0:
        return {}
    truth = list(data.rows[HEAD].to_numpy()[test])
    figures = {"test": caption_figures(write_all(captioner, data.features, test), truth)}
    train = np.flatnonzero(parts == TRAIN)
    if len(train):
        copied = nearest_captions(data.features, train, test, list(data.rows[HEAD]))
        figures["nearest_photo"] = caption_figures(copied, truth)
    return figures


def write_all(captioner: LoadedCaptioner, features: np.ndarray, rows: Sequence[int] | np.ndarray) -> list[str]:
    """Captions of these rows."""
    said: list[str] = []
    for batch in _pieces(np.asarray(rows), WRITE_ROWS):
        pixels = torch.from_numpy(np.asarray(features[batch], np.float32))
        said += [sentence for sentence, _ in captioner.captions(pixels)]
    return said
