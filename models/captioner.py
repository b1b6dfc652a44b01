"""The captioner: a decoder with its card and vocabulary, features in, sentences out."""

from __future__ import annotations

from pathlib import Path

import torch

from models.caption_decoders import DECODERS, Decoder, Shape, architecture
from models.caption_search import Decoding, write_captions
from models.caption_words import SPECIAL, Vocabulary
from models.cards import Card
from models.errors import CardError
from models.weights import load_tensors, random_seed

DECODING = ("mode", "beam", "max_words", "min_words", "length_power", "temperature", "seed")
"""Options of a card that say how it writes where the caller does not."""


class LoadedCaptioner:
    """A captioner with its card: features in, sentences out."""

    def __init__(self, card: Card, module: Decoder) -> None:
        self.card = card
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.vocabulary = Vocabulary(card.labels)
        self.extra_inputs = tuple(module.extra_inputs)
        self.decoding = Decoding(**{name: card.options[name] for name in DECODING if name in card.options})

    def captions(self, inputs: torch.Tensor, how: Decoding | None = None) -> list[tuple[str, float]]:
        """One (sentence, score) a row.

        Args:
            inputs: (N, dim) float32, the feature and after it the extra inputs, as `join_inputs` puts them together.
            how: default: as the card says.
        """
        return [
            (self.vocabulary.decode(numbers), score)
            for numbers, score in write_captions(self.module, inputs, how or self.decoding)
        ]


def load_captioner(card: Card, folder: Path, device: str, dim: int) -> LoadedCaptioner:
    """Load a captioner that reads features of length `dim`, and the extra inputs its card names.

    Raises:
        CardError: weights missing or altered, or made for another backbone or vocabulary.
    """
    decoder = DECODERS[architecture(card)]
    if card.labels[: len(SPECIAL)] != SPECIAL:
        raise CardError(f"the labels of card {card.name!r} are its vocabulary and start with {SPECIAL}")
    extra = {name: int(length) for name, length in dict(card.options.get("extra_inputs", {})).items()}
    seed = random_seed(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        module = decoder(dim + sum(extra.values()), len(card.labels), Shape.read(card.options), extra)
    if seed is None:
        tensors = {name: tensor.float() for name, tensor in load_tensors(card, folder).items()}
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            raise CardError(f"captioner {card.name!r} does not fit a backbone of {dim} numbers: {error}") from None
    return LoadedCaptioner(card, module.to(device))
