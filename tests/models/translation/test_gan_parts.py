"""The parts adversarial trainings share: averages, augmentation, balance, pool, losses, schedule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.errors import DataError
from models.gan.average import AveragedWeights
from models.gan.balance import Band, accuracy
from models.gan.diffaugment import KINDS, augmented, check_kinds
from models.translation.color import color_error, garment_color
from models.translation.losses import adversarial, discriminator_loss
from models.translation.options import TranslateOptions
from models.translation.pool import ImagePool


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_average_follows_the_weights_and_forgets_the_first_ones() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 100.0)
    average = AveragedWeights(network, 0.9)
    nn.init.constant_(network.weight, 1.0)
    values = []
    for _ in range(60):
        average.update(network)
        values.append(float(average.network.weight))
    assert values[0] < 20  # the first steps keep little
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(1.0, abs=0.1)
    other = AveragedWeights(network, 0.9)
    other.load_state_dict(average.state_dict())
    assert float(other.network.weight) == values[-1]
    assert other.steps == 60


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_is_differentiable_and_differs_by_picture(kind: str) -> None:
    x = torch.rand(1, 3, 32, 32).expand(4, 3, 32, 32).clone().requires_grad_()
    made = augmented(x, [kind], generator())
    assert made.shape == x.shape
    assert len({float(one.sum()) for one in made.detach()}) > 1
    made.sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert torch.equal(augmented(x, [kind], generator()), made)


def test_translation_and_cutout_only_move_and_hide() -> None:
    x = torch.ones(8, 3, 32, 32)
    moved = augmented(x, ["translation"], generator())
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert float(moved.mean()) > (28 / 32) ** 2 - 1e-6
    cut = augmented(x, ["cutout"], generator())
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    assert all(0 < float((one == 0).float().mean()) <= 0.25 for one in cut)
    assert augmented(x, [], generator()) is x


def test_unknown_augmentations_are_refused() -> None:
    with pytest.raises(DataError, match="no differentiable augmentation 'blur'"):
        check_kinds(["color", "blur"])


def test_balance_sees_both_directions() -> None:
    assert Band().verdict(0.99) == "discriminator_ahead"
    assert Band().verdict(0.5) == "discriminator_behind"
    assert Band().verdict(0.8) == "balanced"
    assert float(accuracy(torch.tensor([1.0, 0.4]), torch.tensor([0.0, 0.0]), 0.5)) == 0.75


def test_the_pool_fills_then_returns_old_pictures_half_of_the_time() -> None:
    pool, random = ImagePool(50), generator(3)
    numbers = torch.arange(2050.0).reshape(-1, 1, 1, 1)
    first = pool.exchange(numbers[:50], random)
    assert torch.equal(first, numbers[:50])
    returned = pool.exchange(numbers[50:], random)
    old = (returned != numbers[50:]).float().mean()
    assert 0.45 < float(old) < 0.55
    assert len(pool.pictures) == 50
    assert len(set(returned.flatten().tolist())) == 2000  # none is returned twice: an old one leaves the pool
    assert torch.equal(ImagePool(0).exchange(numbers, random), numbers)


@pytest.mark.parametrize(("kind", "right", "wrong"), [("lsgan", 1.0, 0.0), ("bce", 30.0, -30.0)])
def test_adversarial_losses_are_low_where_the_answer_is_right(kind: str, right: float, wrong: float) -> None:
    assert float(adversarial(torch.full((2, 1, 3, 3), right), kind, real=True)) < 1e-6
    assert float(adversarial(torch.full((2, 1, 3, 3), wrong), kind, real=False)) < 1e-6
    assert float(adversarial(torch.full((2, 1, 3, 3), wrong), kind, real=True)) >= 1


def test_the_discriminators_loss_is_halved() -> None:
    loss, _, _ = discriminator_loss(
        nn.Identity(), torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), "lsgan", lambda x: x
    )
    assert float(loss) == 1.0  # (1 + 1) / 2


def test_the_learning_rate_is_constant_and_then_falls_to_zero() -> None:
    options = TranslateOptions()
    assert options.rate(1) == options.rate(100) == 2e-4
    assert options.rate(101) == pytest.approx(2e-4 * 100 / 101)
    assert options.rate(200) == pytest.approx(2e-4 / 101)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": "unet"}, "no generator"),
        ({"loss": "hinge"}, "no loss 'hinge'"),
        ({"average": 1.0}, "average is 1.0"),
        ({"epochs": 0, "decay_epochs": 0}, "at least one"),
        ({"augment": ("blur",)}, "blur"),
        ({"color": -1.0}, "color"),
        ({"cycle_noise": -0.1}, "cycle_noise"),
        ({"balance": "ratio"}, "balance is report or skip"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        TranslateOptions(**changes)


def on_white(color: tuple[float, float, float], left: int) -> torch.Tensor:
    """A square garment of one color before a white wall: (1, 3, 32, 32)."""
    picture = torch.full((1, 3, 32, 32), 0.95)
    picture[0, :, 10:24, left : left + 12] = torch.tensor(color)[:, None, None]
    return picture


def test_a_garments_color_is_told_from_its_background() -> None:
    """Wherever it lies: the white of the wall, four fifths of the picture, changes the mean by less than a tenth."""
    red = torch.tensor([0.8, -0.7, -0.6])
    for left in (8, 14):
        assert torch.allclose(garment_color(on_white((0.8, -0.7, -0.6), left))[0], red, atol=0.1)
    assert float(color_error(on_white((0.8, -0.7, -0.6), 8), on_white((0.8, -0.7, -0.6), 14))) < 0.05
    assert float(color_error(on_white((0.8, -0.7, -0.6), 8), on_white((-0.8, -0.7, 0.6), 8))) > 0.5


def test_the_gradient_of_the_color_changes_the_garment_and_hardly_the_wall() -> None:
    fake = on_white((0.8, -0.7, -0.6), 10).requires_grad_()
    color_error(fake, on_white((-0.8, -0.7, 0.6), 10)).backward()
    assert fake.grad is not None
    strength = fake.grad.abs().sum(dim=1)[0]
    assert float(strength[10:24, 10:22].min()) > 10 * float(strength[:, :8].max())


def test_a_picture_of_one_color_has_that_color() -> None:
    assert torch.allclose(garment_color(torch.full((2, 3, 16, 16), 0.25)), torch.full((2, 3), 0.25), atol=1e-6)
