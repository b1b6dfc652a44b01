"""Training a translator both ways at once, with a state that can be put down and taken up at any step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.devices import Placement
from models.errors import DataError
from models.gan.average import AveragedWeights
from models.gan.balance import BalanceMonitor, accuracy
from models.gan.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from models.gan.diffaugment import augmented
from models.translation.discriminator import build_discriminator
from models.translation.losses import BOUNDARY, Networks, discriminator_loss, generator_losses
from models.translation.networks import build_generator
from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair, Stack
from models.translation.pool import ImagePool

BETAS = (0.5, 0.999)
OnStep = Callable[[int], object]
"""Told how many steps are done in all."""

OnEpoch = Callable[[int, dict[str, float]], object]
"""Told the epoch that ended and its mean losses."""


def build_networks(options: TranslateOptions) -> Networks:
    """Two generators and two discriminators with their first weights, drawn from torch's default random generator."""
    generators = [build_generator(options.generator, options.width) for _ in range(2)]
    for generator in generators:
        generator.checkpointing = options.checkpointing
    discriminators = [build_discriminator(options.discriminator_width) for _ in range(2)]
    return Networks(*generators, *discriminators)


def steps_per_epoch(pictures: PicturePair, options: TranslateOptions) -> int:
    """Steps until every picture of the larger side has been seen, unless the options say otherwise."""
    larger = max(len(pictures.a.train), len(pictures.b.train))
    return options.steps_per_epoch or -(-larger // options.batch)


class TranslatorTraining:
    """One training run.

    Whatever is drawn at random comes from one generator on the CPU, whose state is part of the checkpoint, or from
    the seed and the epoch (the order of the photos). A run that is killed and resumed therefore gives, on a CPU with as
    many threads, the very bits of one that was not.

    Args:
        pictures: of the size that the options name.
        placement: on a CPU in bfloat16 a step takes 0.6 of the time of float32; parameters stay in float32.
        folder: for `checkpoint.pt`.
    """

    def __init__(self, pictures: PicturePair, options: TranslateOptions, placement: Placement, folder: Path) -> None:
        if pictures.size != options.size:
            raise DataError(f"the pictures were made for size {pictures.size}, not {options.size}; make them again")
        self.pictures, self.options, self.placement, self.folder = pictures, options, placement, folder
        # channels-last is what GPUs multiply; on a CPU instance normalization would copy every map twice
        self.layout = torch.channels_last if placement.device == "cuda" else torch.contiguous_format
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.networks = build_networks(options)
        for network in self.networks.items().values():
            network.to(device=placement.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.averages: dict[str, AveragedWeights] = {}
        if options.average > 0:
            self.averages = {
                name: AveragedWeights(network, options.average)
                for name, network in self.networks.items().items()
                if name in {"a_to_b", "b_to_a"}
            }
        self.optimizers = {
            "generators": torch.optim.Adam(self.networks.generators(), options.lr, BETAS, fused=True),
            "discriminators": torch.optim.Adam(self.networks.discriminators(), options.lr, BETAS, fused=True),
        }
        self.pools = {"a": ImagePool(options.pool), "b": ImagePool(options.pool)}
        self.monitors = {"a": BalanceMonitor(options.balance), "b": BalanceMonitor(options.balance)}
        self.random = torch.Generator().manual_seed(options.seed)
        self.epoch, self.step, self.steps_done = 1, 0, 0
        self.sums: dict[str, float] = {}

    def generators(self) -> tuple[nn.Module, nn.Module]:
        """A to B and B to A with the weights that are to be used: the averaged ones where there are any."""
        if self.averages:
            return self.averages["a_to_b"].network, self.averages["b_to_a"].network
        return self.networks.a_to_b, self.networks.b_to_a

    @property
    def steps_per_epoch(self) -> int:
        """See the function of that name."""
        return steps_per_epoch(self.pictures, self.options)

    def fit(self, on_step: OnStep, on_epoch: OnEpoch, checkpoint_every: int = 0) -> None:
        """Train from where the state is to the end.

        Args:
            on_step: called after every step.
            on_epoch: called after every epoch, before its checkpoint is written: a crash in between repeats it.
            checkpoint_every: write a checkpoint after so many steps, too; 0: after every epoch only.
        """
        while self.epoch <= self.options.total_epochs:
            rows = self._rows_of_epoch()
            for name in self.optimizers:
                for group in self.optimizers[name].param_groups:
                    group["lr"] = self.options.rate(self.epoch)
            while self.step < self.steps_per_epoch:
                self._train(rows["a"][self.step], rows["b"][self.step])
                self.step += 1
                self.steps_done += 1
                on_step(self.steps_done)
                if checkpoint_every and self.steps_done % checkpoint_every == 0:
                    self.save()
            on_epoch(self.epoch, {name: total / self.step for name, total in self.sums.items()})
            self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
            self.save()

    def _rows_of_epoch(self) -> dict[str, np.ndarray]:
        """Rows of each side, int (steps, batch): all in random order, and again where the other side has more."""
        made = {}
        for number, letter in enumerate("ab"):
            rng = np.random.default_rng([self.options.seed, self.epoch, number])
            count, wanted = len(self.pictures.side(letter).train), self.steps_per_epoch * self.options.batch
            orders = [rng.permutation(count) for _ in range(-(-wanted // count))]
            made[letter] = np.concatenate(orders)[:wanted].reshape(-1, self.options.batch)
        return made

    def _batch(self, stack: Stack, rows: np.ndarray) -> torch.Tensor:
        """A random square of each picture, flipped half of the time: (N, 3, S, S) in [-1, 1]."""
        pictures, size = torch.from_numpy(stack.rows(rows)), self.options.size
        room = pictures.shape[-1] - size
        places = torch.randint(0, room + 1, (len(rows), 2), generator=self.random).tolist()
        flips = (torch.rand(len(rows), generator=self.random) < 0.5).tolist()
        cut = []
        for picture, (top, left), flip in zip(pictures, places, flips, strict=True):
            square = picture[:, top : top + size, left : left + size]
            cut.append(square.flip(-1) if flip else square)
        moved = torch.stack(cut).to(self.placement.device, non_blocking=True)
        return (moved.float() / 127.5 - 1).contiguous(memory_format=self.layout)

    def _augment(self, x: torch.Tensor) -> torch.Tensor:
        return augmented(x, self.options.augment, self.random)

    def _disturb(self, x: torch.Tensor) -> torch.Tensor:
        if self.options.cycle_noise == 0:
            return x
        noise = torch.randn(x.shape, generator=self.random).to(x.device, x.dtype)
        return x + self.options.cycle_noise * noise

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.placement.device, torch.bfloat16, enabled=self.placement.precision == "bf16")

    def _train(self, rows_a: np.ndarray, rows_b: np.ndarray) -> None:
        """One step: both generators, then both discriminators."""
        real = {
            "a": self._batch(self.pictures.a.train, rows_a),
            "b": self._batch(self.pictures.b.train, rows_b),
        }
        self._discriminators_learn(learn=False)
        with self._autocast():
            losses, fakes = generator_losses(
                self.networks, real["a"], real["b"], self.options, self._augment, self._disturb
            )
        self._descend("generators", torch.stack(list(losses.values())).sum())
        self._discriminators_learn(learn=True)
        for name, average in self.averages.items():
            average.update(self.networks.items()[name])
        self._judge(real, {"a": fakes.a, "b": fakes.b}, losses)

    def _discriminators_learn(self, *, learn: bool) -> None:
        """While generators learn, no gradient of a discriminator's weights is worked out."""
        self.networks.real_a.requires_grad_(requires_grad=learn)
        self.networks.real_b.requires_grad_(requires_grad=learn)

    def _judge(
        self, real: dict[str, torch.Tensor], fake: dict[str, torch.Tensor], losses: dict[str, torch.Tensor]
    ) -> None:
        """Train the discriminators that are not too far ahead, and add up all losses of the step."""
        kind, numbers = self.options.loss, {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        learning: list[torch.Tensor] = []
        for letter, discriminator in (("a", self.networks.real_a), ("b", self.networks.real_b)):
            pooled = self.pools[letter].exchange(fake[letter].float(), self.random)
            with self._autocast():
                loss, said_real, said_fake = discriminator_loss(
                    discriminator, real[letter], pooled, kind, self._augment
                )
            numbers[f"discriminator_{letter}_loss"] = loss.detach()
            numbers[f"discriminator_{letter}_accuracy"] = accuracy(said_real, said_fake, BOUNDARY[kind])
            if self.monitors[letter].plan()[0]:
                learning.append(loss)
        if learning:
            self._descend("discriminators", torch.stack(learning).sum())
        for name, value in zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + value
            if name.endswith("accuracy"):
                self.monitors[name.split("_")[1]].see(value)

    def _descend(self, name: str, loss: torch.Tensor) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "options": self.options.as_dict(),
            "pictures": self.pictures.digest,
            "networks": {name: network.state_dict() for name, network in self.networks.items().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
            "monitors": {name: monitor.state_dict() for name, monitor in self.monitors.items()},
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
            DataError: there is no checkpoint, or it is of other options or other pictures.
        """
        path = self.folder / CHECKPOINT
        state = read_checkpoint(path, self.placement.device)
        try:
            self.options.refuse_others(state["options"])
            if state["pictures"] != self.pictures.digest:
                raise DataError(f"{path} was trained on other pictures; give the same ones")
            self._take(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} is of another training run: {error}") from None
        return self.epoch - 1

    def start_from(self, folder: Path) -> None:
        """Take the networks of another run as first weights: on smaller pictures they learn several times as fast.

        Raises:
            DataError: that run has no checkpoint, or other generators or widths.
        """
        path = folder / CHECKPOINT
        state = read_checkpoint(path, self.placement.device)
        try:
            for name, network in self.networks.items().items():
                network.load_state_dict(state["networks"][name])
        except (KeyError, RuntimeError):
            names = ("generator", "width", "discriminator_width")
            theirs = ", ".join(f"{name} {state.get('options', {}).get(name)}" for name in names)
            raise DataError(
                f"{path} has other networks than this run is to have: {theirs}; give the same ones"
            ) from None
        for name, average in self.averages.items():
            average.network.load_state_dict(self.networks.items()[name].state_dict())

    def _take(self, state: dict[str, Any]) -> None:
        for name, network in self.networks.items().items():
            network.load_state_dict(state["networks"][name])
        parts: dict[str, Mapping[str, Any]] = {
            "optimizers": self.optimizers,
            "averages": self.averages,
            "pools": self.pools,
            "monitors": self.monitors,
        }
        for part, members in parts.items():
            for name, member in members.items():
                member.load_state_dict(state[part][name])
        self.random.set_state(state["random"].cpu())
        position = state["position"]
        self.epoch, self.step, self.steps_done = position["epoch"], position["step"], position["steps_done"]
        self.sums = dict(state["sums"])
