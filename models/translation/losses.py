"""The losses of a translation: adversarial, cycle and identity (Zhu et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from models.translation.color import color_error
from models.translation.options import TranslateOptions

Augment = Callable[[torch.Tensor], torch.Tensor]
BOUNDARY = {"lsgan": 0.5, "bce": 0.0}
"""The score above which a discriminator says "real"."""


def adversarial(scores: torch.Tensor, kind: str, *, real: bool) -> torch.Tensor:
    """How far scores, of any shape, are from saying "real" or "generated" everywhere: a scalar in float32."""
    scores = scores.float()
    target = torch.full_like(scores, float(real))
    if kind == "lsgan":
        return F.mse_loss(scores, target)
    return F.binary_cross_entropy_with_logits(scores, target)


@dataclass(frozen=True)
class Networks:
    """The four networks; `real_a` says whether a picture is a real one of side A."""

    a_to_b: nn.Module
    b_to_a: nn.Module
    real_a: nn.Module
    real_b: nn.Module

    def generators(self) -> list[nn.Parameter]:
        """Parameters of both generators."""
        return [*self.a_to_b.parameters(), *self.b_to_a.parameters()]

    def discriminators(self) -> list[nn.Parameter]:
        """Parameters of both discriminators."""
        return [*self.real_a.parameters(), *self.real_b.parameters()]

    def items(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"a_to_b": self.a_to_b, "b_to_a": self.b_to_a, "real_a": self.real_a, "real_b": self.real_b}


@dataclass(frozen=True)
class Fakes:
    """Generated pictures (N, 3, S, S) in [-1, 1], with gradient."""

    a: torch.Tensor
    b: torch.Tensor


def generator_losses(
    networks: Networks,
    real_a: torch.Tensor,
    real_b: torch.Tensor,
    options: TranslateOptions,
    augment: Augment,
    disturb: Augment,
) -> tuple[dict[str, torch.Tensor], Fakes]:
    """Everything the generators are to make small, by name and already weighted, and the pictures they made.

    A generator's picture of its own target (identity) is made in one pass with its translation: instance
    normalization keeps the pictures of a batch apart.

    Args:
        augment: before the discriminators.
        disturb: before the way back.
    """
    count = len(real_a)
    if options.identity > 0:
        fake_b, same_b = networks.a_to_b(torch.cat([real_a, real_b])).split([count, len(real_b)])
        fake_a, same_a = networks.b_to_a(torch.cat([real_b, real_a])).split([len(real_b), count])
    else:
        fake_b, fake_a = networks.a_to_b(real_a), networks.b_to_a(real_b)
    losses = {
        "fool_a": adversarial(networks.real_a(augment(fake_a)), options.loss, real=True),
        "fool_b": adversarial(networks.real_b(augment(fake_b)), options.loss, real=True),
        "cycle_a": options.cycle * F.l1_loss(networks.b_to_a(disturb(fake_b)).float(), real_a),
        "cycle_b": options.cycle * F.l1_loss(networks.a_to_b(disturb(fake_a)).float(), real_b),
    }
    if options.identity > 0:
        weight = options.identity * options.cycle
        losses["identity_a"] = weight * F.l1_loss(same_a.float(), real_a)
        losses["identity_b"] = weight * F.l1_loss(same_b.float(), real_b)
    if options.color > 0:
        losses["color_a"] = options.color * color_error(fake_a, real_b)
        losses["color_b"] = options.color * color_error(fake_b, real_a)
    return losses, Fakes(fake_a, fake_b)


def discriminator_loss(
    discriminator: nn.Module, real: torch.Tensor, fake: torch.Tensor, kind: str, augment: Augment
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The halved loss of one discriminator, and its scores of real and of generated pictures."""
    said_real, said_fake = discriminator(augment(real)), discriminator(augment(fake))
    loss = adversarial(said_real, kind, real=True) + adversarial(said_fake, kind, real=False)
    return loss / 2, said_real.detach(), said_fake.detach()
