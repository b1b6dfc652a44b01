"""How a designer is trained: the four named presets of the shoe design study, and what may differ from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from models.errors import DataError
from models.gan.balance import ACTIONS
from models.gan.diffaugment import check_kinds

NETWORKS = ("dcgan", "plain", "refine")
SMALLEST, LARGEST = 16, 256
PRESETS: dict[str, dict[str, Any]] = {
    "exp1": {"normalized": False, "saturating": True, "weight_decay": 0.0, "real_target": 1.0, "freeze": 0.0},
    "exp2": {"normalized": True, "saturating": False, "weight_decay": 1e-4, "real_target": 1.0, "freeze": 0.0},
    "exp3": {"normalized": True, "saturating": False, "weight_decay": 1e-4, "real_target": 0.9, "freeze": 0.0},
    "exp4": {"normalized": True, "saturating": False, "weight_decay": 1e-4, "real_target": 0.9, "freeze": 0.7},
}
"""exp1: noise from a normal distribution, nothing else. exp2: and pictures in [-1, 1], weight decay, a generator that
maximizes log D(G(z)). exp3: and one-sided label smoothing. exp4: and freezing."""

FREE = ("epochs", "steps_per_epoch")
"""What may change when a run goes on."""


@dataclass(frozen=True)
class DesignOptions:
    """The defaults are those of DCGAN (Radford et al. 2015) and of the preset exp4.

    Args:
        preset: name of the preset that the five fields after it come from, for people.
        normalized: pictures in [-1, 1], as the generator's; else in [0, 1].
        saturating: the generator minimizes log(1 - D(G(z))), as first published; else it maximizes log D(G(z)).
        weight_decay: of Adam, for both networks.
        real_target: what the discriminator is to say of real pictures; below 1: one-sided label smoothing
            (Salimans et al. 2016). The target of generated ones is always 0.
        freeze: leave the discriminator as it is while the mean of its loss in the running epoch is below so many times
            the generator's; 0: never.
        network: `dcgan` (convolutions), `plain` (fully connected, the first GAN), `refine` (a second stage that
            enlarges what a trained first stage draws).
        size: side of the pictures, a power of two from 16 to 256.
        width: channels of the last map of the generator and the first of the discriminator; 64 as published.
        noise: numbers a picture is drawn from.
        batch: pictures a step.
        lr: learning rate of Adam with betas (0.5, 0.999).
        epochs: passes over the pictures.
        steps_per_epoch: 0: as many as it takes to see every picture once.
        average: share the moving average of the generator's weights keeps a step, such as 0.999; 0 keeps none.
        augment: differentiable augmentation before the discriminator: color, translation, cutout.
        balance: what to do when the discriminator is right too often or too seldom: `report`, `skip` or `ratio`.
        keep: of a second stage: weight of the mean absolute difference between the first stage's picture and the
            second's, made as small again.
        mirror: turn half of the real pictures around, at random; shoes that all point one way should not be.
        seed: of first weights, noise, order and augmentation.
    """

    preset: str = "exp4"
    normalized: bool = True
    saturating: bool = False
    weight_decay: float = 1e-4
    real_target: float = 0.9
    freeze: float = 0.7
    network: Literal["dcgan", "plain", "refine"] = "dcgan"
    size: int = 64
    width: int = 64
    noise: int = 100
    batch: int = 64
    lr: float = 2e-4
    epochs: int = 50
    steps_per_epoch: int = 0
    average: float = 0.0
    augment: tuple[str, ...] = ()
    balance: Literal["report", "skip", "ratio"] = "report"
    keep: float = 1.0
    mirror: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_kinds(self.augment)
        check_side(self.size)
        for name, known in (("preset", tuple(PRESETS)), ("network", NETWORKS), ("balance", ACTIONS)):
            if getattr(self, name) not in known:
                raise DataError(f"there is no {name} {getattr(self, name)!r}; there are {', '.join(known)}")
        if not 0 <= self.average < 1:
            raise DataError(f"average is {self.average}: it lies in [0, 1), such as 0.999, and 0 keeps no average")
        if not 0.5 < self.real_target <= 1:
            raise DataError(f"real_target is {self.real_target}: it lies above 0.5 and is at most 1")
        if min(self.width, self.noise, self.epochs) < 1 or self.batch < 2:
            raise DataError("width, noise and epochs are at least 1; batch is at least 2 (batch normalization)")
        if self.lr <= 0 or min(self.weight_decay, self.freeze, self.keep, self.steps_per_epoch) < 0:
            raise DataError("lr is above 0; weight_decay, freeze, keep and steps_per_epoch are at least 0")

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
            if field.name not in FREE and earlier.get(field.name) != mine[field.name]:
                raise DataError(
                    f"the run was started with {field.name} = {earlier.get(field.name)!r}, not {mine[field.name]!r}; "
                    "give the same options, or another folder for a new run"
                )


def check_side(size: int) -> int:
    """Return the side of a picture if designers can draw it.

    Raises:
        DataError: it is no power of two from 16 to 256.
    """
    if not SMALLEST <= size <= LARGEST or size & (size - 1):
        raise DataError(f"size is {size}: it has to be a power of two from {SMALLEST} to {LARGEST}, such as 64")
    return size


def from_preset(preset: str, **changes: Any) -> DesignOptions:
    """Options of a preset; changes that are None keep what the preset says.

    Raises:
        DataError: there is no such preset, or an option is out of range.
    """
    if preset not in PRESETS:
        raise DataError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    given = {name: value for name, value in changes.items() if value is not None}
    return DesignOptions(**{"preset": preset, **PRESETS[preset], **given})
