"""A finished designer: a model card with its weights; a seed and attributes in, pictures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.cards import Card, read_card, write_card
from models.design.networks import Refiner, TwoStages, build_generator
from models.design.options import DesignOptions
from models.design.pictures import Attributes, DesignPictures, preprocessing
from models.devices import Placement
from models.errors import CardError, DataError
from models.weights import load_tensors

ROLE = "designer"
SETTLING = 8
"""Batches after which the statistics of batch normalization are taken as known."""


def to_bytes(pictures: torch.Tensor, *, normalized: bool) -> torch.Tensor:
    """Generated pictures as uint8: from [-1, 1], or from [0, 1] where real ones were not normalized."""
    pictures = pictures.float()
    return ((pictures + 1) * 127.5 if normalized else pictures * 255).round().clamp(0, 255).to(torch.uint8)


class Designer:
    """Draws pictures.

    In evaluation mode batch normalization keeps pictures apart: what a seed draws does not depend on the batch.

    Args:
        card: role `designer`.
        network: (N, noise) and (N, K) to (N, 3, S, S).
        batch: pictures a forward pass; missing ones are padding.
    """

    def __init__(self, card: Card, network: nn.Module, placement: Placement, batch: int) -> None:
        self.card, self.placement, self.batch = card, placement, batch
        self.size, self.noise = int(card.options["size"]), int(card.options["noise"])
        self.attributes = Attributes({head: tuple(labels) for head, labels in card.options["heads"].items()})
        self._normalized = bool(card.options["normalized"])
        self._network = network.to(placement.device).eval().requires_grad_(requires_grad=False)

    def draws(self, count: int, seed: int) -> np.ndarray:
        """Noise, float32 (count, noise): the first rows of a seed are the same whatever the count."""
        return np.random.default_rng(seed).standard_normal((count, self.noise)).astype(np.float32)

    def usual(self, count: int, seed: int) -> np.ndarray:
        """Attributes as often as the training pictures had them, float32 (count, K)."""
        combinations = self.card.options["combinations"]
        shares = np.array([combination["count"] for combination in combinations], np.float64)
        chosen = np.random.default_rng([seed, 1]).choice(len(shares), count, p=shares / shares.sum())
        made = np.zeros((count, len(self.attributes)), np.float32)
        for row, number in enumerate(chosen):
            made[row, combinations[number]["places"]] = 1
        return made

    @torch.inference_mode()
    def __call__(self, noise: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """Draw pictures.

        Args:
            noise: float32 (N, noise), see `draws`.
            attributes: float32 (N, K), see `usual` and `Attributes.vector`.

        Returns:
            uint8 (N, 3, S, S), RGB.

        Raises:
            DataError: other shapes.
        """
        if noise.shape[1:] != (self.noise,) or attributes.shape != (len(noise), len(self.attributes)):
            raise DataError(
                f"noise is (N, {self.noise}) and attributes are (N, {len(self.attributes)}), "
                f"not {noise.shape} and {attributes.shape}"
            )
        out = np.empty((len(noise), 3, self.size, self.size), np.uint8)
        for begin in range(0, len(noise), self.batch):
            count = min(self.batch, len(noise) - begin)
            inputs = []
            for whole in (noise, attributes):
                filled = np.zeros((self.batch, whole.shape[1]), np.float32)
                filled[:count] = whole[begin : begin + count]
                inputs.append(torch.from_numpy(filled).to(self.placement.device))
            with torch.autocast(self.placement.device, torch.bfloat16, enabled=self.placement.precision == "bf16"):
                made = self._network(*inputs)
            out[begin : begin + count] = to_bytes(made, normalized=self._normalized).cpu().numpy()[:count]
        return out

    def sample(self, count: int, seed: int = 0, said: Mapping[str, str] | None = None) -> np.ndarray:
        """Pictures uint8 (count, 3, S, S): with the attributes in `said`, or as usual where it names none.

        Raises:
            DataError: an attribute is unknown.
        """
        wanted = np.tile(self.attributes.vector(said), (count, 1)) if said else self.usual(count, seed)
        return self(self.draws(count, seed), wanted)

    def interpolate(self, rows: int, steps: int, seed: int = 0, said: Mapping[str, str] | None = None) -> np.ndarray:
        """Ways from one picture to another along great circles: uint8 (rows, steps, 3, S, S)."""
        ends = self.draws(2 * rows, seed).reshape(rows, 2, self.noise)
        ways = np.stack([great_circle(begin, end, steps) for begin, end in ends]).reshape(rows * steps, self.noise)
        one = np.tile(self.attributes.vector(said), (rows, 1)) if said else self.usual(rows, seed)
        made = self(ways, np.repeat(one, steps, axis=0))
        return made.reshape(rows, steps, *made.shape[1:])


def great_circle(begin: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Points from one vector (D,) to another at equal angles, float32 (steps, D), both ends included.

    Noise from a normal distribution lies near a sphere; the straight line between two draws leads through its middle,
    where no generator was ever trained (White 2016, arXiv 1609.04468).
    """
    shares = np.linspace(0, 1, steps, dtype=np.float64)[:, None]
    cosine = begin @ end / (np.linalg.norm(begin) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if angle < 1e-6:
        return ((1 - shares) * begin + shares * end).astype(np.float32)
    parts = np.sin((1 - shares) * angle) * begin + np.sin(shares * angle) * end
    return (parts / np.sin(angle)).astype(np.float32)


@torch.no_grad()
def settle(network: nn.Module, noise: int, vectors: np.ndarray, placement: Placement, batch: int) -> None:
    """Measure anew what batch normalization divides by: averaged weights never saw the statistics they were copied.

    Args:
        network: changed in place and left in evaluation mode.
        vectors: attributes of the training pictures, float32 (N, K).
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if isinstance(network, TwoStages):
        norms = [module for module in network.refiner.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [module.momentum for module in norms]
    network.train()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # the plain mean of all batches
    rng = np.random.default_rng(0)
    for _ in range(SETTLING if norms else 0):
        drawn = rng.standard_normal((batch, noise)).astype(np.float32)
        chosen = vectors[rng.integers(0, len(vectors), batch)]
        network(torch.from_numpy(drawn).to(placement.device), torch.from_numpy(chosen).to(placement.device))
    for module, momentum in zip(norms, before, strict=True):
        module.momentum = momentum
    network.eval()


def load_designer(card: Card, folder: Path, placement: Placement, batch: int = 32) -> Designer:
    """Load a designer that a card describes.

    Raises:
        CardError: the card is of another role, or its weights are missing, altered or of another network.
    """
    if card.role != ROLE:
        raise CardError(f"the card {card.name!r} is a {card.role}, not a {ROLE}")
    needed = {"size", "width", "noise", "heads", "normalized", "combinations"}
    if missing := sorted(needed - set(card.options)):
        raise CardError(f"[options] of the card {card.name!r} lacks {missing}")
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in load_tensors(card, folder).items()
    }
    try:
        with torch.random.fork_rng(devices=[]):
            network = _network_of(card)
        network.load_state_dict(tensors)
    except (DataError, RuntimeError, KeyError) as error:
        raise CardError(f"the card {card.name!r} does not fit its weights: {error}") from None
    return Designer(card, network, placement, batch)


def _network_of(card: Card) -> nn.Module:
    options = card.options
    count = sum(len(labels) for labels in options["heads"].values())
    if card.architecture != "refine":
        return build_generator(card.architecture, options["size"], options["width"], options["noise"], count)
    first = options["first"]
    small = build_generator(first["network"], first["size"], first["width"], options["noise"], count)
    return TwoStages(small, Refiner(first["size"], options["size"], options["width"], count))


def read_designer(path: Path, placement: Placement, batch: int = 32) -> Designer:
    """Load the designer of a card file."""
    return load_designer(read_card(path), path.parent, placement, batch)


def first_stage(path: Path) -> tuple[nn.Module, Card]:
    """The generator of a card, to be refined by a second stage.

    Raises:
        CardError: see `load_designer`; or it is a second stage itself, or draws pictures in [0, 1].
    """
    card = read_card(path)
    network = load_designer(card, path.parent, Placement("cpu", "fp32"))._network
    if card.architecture == "refine" or not card.options["normalized"]:
        raise CardError(f"the card {path} can't be a first stage: that is one stage, trained on pictures in [-1, 1]")
    return network, card


@dataclass(frozen=True)
class Words:
    """What a card says for people: name, licence of the weights, what the data are, the command that makes it again."""

    name: str = "designer"
    licence: str = ""
    data: str = ""
    command: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def write_design_card(
    network: nn.Module,
    pictures: DesignPictures,
    options: DesignOptions,
    epoch: int,
    folder: Path,
    words: Words,
    first: Card | None = None,
) -> Path:
    """Write the card of a generator with weights in float16; returns its path."""
    combinations: Sequence[tuple[list[int], int]] = pictures.combinations()
    card = Card(
        ROLE,
        words.name,
        options.network,
        "",
        labels=pictures.attributes.names,
        preprocessing=preprocessing(options.size),
        licence=words.licence,
        data=words.data,
        split="trained on all pictures; figures compare with these same pictures",
        seed=options.seed,
        command=words.command,
        figures=words.figures,
        options={
            "size": options.size,
            "width": options.width,
            "noise": options.noise,
            "normalized": options.normalized,
            "heads": {head: list(labels) for head, labels in pictures.attributes.heads.items()},
            "combinations": [{"places": places, "count": count} for places, count in combinations],
            "epoch": epoch,
            "training": options.as_dict(),
            **({"first": _stage(first)} if first else {}),
        },
    )
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    return write_card(card, tensors, folder)


def _stage(first: Card) -> dict[str, Any]:
    return {
        "name": first.name,
        "network": first.architecture,
        "size": first.options["size"],
        "width": first.options["width"],
        "sha256": first.sha256,
    }
