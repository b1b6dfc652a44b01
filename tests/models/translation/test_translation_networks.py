"""Networks as published: their sizes, their numbers of parameters, what each generator can see."""

from __future__ import annotations

import pytest
import torch

from models.errors import DataError
from models.translation.discriminator import build_discriminator
from models.translation.networks import GENERATORS, build_generator, check_size, parameter_count
from models.translation.options import TranslateOptions
from models.translation.pictures import load_size

PUBLISHED = {"ganilla": 7_228_419, "resnet_9blocks": 11_378_179}


@pytest.mark.parametrize("name", PUBLISHED)
def test_generators_have_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        assert parameter_count(build_generator(name)) == PUBLISHED[name]


def test_the_discriminator_is_the_published_one() -> None:
    discriminator = build_discriminator()
    assert parameter_count(discriminator) == 2_764_737
    x = torch.zeros(1, 3, 142, 142, requires_grad=True)
    scores = build_discriminator(2)(x)
    assert scores.shape == (1, 1, 15, 15)
    # normalization lets every pixel of a map matter a little, so the field of view is that of the convolutions
    kernels = [module for module in discriminator.body if isinstance(module, torch.nn.Conv2d)]
    seen = 1
    for convolution in reversed(kernels):
        seen = (seen - 1) * convolution.stride[0] + convolution.kernel_size[0]
    assert seen == 70


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators_keep_size_and_range(name: str, size: int) -> None:
    torch.manual_seed(0)
    made = build_generator(name, 4).eval()(torch.rand(2, 3, size, size) * 2 - 1)
    assert made.shape == (2, 3, size, size)
    assert float(made.detach().abs().max()) <= 1
    assert float(made.detach().std()) > 0


@pytest.mark.parametrize("name", GENERATORS)
def test_first_weights_are_small_and_normal(name: str) -> None:
    torch.manual_seed(1)
    generator = build_generator(name, 16)
    weights = torch.cat([p.detach().flatten() for n, p in generator.named_parameters() if n.endswith("weight")])
    assert abs(float(weights.mean())) < 1e-3
    assert abs(float(weights.std()) - 0.02) < 1e-3
    assert all(float(p.detach().abs().max()) == 0 for n, p in generator.named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize(("name", "skips"), [("ganilla", True), ("ganilla_no_skip", False), ("ganilla_deconv", False)])
def test_only_ganilla_lets_shallow_maps_reach_the_output(name: str, skips: bool) -> None:
    """The first layer's map, changed on its way up only, changes the output of a generator with skip connections."""
    torch.manual_seed(0)
    generator = build_generator(name, 4)
    maps = []
    for layer in generator.layers:
        layer.register_forward_hook(lambda *call: maps.append(call[2]))
    generator(torch.rand(1, 3, 32, 32))
    with torch.no_grad():
        as_is = generator.way_up(*maps)
        changed = generator.way_up(torch.zeros_like(maps[0]), *maps[1:])
    assert bool((as_is != changed).any()) == skips


@pytest.mark.parametrize("name", GENERATORS)
def test_checkpointing_changes_no_gradient(name: str) -> None:
    torch.manual_seed(0)
    generator, x = build_generator(name, 4), torch.rand(1, 3, 32, 32)
    gradients = []
    for checkpointing in (False, True):
        generator.checkpointing = checkpointing
        generator.zero_grad()
        generator(x).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in generator.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("size", [0, 16, 100, 130])
def test_a_wrong_size_is_refused_by_name(size: int) -> None:
    with pytest.raises(DataError, match=r"size is .*multiple of 16"):
        check_size(size)
    with pytest.raises(DataError, match="size is"):
        TranslateOptions(size=size)


def test_the_published_sizes() -> None:
    assert load_size(256) == 286
    assert load_size(128) == 143


def test_unknown_names_and_widths_are_refused() -> None:
    with pytest.raises(DataError, match="no generator 'unet'; there are ganilla"):
        build_generator("unet")
    with pytest.raises(DataError, match="width is 3"):
        build_generator("ganilla", 3)
