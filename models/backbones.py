"""Backbones: pixels in, one pooled feature (and, for the detector, a pyramid of maps) out.

stages[0]  stride 8     stages[1]  stride 16     stages[2]  stride 32     neck (channels only)     global mean
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models import efficientnet
from models.cards import Card
from models.devices import Placement
from models.errors import CardError
from models.weights import load_tensors, random_seed


class Backbone(nn.Module):
    """Three stages and a neck.

    Args:
        stages: modules that take the normalized image to strides 8, 16 and 32, one after the other.
        neck: what follows before pooling; keeps height and width.
        channels: channels of the three maps.
        dim: length of the feature.
    """

    def __init__(self, stages: list[nn.Module], neck: nn.Module, channels: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.neck = neck
        self.channels = channels
        self.dim = dim

    def pyramid(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Maps at strides 8, 16 and 32: (N, 3, S, S) normalized to [(N, c, S/8, S/8), (.., S/16), (.., S/32)]."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The feature: (N, 3, S, S) normalized to (N, dim), not normalized to length 1."""
        for stage in self.stages:
            x = stage(x)
        return self.neck(x).float().mean(dim=(2, 3))  # the mean in fp32: bf16 has too few digits to sum 49 numbers


@dataclass(frozen=True)
class Architecture:
    """How to build a backbone with random weights, and where tensors of a downloaded file belong in it."""

    build: Callable[[], Backbone]
    rename: Callable[[str], str | None]


def _efficientnet_lite0() -> Backbone:
    ends = efficientnet.STRIDE_ENDS
    all_blocks = efficientnet.blocks()
    stages: list[nn.Module] = [
        nn.Sequential(efficientnet.Stem(), *all_blocks[: ends[0]]),
        nn.Sequential(*all_blocks[ends[0] : ends[1]]),
        nn.Sequential(*all_blocks[ends[1] :]),
    ]
    return Backbone(stages, efficientnet.Neck(), (40, 112, 320), efficientnet.HEAD_CHANNELS)


def _resnet50() -> Backbone:
    from torchvision.models import resnet50

    net = resnet50(weights=None)
    first = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
    return Backbone([first, net.layer3, net.layer4], nn.Identity(), (512, 1024, 2048), 2048)


def _resnet50_name(name: str) -> str | None:
    first = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5"}
    head, _, rest = name.partition(".")
    if head in first:
        return f"stages.0.{first[head]}.{rest}"
    return {"layer3": f"stages.1.{rest}", "layer4": f"stages.2.{rest}"}.get(head)


def _mobilenet_v3_large() -> Backbone:
    from torchvision.models import mobilenet_v3_large

    layers = mobilenet_v3_large(weights=None).features
    stages: list[nn.Module] = [nn.Sequential(*layers[a:b]) for a, b in ((0, 7), (7, 13), (13, 16))]
    return Backbone(stages, layers[16], (40, 112, 160), 960)


def _mobilenet_v3_large_name(name: str) -> str | None:
    if not name.startswith("features."):
        return None
    _, number, rest = name.split(".", 2)
    layer = int(number)
    if layer == 16:
        return f"neck.{rest}"
    stage, first = (0, 0) if layer < 7 else (1, 7) if layer < 13 else (2, 13)
    return f"stages.{stage}.{layer - first}.{rest}"


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet_lite0": Architecture(_efficientnet_lite0, efficientnet.package_name),
    "resnet50": Architecture(_resnet50, _resnet50_name),
    "mobilenet_v3_large": Architecture(_mobilenet_v3_large, _mobilenet_v3_large_name),
}


def build_backbone(card: Card, folder: Path) -> Backbone:
    """The backbone a card describes, fp32 on the CPU, in eval mode, not fused: ready for training or `optimized`.

    Raises:
        CardError: unknown architecture, missing or altered weights, or tensors that do not fit.
    """
    if card.architecture not in ARCHITECTURES:
        raise CardError(f"unknown backbone {card.architecture!r}; there are {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[card.architecture]
    seed = random_seed(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        backbone = architecture.build()
    if seed is None:
        _fill(backbone, load_tensors(card, folder), architecture.rename, card)
    return backbone.eval()


def _fill(
    backbone: Backbone, tensors: dict[str, torch.Tensor], rename: Callable[[str], str | None], card: Card
) -> None:
    """Copy the tensors in; those of our own files carry our names already, those of downloads are renamed."""
    wanted = set(backbone.state_dict())
    named = {name if name in wanted else rename(name): tensor for name, tensor in tensors.items()}
    kept = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in named.items() if name}
    try:
        missing = backbone.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        raise CardError(f"the weights of card {card.name!r} do not fit {card.architecture}: {error}") from None
    absent = [name for name in missing.missing_keys if not name.endswith("num_batches_tracked")]
    if absent or missing.unexpected_keys:
        raise CardError(
            f"the weights of card {card.name!r} do not fit {card.architecture}: "
            f"missing {absent[:3]}, unexpected {list(missing.unexpected_keys)[:3]}"
        )


def optimized(module: nn.Module, placement: Placement) -> nn.Module:
    """The same network for inference only: batch norms folded into convolutions, channels-last, cast and placed.

    The module is changed in place and returned; every parameter is frozen.
    """
    module.eval()
    fuse_norms(module)
    module.requires_grad_(requires_grad=False)
    return module.to(device=placement.device, dtype=placement.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


def fuse_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution registered just before it (eval mode), in place, at every depth."""
    children = list(module.named_children())
    for (name, child), (next_name, following) in itertools.pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, following))
            setattr(module, next_name, nn.Identity())
    for _, child in module.named_children():
        fuse_norms(child)
