"""The training run of a captioner: teacher forcing on cached features, checkpointed after every epoch.

Batches and dropout depend on seed and epoch only, so a resumed run ends in the very numbers of one that was never
interrupted. The best epoch by validation loss is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from models.caption_decoders import DECODERS, Architecture, Decoder, Shape
from models.caption_search import Decoding
from models.caption_words import PAD, UNKNOWN, Vocabulary
from models.captioner import LoadedCaptioner
from models.errors import DataError
from models.training.checkpoints import digest_of, read_checkpoint, write_checkpoint
from models.training.splits import TRAIN, VALIDATION

EVAL_ROWS = 256
STANDARD_ROWS = 50_000
"""Training rows that mean and spread of the input are taken from, at the most."""


@dataclass(frozen=True)
class CaptionOptions:
    """How the captioner is trained.

    Args:
        decoder: the network that writes.
        shape: its sizes.
        epochs: passes over the training rows, at the most.
        lr: highest learning rate of AdamW; reached after a twentieth of the steps, it then falls to zero along a
            cosine.
        weight_decay: of AdamW, on matrices only.
        batch: sentences a step.
        min_count: times a word has to occur in training to be learned; rarer ones are never said.
        smoothing: share of the target spread over all words.
        dropout: share of numbers dropped inside the network in training.
        input_dropout: share of the photo's input dropped in training.
        patience: epochs without a better validation loss before it stops.
        seed: of the first weights, the order of rows, and dropout.
        decoding: how captions are written, for the card; captions are learned up to its `max_words`.
    """

    decoder: Architecture = "gru"
    shape: Shape = field(default_factory=lambda: Shape(direct=1))
    epochs: int = 14
    lr: float = 1e-3
    weight_decay: float = 0.1
    batch: int = 64
    min_count: int = 2
    smoothing: float = 0.1
    dropout: float = 0.2
    input_dropout: float = 0.5
    patience: int = 6
    seed: int = 0
    decoding: Decoding = field(default_factory=Decoding)


@dataclass(frozen=True)
class Sentences:
    """Rows with a caption.

    Args:
        inputs: arrays (N, length) that make the decoder's input, side by side: the features, then the extra inputs.
        words: word numbers of each row, start and end included.
        parts: int8 (N,): TRAIN, VALIDATION or TEST.
    """

    inputs: tuple[np.ndarray, ...]
    words: list[list[int]]
    parts: np.ndarray

    def input(self, rows: np.ndarray) -> torch.Tensor:
        """The decoder's input for these rows, float32 (n, dim)."""
        return torch.from_numpy(np.concatenate([np.asarray(one[rows], np.float32) for one in self.inputs], axis=1))

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Input (n, dim) and word numbers (n, T), padded behind."""
        longest = max(len(self.words[row]) for row in rows)
        words = torch.full((len(rows), longest), PAD)
        for place, row in enumerate(rows):
            words[place, : len(self.words[row])] = torch.tensor(self.words[row])
        return self.input(rows), words


def new_decoder(
    data: Sentences, vocabulary: Vocabulary, options: CaptionOptions, extra_inputs: dict[str, int]
) -> Decoder:
    """An untrained decoder that standardizes like the training rows; the same seed makes the same one."""
    train = np.flatnonzero(data.parts == TRAIN)
    sample = train[np.unique(np.linspace(0, len(train) - 1, min(len(train), STANDARD_ROWS)).astype(int))]
    std, mean = torch.std_mean(data.input(sample), dim=0, correction=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        decoder = DECODERS[options.decoder](len(mean), len(vocabulary.words), options.shape, extra_inputs)
    decoder.mean.copy_(mean)
    decoder.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))
    return decoder


def take_over(decoder: Decoder, vocabulary: Vocabulary, start: LoadedCaptioner) -> None:
    """Begin from an existing captioner; words that only one of them knows begin fresh or are dropped.

    Raises:
        DataError: the captioner is of another architecture or size.
    """
    known = {word: number for number, word in enumerate(start.vocabulary.words)}
    both = [(number, known[word]) for number, word in enumerate(vocabulary.words) if word in known]
    new, old = (list(numbers) for numbers in zip(*both, strict=True))
    before, now = start.module.state_dict(), decoder.state_dict()
    with torch.no_grad():
        for name, tensor in now.items():
            theirs = before.get(name)
            if theirs is None or theirs.shape[1:] != tensor.shape[1:]:
                raise DataError(f"the captioner to refine has another architecture or size: {name} does not fit")
            if name in decoder.by_word:
                tensor[new] = theirs[old]
            else:
                tensor.copy_(theirs)


class CaptionTrainer:
    """One training run."""

    def __init__(self, data: Sentences, decoder: Decoder, options: CaptionOptions, folder: Path) -> None:
        self.data = data
        self.model = decoder
        self.options = options
        self.folder = folder
        decoder.regularize(options.input_dropout, options.dropout)
        matrices = [one for one in decoder.parameters() if one.ndim > 1]
        rest = [one for one in decoder.parameters() if one.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.98), fused=True)
        self.run = digest_of([data.parts, *map(str, data.words)])
        self.epoch = self.best_epoch = 0
        self.best_loss = math.inf
        self.best_state = self._state()

    def fit(self, on_epoch: Callable[[int, dict[str, float]], None]) -> Decoder:
        """Train to the end; returns the network of the best epoch.

        Raises:
            DataError: no epoch had a finite validation loss.
        """
        while self.epoch < self.options.epochs and self.epoch - self.best_epoch < self.options.patience:
            self.epoch += 1
            figures = {"train_loss": self._train(), **self._validate()}
            if figures["validation_loss"] < self.best_loss:
                self.best_loss, self.best_epoch = figures["validation_loss"], self.epoch
                self.best_state = self._state()
            self._save()
            on_epoch(self.epoch, figures)
        if not math.isfinite(self.best_loss):
            raise DataError("the captioner never reached a finite validation loss; lower the learning rate (--lr)")
        self.model.load_state_dict(self.best_state)
        return self.model.eval()

    def _train(self) -> float:
        self.model.train()
        rows = np.flatnonzero(self.data.parts == TRAIN)
        batches = self._batches(rows)
        total = count = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed * 100_003 + self.epoch)  # for dropout
            for number, batch in enumerate(batches, start=1):
                self._schedule((self.epoch - 1) * len(batches) + number, self.options.epochs * len(batches))
                loss, _, words = self._loss(batch, self.options.smoothing)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                total, count = total + float(loss.detach()) * words, count + words
        return total / max(count, 1)

    def _batches(self, rows: np.ndarray) -> list[np.ndarray]:
        """Batches in random order, each of sentences of about the same length, so that little of it is padding."""
        random = np.random.default_rng([self.options.seed, self.epoch])
        batches = []
        for some in pieces(random.permutation(rows), 16 * self.options.batch):
            alike = some[np.argsort([len(self.data.words[row]) for row in some], kind="stable")]
            batches += list(pieces(alike, self.options.batch))
        random.shuffle(batches)
        return batches

    def _schedule(self, step: int, steps: int) -> None:
        rise = min(1.0, step / max(1, steps // 20))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * rise * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))

    def _loss(self, rows: np.ndarray, smoothing: float = 0.0) -> tuple[torch.Tensor, int, int]:
        """Cross entropy a word, words guessed right, words. Words that are never said do not count."""
        inputs, words = self.data.batch(rows)
        target = words[:, 1:].masked_fill(words[:, 1:] == UNKNOWN, PAD)
        logits = self.model(inputs, words[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, label_smoothing=smoothing)
        right = int(((logits.argmax(dim=2) == target) & (target != PAD)).sum())
        return loss, right, int((target != PAD).sum())

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        self.model.eval()
        total = right = count = 0.0
        for batch in pieces(np.flatnonzero(self.data.parts == VALIDATION), EVAL_ROWS):
            loss, hits, words = self._loss(batch)
            total, right, count = total + float(loss) * words, right + hits, count + words
        return {"validation_loss": total / count, "validation_word_accuracy": right / count}

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
        write_checkpoint(self.folder, self.run, state)

    def resume(self, path: Path) -> int:
        """Go on from a checkpoint; returns the epochs already done.

        Raises:
            DataError: there is no checkpoint, or it is of another training run.
        """
        state = read_checkpoint(path, self.run)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
            self.best_state, self.epoch = state["best_state"], state["epoch"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        return self.epoch


def pieces(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The rows, `size` at a time."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
