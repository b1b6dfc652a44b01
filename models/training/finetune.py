"""End-to-end fine-tuning: the backbone learns with its heads.

First heads are trained on the frozen features, then everything moves together (Kumar et al. 2022: features survive
better that way), with a learning rate that falls from the heads down to the first stages. Batch norms keep
their ImageNet statistics. What is validated and written is the moving average of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.backbones import Backbone
from models.devices import Placement
from models.errors import DataError
from models.heads import Head
from models.preprocessing import Preprocessing
from models.training.augment import NOTHING, Augmentation, augment
from models.training.checkpoints import CHECKPOINT, read_checkpoint, write_checkpoint
from models.training.features import Pictures
from models.training.heads import Examples, OnEpoch
from models.training.splits import TRAIN, VALIDATION
from models.training.targets import Plan, masked_loss, row_weights


@dataclass(frozen=True)
class TuneOptions:
    """How the backbone is fine-tuned.

    Args:
        epochs: passes over the training pictures, at the most.
        lr: learning rate of the heads; the neck and the last stage get a tenth of it (iFashion).
        stage_decay: each stage below learns this many times slower than the one above.
        frozen: stages from the bottom that do not learn at all (0 to 3); saves most of their time.
        weight_decay: of AdamW.
        batch: pictures a step.
        smoothing: share of the target spread over all labels.
        balance: 0: pictures are drawn alike; 1: labels of the first head are drawn alike.
        mix: parameter of the Beta distribution by which pairs of pictures, and their labels, are blended (mixup, Zhang
            et al. 2018); 0 leaves them alone. It helps where a backbone would learn few pictures by heart.
        average: share of the old value that the moving average of the weights keeps a step.
        patience: epochs without a better validation accuracy (mean over the heads) before it stops.
        seed: of order, dropout and augmentation.
    """

    epochs: int = 8
    lr: float = 3e-3
    stage_decay: float = 0.5
    frozen: int = 1
    weight_decay: float = 0.02
    batch: int = 32
    smoothing: float = 0.1
    balance: float = 0.0
    mix: float = 0.0
    average: float = 0.998
    patience: int = 5
    seed: int = 0


class Tuned(nn.Module):
    """A backbone and its heads as one network."""

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head], frozen: int) -> None:
        super().__init__()
        self.backbone = backbone
        # a ModuleDict refuses names that modules have as attributes, and "type" is one of them
        self.heads = nn.ModuleDict({f"{name}_head": head for name, head in heads.items()})
        self.frozen = frozen
        for stage in list(backbone.stages)[:frozen]:
            stage.requires_grad_(requires_grad=False)
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
                _keep_filters(module)

    def head(self, name: str) -> Head:
        """The head of that name."""
        head: Head = self.heads[f"{name}_head"]  # type: ignore[assignment]
        return head

    def feature(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) normalized to (N, D); stages that do not learn keep no activations."""
        for number, stage in enumerate(self.backbone.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen):
                x = stage(x)
        return self.backbone.neck(x).float().mean(dim=(2, 3))


@dataclass(frozen=True)
class _Blend:
    """How a batch is blended with itself: `share` of each row, the rest from row `partner` (N,)."""

    share: float
    partner: torch.Tensor

    @staticmethod
    def draw(n: int, parameter: float, generator: torch.Generator) -> _Blend:
        """One share a batch, Beta(parameter, parameter), and a permutation."""
        seed = int(torch.randint(2**31, (), generator=generator))
        return _Blend(
            float(np.random.default_rng(seed).beta(parameter, parameter)), torch.randperm(n, generator=generator)
        )

    def of(self, rows: torch.Tensor) -> torch.Tensor:
        """The blended rows."""
        return self.share * rows + (1 - self.share) * rows[self.partner]


def _keep_filters(convolution: nn.Conv2d) -> None:
    """Leave a depthwise convolution as it is, and let gradients pass it quickly.

    Its filters are 3 % of the network's weights and serve other pictures as they are (Babaiee et al. 2024, "The Master
    Key Filters Hypothesis"); on a CPU their gradient in bfloat16, and any gradient through a stride of 2, takes half
    of a step. A stride of 2 is therefore computed as every second value of a stride of 1, which is the same.
    """
    convolution.requires_grad_(requires_grad=False)
    if convolution.stride != (2, 2):
        return

    def every_second(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        whole = F.conv2d(x, weight, bias, 1, convolution.padding, 1, convolution.groups)
        return whole[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)

    convolution._conv_forward = every_second  # type: ignore[assignment, method-assign]


class FineTuner:
    """One fine-tuning run.

    Args:
        pictures: rows as in `examples`.
        examples: labels, parts and further inputs; the features are not used.
        heads: trained on the frozen features; they keep their standardization.
    """

    def __init__(
        self,
        pictures: Pictures,
        examples: Examples,
        plans: list[Plan],
        network: Tuned,
        options: TuneOptions,
        how: tuple[Preprocessing, Augmentation, Placement],
        folder: Path,
    ) -> None:
        self.pictures, self.examples, self.plans, self.options, self.folder = pictures, examples, plans, options, folder
        self.preprocessing, self.augmentation, self.placement = how
        self.network = network.to(self.placement.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(list(_groups(network, options)), weight_decay=options.weight_decay)
        self.top = [group["lr"] for group in self.optimizer.param_groups]
        self.run = examples.digest(plans)
        self.labelled = np.any([examples.targets[plan.head].known for plan in plans], axis=0)
        self.epoch = self.best_epoch = self.steps = 0
        self.best_accuracy = -math.inf
        self.best = self.mean

    def fit(self, on_epoch: OnEpoch) -> Tuned:
        """Train to the end; returns the network with the averaged weights of the best epoch.

        Raises:
            DataError: the loss is not finite.
        """
        while self.epoch < self.options.epochs and self.epoch - self.best_epoch < self.options.patience:
            self.epoch += 1
            figures = {"train_loss": self._train()} | self._validate()
            if not math.isfinite(figures["train_loss"]):
                raise DataError(f"the loss is not finite in epoch {self.epoch}; lower the learning rate (--lr)")
            # not the loss: it rises with confidence, which the temperature mends afterwards (Guo et al. 2017)
            if figures["validation_accuracy"] > self.best_accuracy:
                self.best_accuracy, self.best_epoch = figures["validation_accuracy"], self.epoch
                self.best = {name: value.clone() for name, value in self.mean.items()}
            self._save()
            on_epoch(self.epoch, figures)
        self.network.load_state_dict(self.best)
        return self.network.eval()

    def _order(self) -> np.ndarray:
        rows = np.flatnonzero((self.examples.parts == TRAIN) & self.labelled)
        rng = np.random.default_rng([self.options.seed, self.epoch])
        if self.options.balance == 0:
            return rng.permutation(rows)
        train = self.examples.parts == TRAIN
        weights = row_weights(self.examples.targets[self.plans[0].head], self.options.balance, train)[rows]
        weights = np.where(weights > 0, weights, weights[weights > 0].mean())  # rows without that label stay in
        return rng.choice(rows, len(rows), p=weights / weights.sum())

    def _train(self) -> float:
        self.network.eval()  # batch norms and dropout stay as they are; augmentation is the noise
        order, options = self._order(), self.options
        generator = torch.Generator().manual_seed(options.seed * 100_003 + self.epoch)
        total_steps = options.epochs * math.ceil(len(order) / options.batch)
        total = 0.0
        for begin in range(0, len(order), options.batch):
            rows = np.sort(order[begin : begin + options.batch])
            share = self.steps / max(1, total_steps)
            pace = min(1.0, (self.steps + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
            for group, top in zip(self.optimizer.param_groups, self.top, strict=True):
                group["lr"] = top * pace
            loss = self._loss(rows, generator)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self._average()
            total += float(loss.detach()) * len(rows)
        return total / max(1, len(order))

    def _logits(self, rows: np.ndarray, x: torch.Tensor, blend: _Blend | None = None) -> dict[str, torch.Tensor]:
        x = self.preprocessing.normalize(x.to(self.placement.device)).contiguous(memory_format=torch.channels_last)
        bf16 = self.placement.precision == "bf16"
        with torch.autocast(self.placement.device, torch.bfloat16, enabled=bf16):
            feature = self.network.feature(x)
        return {plan.head: self._head(plan.head, feature, rows, blend) for plan in self.plans}

    def _head(self, name: str, feature: torch.Tensor, rows: np.ndarray, blend: _Blend | None) -> torch.Tensor:
        head = self.network.head(name)
        extra = [torch.from_numpy(np.asarray(self.examples.extra[e][rows], np.float32)) for e in head.extra_inputs]
        extra = [blend.of(part) for part in extra] if blend else extra
        return head(torch.cat([feature, *(part.to(feature.device) for part in extra)], dim=1))

    def _loss(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        pictures = augment(torch.from_numpy(self.pictures.take(rows)), self.augmentation, generator)
        if self.options.mix == 0:
            return self._sum(self._logits(rows, pictures), rows, self.options.smoothing)
        blend = _Blend.draw(len(rows), self.options.mix, generator)
        logits = self._logits(rows, blend.of(pictures), blend)
        own, other = (self._sum(logits, of, self.options.smoothing) for of in (rows, rows[blend.partner.numpy()]))
        return blend.share * own + (1 - blend.share) * other

    def _sum(self, logits: dict[str, torch.Tensor], rows: np.ndarray, smoothing: float) -> torch.Tensor:
        losses = []
        for plan in self.plans:
            targets, made = self.examples.targets[plan.head], logits[plan.head]
            allowed = torch.from_numpy(targets.allowed(rows)).to(made.device)
            known = torch.from_numpy(targets.known[rows].astype(np.float32)).to(made.device)
            losses.append(plan.weight * masked_loss(made, allowed, known, plan.kind, smoothing))
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _average(self) -> None:
        self.steps += 1
        keep = min(self.options.average, (1 + self.steps) / (10 + self.steps))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.mean[name].lerp_(value, 1 - keep)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.mean)
        rows = np.flatnonzero((self.examples.parts == VALIDATION) & self.labelled)
        if len(rows) == 0:
            raise DataError("no labelled product is in validation; give more products, or a larger --validation")
        loss, right, seen = 0.0, dict.fromkeys(self.examples.targets, 0.0), dict.fromkeys(self.examples.targets, 0)
        for begin in range(0, len(rows), self.options.batch):
            piece = rows[begin : begin + self.options.batch]
            pictures = torch.from_numpy(self.pictures.take(piece))
            logits = self._logits(piece, augment(pictures, NOTHING, torch.Generator()))
            loss += float(self._sum(logits, piece, 0.0)) * len(piece)
            for plan in self.plans:
                targets = self.examples.targets[plan.head]
                known, allowed = targets.known[piece], targets.allowed(piece)
                said = logits[plan.head].cpu().numpy()
                if plan.kind == "single":
                    right[plan.head] += float(allowed[np.arange(len(piece)), said.argmax(axis=1)][known].sum())
                else:
                    right[plan.head] += float(((said > 0) == allowed)[known].mean(axis=1).sum())
                seen[plan.head] += int(known.sum())
        self.network.load_state_dict(current)
        accuracies = {f"{head}/validation_accuracy": right[head] / max(1, seen[head]) for head in right}
        mean = sum(accuracies.values()) / len(accuracies)
        return {"validation_loss": loss / len(rows), "validation_accuracy": mean, **accuracies}

    def _save(self) -> None:
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_accuracy": self.best_accuracy,
            "steps": self.steps,
            "network": self.network.state_dict(),
            "mean": self.mean,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
        }
        write_checkpoint(self.folder, self.run, state)

    def resume(self) -> int:
        """Go on from `checkpoint.pt` in the run's folder; returns the epochs already done.

        Raises:
            DataError: there is no checkpoint, or it is of other data or another network.
        """
        path = self.folder / CHECKPOINT
        state = read_checkpoint(path, self.run, self.placement.device)
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.mean, self.best = state["mean"], state["best"]
            self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
            self.best_accuracy, self.steps = state["best_accuracy"], state["steps"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        return self.epoch


def _groups(network: Tuned, options: TuneOptions) -> list[dict[str, Any]]:
    """Parameters with their learning rates: heads, neck and last stage, and slower and slower downwards."""
    groups: list[dict[str, Any]] = [{"params": list(network.heads.parameters()), "lr": options.lr}]
    groups.append({"params": list(network.backbone.neck.parameters()), "lr": options.lr / 10})
    stages = list(network.backbone.stages)
    for depth, stage in enumerate(reversed(stages)):
        if len(stages) - 1 - depth >= options.frozen:
            groups.append({"params": list(stage.parameters()), "lr": options.lr / 10 * options.stage_decay**depth})
    return [group for group in groups if group["params"]]
