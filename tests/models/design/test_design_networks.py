"""Networks of designers as published, the four presets, and the two stages."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.design.networks import Dcgan, DcganJudge, Plain, PlainJudge, Refiner, TwoStages, build_generator, channels
from models.design.options import PRESETS, DesignOptions, from_preset
from models.errors import DataError


def test_the_published_networks() -> None:
    assert channels(64, 64) == [512, 256, 128, 64]
    assert channels(128, 64) == [512, 512, 256, 128, 64]
    generator, judge = Dcgan(64, 64, 100, 0), DcganJudge(64, 64, 0)
    made = [layer for layer in generator.body if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in made] == [512, 256, 128, 64, 3]
    seen = [*(layer for layer in judge.body if isinstance(layer, nn.Conv2d)), judge.last]
    assert [layer.out_channels for layer in seen] == [64, 128, 256, 512, 1]
    for network in (generator, judge):
        assert not [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.MaxPool2d | nn.AvgPool2d)]


@pytest.mark.parametrize(("size", "attributes"), [(16, 0), (32, 3)])
@pytest.mark.parametrize("kind", ["dcgan", "plain"])
def test_noise_becomes_pictures_and_pictures_become_scores(kind: str, size: int, attributes: int) -> None:
    generator = Dcgan(size, 2, 5, attributes) if kind == "dcgan" else Plain(size, 5, attributes)
    judge = DcganJudge(size, 2, attributes) if kind == "dcgan" else PlainJudge(size, attributes)
    wanted = torch.eye(3)[:, :attributes]
    pictures = generator(torch.randn(3, 5), wanted)
    assert pictures.shape == (3, 3, size, size)
    assert float(pictures.detach().abs().max()) <= 1
    scores = judge(pictures, wanted)
    assert scores.shape == (3,)
    if attributes:
        assert not torch.equal(scores, judge(pictures, wanted.roll(1, 0)))
        assert not torch.equal(pictures, generator(torch.zeros(3, 5), wanted))


@pytest.mark.parametrize("times", [2, 4])
def test_a_second_stage_enlarges_what_the_first_draws_and_leaves_it_alone(times: int) -> None:
    torch.manual_seed(0)
    first = build_generator("dcgan", 16, 2, 5, 2)
    network = TwoStages(first, Refiner(16, 16 * times, 2, 2)).train()
    noise, wanted = torch.randn(4, 5), torch.tensor([[1.0, 0.0]] * 4)
    made = network(noise, wanted)
    assert made.shape == (4, 3, 16 * times, 16 * times)
    assert not torch.equal(made, network.refiner(network.small(noise, wanted), 1 - wanted))  # attributes matter
    before = {name: value.clone() for name, value in first.state_dict().items()}
    made.mean().backward()
    assert all(parameter.grad is None for parameter in first.parameters())
    assert all(parameter.grad is not None for parameter in network.refiner.parameters())
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())
    with pytest.raises(DataError, match="2 or 4 times"):
        Refiner(16, 128, 2, 2)


def test_presets_add_one_thing_after_another() -> None:
    exp1, exp2, exp3, exp4 = (from_preset(name) for name in PRESETS)
    assert (exp1.normalized, exp1.saturating, exp1.weight_decay) == (False, True, 0)
    assert (exp2.normalized, exp2.saturating, exp2.weight_decay) == (True, False, 1e-4)
    assert [one.real_target for one in (exp1, exp2, exp3, exp4)] == [1, 1, 0.9, 0.9]
    assert [one.freeze for one in (exp1, exp2, exp3, exp4)] == [0, 0, 0, 0.7]
    assert (exp1.lr, exp1.batch, exp1.noise, exp1.width) == (2e-4, 64, 100, 64)
    assert from_preset("exp4") == DesignOptions()
    assert from_preset("exp4", freeze=0.5, width=None).freeze == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 48}, "size is 48.*power of two"),
        ({"network": "vae"}, "no network 'vae'; there are dcgan"),
        ({"balance": "pray"}, "no balance 'pray'"),
        ({"average": 1.0}, "average is 1.0"),
        ({"real_target": 0.4}, "real_target is 0.4"),
        ({"batch": 1}, "batch is at least 2"),
        ({"lr": 0.0}, "lr is above 0"),
        ({"augment": ("blur",)}, "blur"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_preset("exp1", **changes)
    with pytest.raises(DataError, match="no preset 'exp5'"):
        from_preset("exp5")
