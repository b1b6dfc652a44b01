"""A translator that nobody trained, as a card with weights: it draws something, and the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models.cards import Card, write_card
from models.translation.networks import build_generator
from models.translation.pictures import preprocessing
from models.translation.translator import ROLE


def write_tiny_translator(
    folder: Path, source: str = "dress", target: str = "shoe", labels: Sequence[str] = ("Shoes",), seed: int = 3
) -> Path:
    """Write `<source>_to_<target>.toml` and its weights into `folder`; returns the card's path.

    Args:
        labels: of the type head, that the card says mean the target.
        seed: of the weights.
    """
    size, width = 32, 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_generator("ganilla", width)
    options = {"size": size, "width": width, "from": source, "to": target, "to_labels": list(labels)}
    card = Card(
        ROLE, f"{source}_to_{target}", "ganilla", "", preprocessing=preprocessing(size), seed=seed, options=options
    )
    return write_card(card, {name: value.half() for name, value in network.state_dict().items()}, folder)
