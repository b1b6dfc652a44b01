"""Decoders of captions: networks that say, word by word, how likely each next word is, given the photo's feature.

`gru`: Linear(D, 512) -> first hidden state; Embedding(n, 64) -> GRU(64, 512) -> Linear(512, n) (FashionBrain D2.5).
`transformer`: the feature becomes a few tokens that stand before the words (prefix attention, as in ClipCap, Mokady
et al. 2021); pre-norm blocks (Xiong et al. 2020), output tied to the embedding (Press and Wolf 2017).

Either can have, besides, a linear layer from the feature straight to the words' logits, the same at every place: what
the photo shows then need not pass through the sentence's state (after the word detectors of Fang et al. 2015).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from models.caption_words import PAD
from models.cards import Card
from models.errors import CardError

Architecture = Literal["gru", "transformer"]
State = tuple[torch.Tensor, ...]
"""What a decoder remembers of sentences begun: tensors with a row for each sentence."""
SIZES: Mapping[Architecture, tuple[str, ...]] = {
    "gru": ("hidden", "word_dim"),
    "transformer": ("width", "layers", "attention_heads", "prefix", "positions"),
}
"""Fields of `Shape` that only this architecture reads."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; a card keeps those that its architecture reads.

    Args:
        hidden: gru: length of the hidden state.
        word_dim: gru: length of a word's vector.
        width: transformer: length of all its vectors; a multiple of `attention_heads`.
        layers: transformer: blocks.
        attention_heads: transformer: attention heads a block.
        prefix: transformer: tokens that the feature becomes.
        positions: transformer: words a sentence can have at the most.
        direct: 1: the feature also speaks for words directly; 0: as FashionBrain D2.5 has it.
    """

    hidden: int = 512
    word_dim: int = 64
    width: int = 192
    layers: int = 2
    attention_heads: int = 4
    prefix: int = 4
    positions: int = 64
    direct: int = 0

    def of(self, architecture: str) -> dict[str, int]:
        """The sizes that this architecture reads, for its card."""
        others = set().union(*(names for name, names in SIZES.items() if name != architecture))
        return {name: value for name, value in asdict(self).items() if name not in others}

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Shape:
        """The sizes in a card's options; those not there are the defaults."""
        return cls(**{name: int(options[name]) for name in asdict(cls()) if name in options})


class Decoder(nn.Module, ABC):
    """What search and training need of a decoder. `mean` and `std` standardize the input.

    `longest` is the number of words that it can write.

    Args:
        dim: length of the input: the feature and, after it, the extra inputs.
        words: size of the vocabulary.
        shape: its sizes; default: those of `Shape`.
        extra_inputs: names and lengths of inputs besides the feature, such as a measured color histogram; the caller
            hands them in, in this order.
    """

    mean: torch.Tensor
    std: torch.Tensor
    by_word: tuple[str, ...]
    """Tensors with a row for each word of the vocabulary."""

    def __init__(self, dim: int, words: int, shape: Shape, extra_inputs: Mapping[str, int] | None) -> None:
        super().__init__()
        self.words = words
        self.shape = shape
        self.longest = sys.maxsize
        self.extra_inputs = dict(extra_inputs or {})
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.direct = nn.Linear(dim, words, bias=False) if shape.direct else None
        if self.direct is not None:
            nn.init.normal_(self.direct.weight, std=0.001)
        self.input_dropout = nn.Dropout(0.0)
        self.dropout = nn.Dropout(0.0)

    def regularize(self, inputs: float, inside: float) -> None:
        """Set the shares dropped in training: of the standardized input, and inside the network."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Dropout):
                module.p = inputs if name == "input_dropout" else inside

    def standardized(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, dim) with mean 0 and spread 1 over the training rows; in training some numbers are dropped."""
        return self.input_dropout((inputs - self.mean) / self.std)

    def hints(self, x: torch.Tensor) -> torch.Tensor:
        """What the standardized input (N, dim) says for each word by itself: (N, n), or zeros (N, 1)."""
        return self.direct(x) if self.direct is not None else x.new_zeros(len(x), 1)

    @abstractmethod
    def forward(self, inputs: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Teacher forcing: logits (N, T, n) of the next word after each of `words` (N, T), for inputs (N, dim)."""

    @abstractmethod
    def begin(self, inputs: torch.Tensor) -> State:
        """The state before the first word: from (N, dim) to tensors of N rows."""

    @abstractmethod
    def step(self, words: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One word on: words (N,) to log probabilities (N, n) of the next one, and the next state."""


class GruDecoder(Decoder):
    """The recurrent decoder of FashionBrain D2.5."""

    by_word = ("embed.weight", "out.weight", "out.bias", "direct.weight")

    def __init__(
        self, dim: int, words: int, shape: Shape | None = None, extra_inputs: Mapping[str, int] | None = None
    ) -> None:
        shape = shape or Shape()
        super().__init__(dim, words, shape, extra_inputs)
        self.start = nn.Linear(dim, shape.hidden)
        self.embed = nn.Embedding(words, shape.word_dim, padding_idx=PAD)
        self.gru = nn.GRU(shape.word_dim, shape.hidden, batch_first=True)
        self.out = nn.Linear(shape.hidden, words)

    def forward(self, inputs: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        hints, first = self.begin(inputs)
        states, _ = self.gru(self.dropout(self.embed(words)), first[None])
        return self.out(self.dropout(states)) + hints[:, None]

    def begin(self, inputs: torch.Tensor) -> State:
        x = self.standardized(inputs)
        return self.hints(x), torch.tanh(self.start(x))

    def step(self, words: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        hints, before = state
        states, hidden = self.gru(self.embed(words[:, None]), before[None].contiguous())
        return F.log_softmax(self.out(states[:, 0]) + hints, dim=1), (hints, hidden[0])


class TransformerDecoder(Decoder):
    """The attending decoder: the words see the tokens made of the feature, and the words before them."""

    by_word = ("embed.weight", "out_bias", "direct.weight")

    def __init__(
        self, dim: int, words: int, shape: Shape | None = None, extra_inputs: Mapping[str, int] | None = None
    ) -> None:
        shape = shape or Shape()
        super().__init__(dim, words, shape, extra_inputs)
        self.longest = shape.positions
        self.start = nn.Linear(dim, shape.prefix * shape.width)
        self.embed = nn.Embedding(words, shape.width, padding_idx=PAD)
        self.position = nn.Embedding(shape.positions, shape.width)
        self.blocks = nn.ModuleList(_Block(shape.width, shape.attention_heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.out_bias = nn.Parameter(torch.zeros(words))
        # small, because the same matrix makes the logits; multiplied by the square root of the width as an input
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.position.weight, std=0.02)

    def forward(self, inputs: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        prefix, count = self.shape.prefix, self.shape.prefix + words.shape[1]
        mask = torch.ones(count, count, dtype=torch.bool, device=words.device).tril()
        mask[:prefix, :prefix] = True
        places = torch.arange(words.shape[1], device=words.device)
        shown = self.standardized(inputs)
        x = torch.cat([self._prefix(shown), self._embedded(words, places)], dim=1)
        for block in self.blocks:
            x, _ = block(x, mask=mask)
        return self._logits(x[:, prefix:]) + self.hints(shown)[:, None]

    def begin(self, inputs: torch.Tensor) -> State:
        shown = self.standardized(inputs)
        x, remembered = self._prefix(shown), []
        for block in self.blocks:
            x, seen = block(x)
            remembered.append(seen)
        return self.hints(shown), *remembered

    def step(self, words: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        hints, *memory = state
        place = torch.tensor([memory[0].shape[3] - self.shape.prefix], device=words.device)
        x, remembered = self._embedded(words[:, None], place), []
        for block, before in zip(self.blocks, memory, strict=True):
            x, seen = block(x, before)
            remembered.append(seen)
        return F.log_softmax(self._logits(x[:, 0]) + hints, dim=1), (hints, *remembered)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(self.norm(x), self.embed.weight, self.out_bias)

    def _prefix(self, x: torch.Tensor) -> torch.Tensor:
        return self.start(x).unflatten(1, (self.shape.prefix, self.shape.width))

    def _embedded(self, words: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.embed(words) * self.shape.width**0.5 + self.position(places))


class _Block(nn.Module):
    """Self-attention and two linear layers, each on normalized inputs and added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_linear = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(0.0)

    def forward(
        self, x: torch.Tensor, before: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (N, T, W) to the same shape, and keys and values (N, 2, heads, T so far, W / heads)."""
        split = self.attention_in(self.norm_attention(x)).unflatten(2, (3, self.heads, -1)).permute(0, 2, 3, 1, 4)
        query, seen = split[:, 0], split[:, 1:]
        if before is not None:
            seen = torch.cat([before, seen], dim=3)
        looked = F.scaled_dot_product_attention(query, seen[:, 0], seen[:, 1], attn_mask=mask)
        x = x + self.dropout(self.attention_out(looked.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrow(self.dropout(F.gelu(self.wide(self.norm_linear(x)))))), seen


DECODERS: Mapping[Architecture, type[GruDecoder] | type[TransformerDecoder]] = {
    "gru": GruDecoder,
    "transformer": TransformerDecoder,
}


def architecture(card: Card) -> Architecture:
    """The decoder that a captioner's card names.

    Raises:
        CardError: there is none of that name.
    """
    for name in DECODERS:
        if name == card.architecture:
            return name
    raise CardError(f"unknown captioner {card.architecture!r} in card {card.name!r}; there are: {', '.join(DECODERS)}")


def count_parameters(decoder: Decoder) -> int:
    """Numbers that were learned."""
    return sum(parameter.numel() for parameter in decoder.parameters())
