"""A finished translator: a model card with its weights, and pictures in, pictures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.cards import Card, read_card, write_card
from models.devices import Placement
from models.errors import CardError, DataError
from models.preprocessing import Preprocessing
from models.translation.networks import build_generator, check_size
from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair, preprocessing
from models.weights import load_tensors

ROLE = "translator"


class Translator:
    """One direction of a translation.

    Every forward pass has the same number of pictures (missing ones are padding) and instance normalization keeps the
    pictures of a batch apart, so what comes out for one does not depend, to the last bit, on which others come with it.

    Args:
        card: its name is `<from>_to_<to>`; `back` names the card of the other direction, in the same folder.
        network: pictures (N, 3, S, S) in [-1, 1] to the same.
        batch: pictures a forward pass.
    """

    def __init__(self, card: Card, network: nn.Module, placement: Placement, batch: int) -> None:
        self.card, self.placement, self.batch = card, placement, batch
        self.preprocessing: Preprocessing = card.preprocessing or preprocessing(int(card.options["size"]))
        self.size = self.preprocessing.size
        self.source, self.target = str(card.options["from"]), str(card.options["to"])
        self._network = network.to(placement.device).eval().requires_grad_(requires_grad=False)

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Translate pictures.

        Args:
            pictures: uint8 (N, 3, S, S), RGB, as `preprocessing.resize_image` makes them.

        Returns:
            uint8 (N, 3, S, S).

        Raises:
            DataError: another shape or type.
        """
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (3, self.size, self.size):
            raise DataError(
                f"pictures are uint8 (N, 3, {self.size}, {self.size}), not {pictures.dtype} {pictures.shape}"
            )
        out = np.empty_like(pictures)
        for begin in range(0, len(pictures), self.batch):
            piece = pictures[begin : begin + self.batch]
            filled = np.zeros((self.batch, *piece.shape[1:]), np.uint8)
            filled[: len(piece)] = piece
            out[begin : begin + len(piece)] = self._pass(torch.from_numpy(filled))[: len(piece)]
        return out

    def _pass(self, pixels: torch.Tensor) -> np.ndarray:
        x = pixels.to(self.placement.device).float() / 127.5 - 1
        with torch.autocast(self.placement.device, torch.bfloat16, enabled=self.placement.precision == "bf16"):
            made = self._network(x)
        return to_bytes(made).cpu().numpy()


def to_bytes(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures in [-1, 1] as uint8, on the same device."""
    return ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def load_translator(card: Card, folder: Path, placement: Placement, batch: int = 8) -> Translator:
    """Load a translator that a card describes.

    Args:
        folder: where the card lies.
        placement: device and precision.
        batch: pictures a forward pass.

    Raises:
        CardError: the card is of another role, or its weights are missing, altered or of another network.
    """
    if card.role != ROLE:
        raise CardError(f"the card {card.name!r} is a {card.role}, not a {ROLE}")
    if missing := sorted({"size", "width", "from", "to"} - set(card.options)):
        raise CardError(f"[options] of the card {card.name!r} lacks {missing}")
    tensors = {name: tensor.float() for name, tensor in load_tensors(card, folder).items()}
    try:
        check_size(int(card.options["size"]))
        with torch.random.fork_rng(devices=[]):
            network = build_generator(card.architecture, int(card.options["width"]))
        network.load_state_dict(tensors)
    except (DataError, RuntimeError) as error:
        raise CardError(f"the card {card.name!r} does not fit its weights: {error}") from None
    return Translator(card, network, placement, batch)


def load_both(path: Path, placement: Placement, batch: int = 8) -> tuple[Translator, Translator]:
    """The translator of the card `path` and the one that leads back.

    Raises:
        CardError: see `load_translator`; or the card names no way back.
    """
    card = read_card(path)
    there = load_translator(card, path.parent, placement, batch)
    if "back" not in card.options:
        raise CardError(f"the card {path} names no translator that leads back (options.back)")
    other = path.parent / f"{card.options['back']}.toml"
    return there, load_translator(read_card(other), other.parent, placement, batch)


@dataclass(frozen=True)
class Words:
    """What a card says for people: licence of the weights, what the data are, the command that makes it again."""

    licence: str = ""
    data: str = ""
    split: str = ""
    command: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def write_cards(
    generators: tuple[nn.Module, nn.Module],
    pictures: PicturePair,
    options: TranslateOptions,
    epoch: int,
    folder: Path,
    words: Words,
) -> tuple[Path, Path]:
    """Write the cards of both directions with weights in float16; returns their paths, A to B first."""
    names = {"a": pictures.a.name, "b": pictures.b.name}
    made = []
    for network, source, target in ((generators[0], "a", "b"), (generators[1], "b", "a")):
        card = Card(
            ROLE,
            f"{names[source]}_to_{names[target]}",
            options.generator,
            "",
            preprocessing=preprocessing(options.size),
            licence=words.licence,
            data=words.data,
            split=words.split or pictures.split,
            seed=options.seed,
            command=words.command,
            figures=words.figures,
            options={
                "size": options.size,
                "width": options.width,
                "from": names[source],
                "to": names[target],
                "side": source,
                "back": f"{names[target]}_to_{names[source]}",
                "from_labels": list(pictures.side(source).labels),
                "to_labels": list(pictures.side(target).labels),
                "epoch": epoch,
                "training": options.as_dict(),
            },
        )
        made.append(write_card(card, {key: value.half() for key, value in network.state_dict().items()}, folder))
    return made[0], made[1]
