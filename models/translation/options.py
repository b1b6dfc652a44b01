"""How a translator is trained: the published recipe, and what may differ from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from models.errors import DataError
from models.gan.diffaugment import check_kinds
from models.translation.networks import GENERATORS, check_size

FREE = ("epochs", "decay_epochs", "steps_per_epoch", "checkpointing")
"""What may change when a run goes on."""


@dataclass(frozen=True)
class TranslateOptions:
    """The defaults are those of CycleGAN and GANILLA, except for the size.

    Args:
        generator: one of `GENERATORS`.
        size: side of the pictures, a multiple of 16.
        width: channels of the generators' first convolution.
        discriminator_width: channels of the discriminators' first convolution.
        loss: `lsgan` (squares, Mao et al. 2017) or `bce` (cross entropy, the first GAN).
        cycle: weight of the cycle error, both ways.
        identity: weight of the identity error as a share of `cycle`; 0 leaves it out.
        cycle_noise: standard deviation of noise (values in [-1, 1]) on a generated picture before its way back: what
            is hidden in faint detail is lost then, so that shape and color have to carry what the way back needs
            (Bashkirova et al. 2019, arXiv 1908.01517).
        color: weight of the difference between the garments' mean colors before and after.
        pool: generated pictures kept for each discriminator.
        lr: learning rate of Adam with betas (0.5, 0.999).
        epochs: with a constant learning rate.
        decay_epochs: after these, in which the learning rate falls to zero along a line.
        steps_per_epoch: 0: as many as it takes to see every picture of the larger side once.
        batch: pictures of each side a step; 1 as published.
        average: share the moving average of the generators' weights keeps a step, such as 0.999; 0 keeps none.
        augment: differentiable augmentation before the discriminators: color, translation, cutout.
        balance: `skip`: a discriminator that is right in more than 95 % of its answers waits; `report`: it goes on.
        checkpointing: forget activations and compute them again: slower, less memory.
        seed: of first weights, order, crops, pool and augmentation.
    """

    generator: str = "ganilla"
    size: int = 128
    width: int = 64
    discriminator_width: int = 64
    loss: Literal["lsgan", "bce"] = "lsgan"
    cycle: float = 10.0
    identity: float = 0.5
    cycle_noise: float = 0.0
    color: float = 0.0
    pool: int = 50
    lr: float = 2e-4
    epochs: int = 100
    decay_epochs: int = 100
    steps_per_epoch: int = 0
    batch: int = 1
    average: float = 0.0
    augment: tuple[str, ...] = ()
    balance: Literal["report", "skip"] = "report"
    checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_size(self.size)
        check_kinds(self.augment)
        if self.generator not in GENERATORS:
            raise DataError(f"there is no generator {self.generator!r}; there are {', '.join(GENERATORS)}")
        if self.loss not in {"lsgan", "bce"}:
            raise DataError(f"there is no loss {self.loss!r}; there are lsgan, bce")
        weights = self.cycle, self.identity, self.cycle_noise, self.color
        if self.lr <= 0 or min(*weights, self.pool, self.steps_per_epoch) < 0:
            raise DataError(
                "lr is above 0; cycle, identity, cycle_noise, color, pool and steps_per_epoch are at least 0"
            )
        if self.balance not in {"report", "skip"}:
            raise DataError(f"balance is report or skip, not {self.balance!r}")
        if not 0 <= self.average < 1:
            raise DataError(f"average is {self.average}: it lies in [0, 1), such as 0.999, and 0 keeps no average")
        if min(self.epochs, self.decay_epochs) < 0 or self.epochs + self.decay_epochs < 1 or self.batch < 1:
            raise DataError("epochs and decay_epochs are counts, at least one of them above 0; batch is at least 1")

    @property
    def total_epochs(self) -> int:
        """Epochs of both kinds."""
        return self.epochs + self.decay_epochs

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 1."""
        return self.lr * (1 - max(0, epoch - self.epochs) / (self.decay_epochs + 1))

    def as_dict(self) -> dict[str, Any]:
        """The fields, for a checkpoint or a card."""
        return asdict(self) | {"augment": list(self.augment)}

    def refuse_others(self, earlier: dict[str, Any]) -> None:
        """Check that a run with the options `earlier` can go on with these.

        Raises:
            DataError: one differs that may not; the message names it.
        """
        mine = self.as_dict()
        for field in fields(self):
            name = field.name
            if name not in FREE and earlier.get(name) != mine[name]:
                raise DataError(
                    f"the run was started with {name} = {earlier.get(name)!r}, not {mine[name]!r}; give the same "
                    "options, or another folder for a new run"
                )
