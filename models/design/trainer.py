"""Training a designer, with a state that can be put down and taken up at any step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.design.designer import settle
from models.design.networks import Refiner, TwoStages, build_generator, build_judge, first_weights
from models.design.options import DesignOptions
from models.design.pictures import DesignPictures
from models.devices import Placement
from models.errors import DataError
from models.gan.average import AveragedWeights
from models.gan.balance import BalanceMonitor, accuracy
from models.gan.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from models.gan.diffaugment import augmented

BETAS = (0.5, 0.999)
OnStep = Callable[[], object]
OnEpoch = Callable[[int, dict[str, float]], object]
"""Told the epoch that ended and its figures."""


def discriminator_loss(real: torch.Tensor, fake: torch.Tensor, real_target: float) -> torch.Tensor:
    """Cross entropy of the scores of real pictures against `real_target`, and of generated ones against 0, added.

    Only the real side is smoothed: a target above 0 for generated pictures would praise the generator for what it
    already does (Goodfellow 2016, arXiv 1701.00160).
    """
    targets = torch.full_like(real, real_target)
    said_real = F.binary_cross_entropy_with_logits(real, targets)
    return said_real + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))


def generator_loss(fake: torch.Tensor, *, saturating: bool) -> torch.Tensor:
    """Mean of log(1 - D(G(z))), or of -log D(G(z)), from scores before the sigmoid."""
    return F.logsigmoid(-fake).mean() if saturating else -F.logsigmoid(fake).mean()


class DesignTraining:
    """One training run.

    Whatever is drawn at random comes from one generator on the CPU, whose state is part of the checkpoint, or from
    the seed and the epoch (the order of the pictures). A run that is killed and resumed therefore gives, on a CPU with
    as many threads, the very bits of one that was not.

    Args:
        pictures: of the size that the options name.
        placement: device and precision; parameters stay in float32.
        folder: for `checkpoint.pt`.
        first: the first stage that a network `refine` draws with; its weights are copied.
    """

    def __init__(
        self,
        pictures: DesignPictures,
        options: DesignOptions,
        placement: Placement,
        folder: Path,
        first: nn.Module | None = None,
    ) -> None:
        if pictures.size != options.size:
            raise DataError(f"the pictures were made for size {pictures.size}, not {options.size}; make them again")
        self.pictures, self.options, self.placement, self.folder = pictures, options, placement, folder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            count = len(pictures.attributes)
            self.generator = _generator(options, count, first).to(placement.device).train()
            judge = "dcgan" if options.network == "refine" else options.network
            self.judge = build_judge(judge, options.size, options.width, count).to(placement.device).train()
        self.average = AveragedWeights(self.generator, options.average) if options.average > 0 else None
        learning = [parameter for parameter in self.generator.parameters() if parameter.requires_grad]
        self.optimizers = {
            "generator": torch.optim.Adam(learning, options.lr, BETAS, weight_decay=options.weight_decay),
            "judge": torch.optim.Adam(self.judge.parameters(), options.lr, BETAS, weight_decay=options.weight_decay),
        }
        self.monitor = BalanceMonitor(options.balance)
        self.random = torch.Generator().manual_seed(options.seed)
        self.epoch, self.step, self.steps_done = 1, 0, 0
        self.sums: dict[str, float] = {}

    @property
    def steps_per_epoch(self) -> int:
        """See the function of that name."""
        return steps_per_epoch(self.pictures, self.options)

    def drawing(self) -> nn.Module:
        """A copy of the generator as it is to be used: averaged where asked for, in evaluation mode."""
        if self.average is None:
            return deepcopy(self.generator).eval()
        network = deepcopy(self.average.network)
        settle(network, self.options.noise, self.pictures.vectors, self.placement, self.options.batch)
        return network

    def fit(self, on_step: OnStep, on_epoch: OnEpoch, checkpoint_every: int = 0) -> None:
        """Train from where the state is to the end.

        Args:
            on_epoch: called before the epoch's checkpoint is written: a crash in between repeats it.
            checkpoint_every: write a checkpoint after so many steps, too; 0: after every epoch only.
        """
        while self.epoch <= self.options.epochs:
            rows = self._rows_of_epoch()
            while self.step < self.steps_per_epoch:
                self._train(rows[self.step])
                self.step += 1
                self.steps_done += 1
                on_step()
                if checkpoint_every and self.steps_done % checkpoint_every == 0:
                    self.save()
            on_epoch(self.epoch, self._figures())
            self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
            self.save()

    def _figures(self) -> dict[str, float]:
        """Means over the epoch; `loss_ratio` compares with -log D(G(z)), whatever the generator minimizes."""
        means = {name: total / self.step for name, total in self.sums.items()}
        return means | {"loss_ratio": means["discriminator_loss"] / max(means["generator_distance"], 1e-9)}

    def _rows_of_epoch(self) -> np.ndarray:
        """Rows, int (steps, batch): all in random order, and again where there are too few."""
        rng = np.random.default_rng([self.options.seed, self.epoch])
        count, wanted = len(self.pictures), self.steps_per_epoch * self.options.batch
        orders = [rng.permutation(count) for _ in range(-(-wanted // count))]
        return np.concatenate(orders)[:wanted].reshape(-1, self.options.batch)

    def _real(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (N, 3, S, S) in [-1, 1] or [0, 1], and attributes (N, K)."""
        pixels = torch.from_numpy(self.pictures.pictures[rows]).to(self.placement.device).float()
        if self.options.mirror:
            turned = (torch.rand(len(rows), generator=self.random) < 0.5).to(self.placement.device)
            pixels = torch.where(turned[:, None, None, None], pixels.flip(-1), pixels)
        pixels = pixels / 127.5 - 1 if self.options.normalized else pixels / 255
        return pixels, torch.from_numpy(self.pictures.vectors[rows]).to(self.placement.device)

    def _draw(self, attributes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Generated pictures and, of a second stage, what the first one drew."""
        noise = torch.randn(len(attributes), self.options.noise, generator=self.random).to(self.placement.device)
        with self._autocast():
            if isinstance(self.generator, TwoStages):
                small = self.generator.small(noise, attributes)
                return self.generator.refiner(small, attributes).float(), small.float()
            return self.generator(noise, attributes).float(), None

    def _scores(self, pictures: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        pictures = augmented(pictures, self.options.augment, self.random)
        with self._autocast():
            return self.judge(pictures, attributes).float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.placement.device, torch.bfloat16, enabled=self.placement.precision == "bf16")

    def _frozen(self) -> bool:
        """Whether the running means of this epoch say that the discriminator has to wait."""
        if not self.options.freeze or self.step == 0:
            return False
        return self.sums["discriminator_loss"] < self.options.freeze * self.sums["generator_distance"]

    def _train(self, rows: np.ndarray) -> None:
        """One step of both sides, more or fewer where the balance asks for it."""
        frozen, (judge_steps, generator_steps) = self._frozen(), self.monitor.plan()
        real, attributes = self._real(rows)
        fake, small = self._draw(attributes)
        numbers = self._judge_learns(real, fake.detach(), attributes, learn=judge_steps > 0 and not frozen)
        for _ in range(judge_steps - 1 if not frozen else 0):
            with torch.no_grad():
                other, _ = self._draw(attributes)
            self._judge_learns(real, other, attributes, learn=True)
        numbers |= self._generator_learns(fake, small, attributes, learn=generator_steps > 0)
        for _ in range(generator_steps - 1):
            self._generator_learns(*self._draw(attributes), attributes, learn=True)
        if self.average is not None:
            self.average.update(self.generator)
        self.monitor.see(numbers["discriminator_accuracy"])
        numbers |= {
            "frozen": float(frozen),
            "discriminator_steps": 0.0 if frozen else float(judge_steps),
            "generator_steps": float(generator_steps),
        }
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def _judge_learns(
        self, real: torch.Tensor, fake: torch.Tensor, attributes: torch.Tensor, *, learn: bool
    ) -> dict[str, float]:
        """Judge real and generated pictures; where not `learn`, only say how well."""
        self.judge.requires_grad_(requires_grad=learn)
        said_real, said_fake = self._scores(real, attributes), self._scores(fake, attributes)
        loss = discriminator_loss(said_real, said_fake, self.options.real_target)
        if learn:
            self._descend("judge", loss)
        right = accuracy(said_real.detach(), said_fake.detach(), 0.0)
        return {"discriminator_loss": float(loss.detach()), "discriminator_accuracy": float(right)}

    def _generator_learns(
        self, fake: torch.Tensor, small: torch.Tensor | None, attributes: torch.Tensor, *, learn: bool
    ) -> dict[str, float]:
        self.judge.requires_grad_(requires_grad=False)
        scores = self._scores(fake, attributes)
        loss = generator_loss(scores, saturating=self.options.saturating)
        numbers = {
            "generator_loss": float(loss.detach()),
            "generator_distance": float(generator_loss(scores.detach(), saturating=False)),
        }
        if small is not None:
            kept = F.l1_loss(F.adaptive_avg_pool2d(fake, small.shape[-1]), small)
            numbers["keep_loss"] = float(kept.detach())
            loss = loss + self.options.keep * kept
        if learn:
            self._descend("generator", loss)
        return numbers

    def _descend(self, name: str, loss: torch.Tensor) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

    def _parts(self) -> dict[str, Any]:
        """Everything that has a state of its own."""
        parts = {"generator": self.generator, "judge": self.judge, "monitor": self.monitor}
        parts |= {f"optimizer_{name}": optimizer for name, optimizer in self.optimizers.items()}
        return parts | ({"average": self.average} if self.average is not None else {})

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "options": self.options.as_dict(),
            "pictures": self.pictures.digest,
            "attributes": list(self.pictures.attributes.names),
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "random": self.random.get_state(),
            "position": {"epoch": self.epoch, "step": self.step, "steps_done": self.steps_done},
            "sums": self.sums,
        }

    def save(self) -> None:
        """Write `checkpoint.pt`: the old one stays until the new one is whole."""
        write_checkpoint(self.state(), self.folder / CHECKPOINT)

    def resume(self) -> int:
        """Go on from `checkpoint.pt` in the run's folder; returns the epochs that are complete.

        Raises:
            DataError: there is no checkpoint, or it is of other options, pictures or attributes.
        """
        path = self.folder / CHECKPOINT
        state = read_checkpoint(path, self.placement.device)
        try:
            self.options.refuse_others(state["options"])
            if state["pictures"] != self.pictures.digest or state["attributes"] != list(self.pictures.attributes.names):
                raise DataError(f"{path} was trained on other pictures or attributes; give the same ones")
            for name, part in self._parts().items():
                part.load_state_dict(state["parts"][name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        self.random.set_state(state["random"].cpu())
        position: Mapping[str, int] = state["position"]
        self.epoch, self.step, self.steps_done = position["epoch"], position["step"], position["steps_done"]
        self.sums = dict(state["sums"])
        return self.epoch - 1


def steps_per_epoch(pictures: DesignPictures, options: DesignOptions) -> int:
    """Steps until every picture has been seen, unless the options say otherwise."""
    return options.steps_per_epoch or -(-len(pictures) // options.batch)


def _generator(options: DesignOptions, attributes: int, first: nn.Module | None) -> nn.Module:
    if (options.network == "refine") != (first is not None):
        raise DataError("a network `refine` needs a first stage, and the others have none: name its card with --first")
    if first is None:
        return build_generator(options.network, options.size, options.width, options.noise, attributes)
    with torch.no_grad():
        try:
            drawn = first.eval()(torch.zeros(1, options.noise), torch.zeros(1, attributes))
        except RuntimeError:
            raise DataError("the first stage reads other noise or attributes than the second is to") from None
    refiner = Refiner(drawn.shape[-1], options.size, options.width, attributes)
    first_weights(refiner)
    return TwoStages(deepcopy(first), refiner)
