"""Training heads on cached features: several at once, losses summed, the best epoch and weight decay kept for each.

All heads see the same batches. For each head one copy a weight decay is trained side by side; validation loss picks
the copy and the epoch. The whole state is checkpointed after every epoch, and batches depend on seed and epoch only,
so a resumed run ends in the very numbers of one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.errors import DataError
from models.heads import Head
from models.training.checkpoints import CHECKPOINT, digest_of, read_checkpoint, write_checkpoint
from models.training.splits import TRAIN, VALIDATION
from models.training.targets import Plan, Targets, masked_loss, row_weights

EVAL_ROWS = 4096


@dataclass(frozen=True)
class HeadOptions:
    """How heads are trained.

    Args:
        recipe: `adamw` (cosine schedule), or `sgd`: momentum 0.9, learning rate divided by 4 when validation is not
            the best so far (FashionBrain D2.5; its learning rate is 0.01).
        epochs: passes over the training rows.
        lr: learning rate.
        weight_decays: one copy of each head is trained with each; validation picks.
        batch: rows a step.
        smoothing: share of the target spread over all labels.
        dropout: share of the inputs, and of hidden values, dropped in training.
        balance: 0: rows weigh alike; 1: labels weigh alike.
        patience: epochs without a better validation loss in any head before it stops.
        seed: of the first weights, the order of rows, and dropout.
    """

    recipe: Literal["adamw", "sgd"] = "adamw"
    epochs: int = 40
    lr: float = 1e-3
    weight_decays: tuple[float, ...] = (0.01, 0.1, 0.5)
    batch: int = 256
    smoothing: float = 0.0
    dropout: float = 0.5
    balance: float = 0.0
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """What there is to learn from.

    Args:
        features: float (N, D); may be memory-mapped.
        parts: int8 (N,): TRAIN, VALIDATION or TEST.
        targets: labels of the N rows for each head.
        extra: further inputs float32 (N, length) by name; each head joins those its `extra_inputs` name.
        backbone: functional digest of the card of the backbone that made the features.
    """

    features: np.ndarray
    parts: np.ndarray
    targets: Mapping[str, Targets]
    extra: Mapping[str, np.ndarray]
    backbone: str = ""

    def inputs(self, rows: np.ndarray, head: Head) -> torch.Tensor:
        """The head's input for these rows, float32 (n, dim)."""
        parts = [np.asarray(self.features[rows], np.float32)]
        parts += [np.asarray(self.extra[name][rows], np.float32) for name in head.extra_inputs]
        return torch.from_numpy(np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0])

    def digest(self, plans: Sequence[Plan], *more: str) -> str:
        """Names a training run: its features, its parts, and the labels of every row for every head.

        Args:
            more: whatever else makes it another run, such as the recipe.
        """
        arrays = [array for plan in plans for array in (self.targets[plan.head].codes, self.targets[plan.head].sets)]
        words = [f"{plan.head} {plan.kind} {plan.labels}" for plan in plans]
        return digest_of([self.backbone, self.parts, *arrays, *words, *more])


@dataclass
class _Copy:
    """One copy of one head, trained with one weight decay, and its best epoch so far."""

    plan: Plan
    decay: float
    module: Head
    best_loss: float = math.inf
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] | None = None

    def judge(self, loss: float, epoch: int) -> bool:
        """Remember this epoch if it is the best so far."""
        if loss >= self.best_loss:
            return False
        self.best_loss, self.best_epoch = loss, epoch
        self.best_state = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}
        return True


OnEpoch = Callable[[int, dict[str, float]], None]


def new_head(plan: Plan, examples: Examples, extra_inputs: Mapping[str, int], seed: int, hidden: int = 0) -> Head:
    """A head with small random weights that standardizes like the training rows.

    Raises:
        DataError: no training row has a label for it.
    """
    rows = np.flatnonzero((examples.parts == TRAIN) & examples.targets[plan.head].known)
    if len(rows) == 0 or not ((examples.parts == VALIDATION) & examples.targets[plan.head].known).any():
        raise DataError(f"head {plan.head!r} has no labelled rows to train or to validate on")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dim = examples.features.shape[1] + sum(extra_inputs.values())
        head = Head(dim, len(plan.labels), extra_inputs, hidden)
        nn.init.normal_(head.linear.weight, std=0.001)
        nn.init.zeros_(head.linear.bias)
    sample = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 50_000)).astype(int))]
    head.standardize_like(examples.inputs(sample, head))
    return head


class HeadTrainer:
    """One training run of several heads."""

    def __init__(
        self, examples: Examples, plans: list[Plan], start: Mapping[str, Head], options: HeadOptions, folder: Path
    ) -> None:
        self.examples = examples
        self.plans = plans
        self.options = options
        self.folder = folder
        self.epoch = 0
        self.last_better = 0
        self.copies = [
            _Copy(plan, decay, _clone(start[plan.head])) for plan in plans for decay in options.weight_decays
        ]
        train = examples.parts == TRAIN
        self.weights = {plan.head: row_weights(examples.targets[plan.head], options.balance, train) for plan in plans}
        self.run = examples.digest(plans, options.recipe, str(options.weight_decays))
        groups = [{"params": c.module.parameters(), "weight_decay": c.decay} for c in self.copies]
        self.optimizer: torch.optim.Optimizer
        if options.recipe == "sgd":
            self.optimizer = torch.optim.SGD(groups, lr=options.lr, momentum=0.9)
        else:
            self.optimizer = torch.optim.AdamW(groups, lr=options.lr)

    def fit(self, on_epoch: OnEpoch) -> dict[str, Head]:
        """Train to the end and return the best copy of each head; `on_epoch` gets the figures of each epoch."""
        while self.epoch < self.options.epochs and self.epoch - self.last_better < self.options.patience:
            self.epoch += 1
            figures = {"train_loss": self._train()}
            figures |= self._validate()
            self._save()
            on_epoch(self.epoch, figures)
        return {plan.head: self._best(plan) for plan in self.plans}

    def _train(self) -> float:
        options = self.options
        if options.recipe == "adamw":
            lr = options.lr * 0.5 * (1 + math.cos(math.pi * (self.epoch - 1) / options.epochs))
            for group in self.optimizer.param_groups:
                group["lr"] = lr
        known = np.any([self.examples.targets[plan.head].known for plan in self.plans], axis=0)
        rows = np.flatnonzero((self.examples.parts == TRAIN) & known)
        order = np.random.default_rng([options.seed, self.epoch]).permutation(rows)
        generator = torch.Generator().manual_seed(options.seed * 100_003 + self.epoch)
        total = 0.0
        for begin in range(0, len(order), options.batch):
            batch = np.sort(order[begin : begin + options.batch])
            loss = torch.stack(list(self._losses(batch, generator))).sum()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * len(batch)
        return total / max(1, len(order)) / len(options.weight_decays)

    def _losses(self, rows: np.ndarray, generator: torch.Generator) -> Iterator[torch.Tensor]:
        seen: dict[tuple[str, ...], torch.Tensor] = {}
        for copy in self.copies:
            head, key = copy.module, tuple(copy.module.extra_inputs)
            if key not in seen:
                seen[key] = self.examples.inputs(rows, head)
            logits = head.logits(head.standardized(seen[key]), self.options.dropout, generator)
            targets = self.examples.targets[copy.plan.head]
            weights = torch.from_numpy(self.weights[copy.plan.head][rows])
            allowed = torch.from_numpy(targets.allowed(rows))
            yield copy.plan.weight * masked_loss(logits, allowed, weights, copy.plan.kind, self.options.smoothing)

    def _validate(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        better = False
        for copy in self.copies:
            loss, accuracy = validate(copy.module, copy.plan, self.examples)
            better |= copy.judge(loss, self.epoch)
            name = f"{copy.plan.head}/validation_loss"
            if loss <= figures.get(name, math.inf):
                figures[name] = loss
                figures[f"{copy.plan.head}/validation_accuracy"] = accuracy
        if better:
            self.last_better = self.epoch
        elif self.options.recipe == "sgd":
            for group in self.optimizer.param_groups:
                group["lr"] /= 4
        return figures

    def _best(self, plan: Plan) -> Head:
        copy = min((c for c in self.copies if c.plan.head == plan.head), key=lambda c: c.best_loss)
        if copy.best_state is None:
            raise DataError(f"head {plan.head!r} never reached a finite validation loss; lower the learning rate")
        copy.module.load_state_dict(copy.best_state)
        return copy.module.eval()

    @property
    def chosen_decays(self) -> dict[str, float]:
        """Weight decay that validation picked for each head."""
        return {
            p.head: min((c for c in self.copies if c.plan.head == p.head), key=lambda c: c.best_loss).decay
            for p in self.plans
        }

    def _save(self) -> None:
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "last_better": self.last_better,
            "optimizer": self.optimizer.state_dict(),
            "copies": [
                {
                    "state": c.module.state_dict(),
                    "best_loss": c.best_loss,
                    "best_epoch": c.best_epoch,
                    "best_state": c.best_state,
                }
                for c in self.copies
            ],
        }
        write_checkpoint(self.folder, self.run, state)

    def resume(self) -> int:
        """Go on from `checkpoint.pt` in the run's folder; returns the epochs already done.

        Raises:
            DataError: there is no checkpoint, or it is of other data, heads or options.
        """
        path = self.folder / CHECKPOINT
        state = read_checkpoint(path, self.run)
        try:
            for copy, saved in zip(self.copies, state["copies"], strict=True):
                copy.module.load_state_dict(saved["state"])
                copy.best_loss, copy.best_epoch = saved["best_loss"], saved["best_epoch"]
                copy.best_state = saved["best_state"]
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        self.epoch, self.last_better = state["epoch"], state["last_better"]
        return self.epoch


def _clone(head: Head) -> Head:
    clone = Head(head.dim, head.linear.out_features, head.extra_inputs, head.width)
    clone.load_state_dict(head.state_dict())
    clone.temperature.fill_(1.0)
    return clone


@torch.inference_mode()
def logits_of(head: Head, examples: Examples, rows: np.ndarray) -> torch.Tensor:
    """Logits (n, C) of the head for these rows."""
    pieces = [rows[begin : begin + EVAL_ROWS] for begin in range(0, len(rows), EVAL_ROWS)]
    return torch.cat([head(examples.inputs(piece, head)) for piece in pieces])


def validate(head: Head, plan: Plan, examples: Examples) -> tuple[float, float]:
    """Loss, and accuracy (single-label) or share of right yes-or-no answers (multi-label), on the validation rows."""
    targets = examples.targets[plan.head]
    rows = np.flatnonzero((examples.parts == VALIDATION) & targets.known)
    logits, allowed = logits_of(head, examples, rows), torch.from_numpy(targets.allowed(rows))
    loss = masked_loss(logits, allowed, torch.ones(len(rows)), plan.kind)
    if plan.kind == "single":
        right = allowed.gather(1, logits.argmax(dim=1, keepdim=True)).float().mean()
    else:
        right = ((F.logsigmoid(logits) > math.log(0.5)) == allowed).float().mean()
    return float(loss), float(right)
