"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738): a discriminator sees few photos in many versions.

Real and generated pictures are changed alike before the discriminator sees them, in its own steps and in the
generator's, and gradients pass through. So it can't learn few photos by heart, and the generator is never asked to
make pictures that look augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from models.errors import DataError

SHIFT = 8
"""Pictures move by at most a SHIFT-th of their side."""


def color(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Another brightness (up to a quarter of the range), saturation (0 to 2 times) and contrast (0.5 to 1.5 times)."""
    brightness, saturation, contrast = _uniform((3, len(x), 1, 1, 1), generator, x)
    x = x + (brightness - 0.5)
    gray = x.mean(dim=1, keepdim=True)
    x = gray + (x - gray) * (2 * saturation)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + contrast)


def translation(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Moved by up to an eighth of the side in both directions; what comes in is gray (0)."""
    reach = max(1, x.shape[-1] // SHIFT)
    shifts = torch.randint(0, 2 * reach + 1, (len(x), 2), generator=generator).tolist()
    padded, (height, width) = F.pad(x, (reach, reach, reach, reach)), x.shape[-2:]
    moved = [one[:, top : top + height, left : left + width] for one, (top, left) in zip(padded, shifts, strict=True)]
    return torch.stack(moved)


def cutout(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A square of half the side, anywhere and partly outside, is gray (0)."""
    side = x.shape[-1]
    centers = torch.randint(0, side, (len(x), 2), generator=generator).to(x.device)
    far = (torch.arange(side, device=x.device) - centers[..., None]).abs() >= side // 4  # (N, 2, side)
    return x * (far[:, 0, :, None] | far[:, 1, None, :])[:, None]


KINDS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}
"""The three kinds by name; the paper uses all of them."""


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """The names of augmentations, if they are known.

    Raises:
        DataError: one is not.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise DataError(f"there is no differentiable augmentation {unknown[0]!r}; there are {', '.join(KINDS)}")
    return tuple(kinds)


def augmented(x: torch.Tensor, kinds: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    """Square pictures (N, 3, S, S) in [-1, 1], each changed in its own way; gradients pass.

    Args:
        kinds: names of `KINDS`, applied in this order; none leaves the pictures as they are.
        generator: on the CPU, wherever the pictures are, so that every device draws the same numbers.
    """
    for kind in kinds:
        x = KINDS[kind](x, generator)
    return x


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    return torch.rand(shape, generator=generator).to(like.device, like.dtype)
