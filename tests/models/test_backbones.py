"""Backbones: the right numbers from the package's weights, shapes of the pyramid, folding of batch norms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.backbones import ARCHITECTURES, build_backbone, optimized
from models.cards import Card, read_card, write_card
from models.devices import Placement
from models.errors import CardError
from models.release_cards import STARTER
from models.weights import weights_path

LITE = read_card(STARTER / "cards" / "efficientnet_lite0.toml")


def random_card(architecture: str) -> Card:
    return Card("backbone", architecture, architecture, "random:7")


def images(n: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [64, 75])
def test_lite0_is_the_network_of_the_package(size: int) -> None:
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    reference = reference_package.EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(torch.load(weights_path(LITE, STARTER), weights_only=True))
    reference.eval()
    from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding

    for module in reference.modules():  # its padding is computed for 224 pixels: have it computed for any size
        if isinstance(module, Conv2dStaticSamePadding):
            module.static_padding = SamePadding(module)
    with torch.no_grad():
        wanted = reference.extract_features(images(size=size)).mean(dim=(2, 3))
        torch.testing.assert_close(build_backbone(LITE, STARTER)(images(size=size)), wanted)


class SamePadding(torch.nn.Module):
    """TensorFlow's "SAME", written down a second time for the reference."""

    def __init__(self, conv: torch.nn.Conv2d) -> None:
        super().__init__()
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import math

        totals = [max((math.ceil(n / self.stride) - 1) * self.stride + self.kernel - n, 0) for n in x.shape[-2:]]
        down, across = totals
        return torch.nn.functional.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_shapes_and_determinism(architecture: str) -> None:
    net = build_backbone(random_card(architecture), Path())
    with torch.no_grad():
        maps = net.pyramid(images())
        feature = net(images())
    assert [tuple(m.shape) for m in maps] == [(2, c, s, s) for c, s in zip(net.channels, (8, 4, 2), strict=True)]
    assert feature.shape == (2, net.dim)
    again = build_backbone(random_card(architecture), Path())
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_folding_changes_nothing_that_can_be_seen(architecture: str) -> None:
    net = build_backbone(random_card(architecture), Path())
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():  # statistics that are not those of a fresh network
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    with torch.no_grad():
        before = net(images())
        after = optimized(net, Placement("cpu", "fp32"))(images())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())


def test_torchvision_weights_fit_by_name(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v3_large, resnet50

    for name, make in (("resnet50", resnet50), ("mobilenet_v3_large", mobilenet_v3_large)):
        source = make(weights=None).eval()
        path = write_card(Card("backbone", name, name, ""), source.state_dict(), tmp_path)
        net = build_backbone(read_card(path), tmp_path)
        with torch.no_grad():
            if name == "resnet50":
                source.fc = torch.nn.Identity()
                wanted = source(images())
            else:
                wanted = source.features(images()).mean(dim=(2, 3))
            torch.testing.assert_close(net(images()), wanted)


def test_our_own_files_load_too(tmp_path: Path) -> None:
    net = build_backbone(random_card("efficientnet_lite0"), tmp_path)
    path = write_card(Card("backbone", "mine", "efficientnet_lite0", ""), net.state_dict(), tmp_path)
    loaded = build_backbone(read_card(path), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_wrong_weights_and_unknown_architecture(tmp_path: Path) -> None:
    path = write_card(Card("backbone", "x", "resnet50", ""), {"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path)
    with pytest.raises(CardError, match="do not fit"):
        build_backbone(read_card(path), tmp_path)
    with pytest.raises(CardError, match="unknown backbone"):
        build_backbone(replace(LITE, architecture="vgg"), tmp_path)
