"""The captioner: a GRU that writes a sentence from the backbone's feature (FashionBrain D2.5).

Linear(D, 512) -> first hidden state; Embedding(n, 64) -> GRU(64, 512) -> Linear(512, n), word by word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from models.cards import Card
from models.errors import CardError
from models.weights import load_tensors, random_seed

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORD_DIM = 64
HIDDEN_DIM = 512
NEVER = -1e9
"""Log probability of what must not be said."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by number; the first four are `SPECIAL`."""

    words: tuple[str, ...]

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 2) -> Vocabulary:
        """All words that occur at least `min_count` times, the most frequent first, ties by alphabet."""
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
        return cls((*SPECIAL, *kept))

    def encode(self, caption: str) -> list[int]:
        """Word numbers with start and end."""
        numbers = {word: number for number, word in enumerate(self.words)}
        return [START, *(numbers.get(word, UNKNOWN) for word in tokenize(caption)), END]

    def decode(self, numbers: Sequence[int]) -> str:
        """The sentence, without special words."""
        return " ".join(self.words[number] for number in numbers if number > UNKNOWN)


def tokenize(caption: str) -> list[str]:
    """Lower-case words; letters, digits, and inner hyphens, apostrophes and ampersands."""
    return re.findall(r"[^\W_]+(?:[-'&][^\W_]+)*", caption.lower())


class Captioner(nn.Module):
    """The network. `mean` and `std` standardize the feature.

    Args:
        dim: length of the feature.
        words: size of the vocabulary.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, dim: int, words: int, hidden: int = HIDDEN_DIM, word_dim: int = WORD_DIM) -> None:
        super().__init__()
        self.start = nn.Linear(dim, hidden)
        self.embed = nn.Embedding(words, word_dim, padding_idx=PAD)
        self.gru = nn.GRU(word_dim, hidden, batch_first=True)
        self.out = nn.Linear(hidden, words)
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        """First hidden state: (N, D) to (1, N, hidden)."""
        return torch.tanh(self.start((features - self.mean) / self.std))[None]

    def forward(self, features: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Teacher forcing: logits (N, T, n) of the next word after each of `words` (N, T)."""
        states, _ = self.gru(self.dropout(self.embed(words)), self.hidden(self.dropout(features)))
        return self.out(self.dropout(states))

    def step(self, words: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One word on: words (N,), hidden (1, N, H) to log probabilities (N, n) and the next hidden state."""
        states, hidden = self.gru(self.embed(words[:, None]), hidden)
        return F.log_softmax(self.out(states[:, 0]), dim=1), hidden


def blocked(sentences: torch.Tensor, words: int) -> torch.Tensor:
    """Repetition guard: which words may not follow.

    A word may not follow itself, and no three words may occur twice in a row of the sentence.

    Args:
        sentences: (N, T) word numbers so far, the start included.

    Returns:
        bool (N, words).
    """
    count, length = sentences.shape
    ban = torch.zeros(count, words, dtype=torch.bool, device=sentences.device)
    ban.scatter_(1, sentences[:, -1:], value=True)
    if length >= 3:
        seen = (sentences[:, :-2] == sentences[:, -2:-1]) & (sentences[:, 1:-1] == sentences[:, -1:])
        third = torch.where(seen, sentences[:, 2:], torch.full_like(sentences[:, 2:], PAD))
        ban.scatter_(1, third, value=True)
    ban[:, [PAD, START, UNKNOWN]] = True
    ban[:, END] = False
    return ban


@torch.inference_mode()
def write_captions(
    model: Captioner, features: torch.Tensor, *, beam: int = 3, max_words: int = 20
) -> list[tuple[list[int], float]]:
    """The best sentence for each feature by beam search (`beam` 1 is greedy).

    Always ends: after `max_words` words the sentence is closed. Of the sentences that the beam found, the one with
    the highest geometric mean of its words' probabilities (the end included) wins.

    Args:
        features: (N, D) float32 on the model's device.

    Returns:
        N pairs of word numbers (without start and end) and that geometric mean, in [0, 1].
    """
    count, device = len(features), features.device
    beam = min(beam, model.out.out_features - len(SPECIAL) + 1)
    hidden = model.hidden(features).repeat_interleave(beam, dim=1)
    sentences = torch.full((count * beam, 1), START, device=device)
    scores = torch.full((count, beam), NEVER, device=device)
    scores[:, 0] = 0.0  # at first all beams of a picture are the same: only one may branch
    open_ = torch.ones(count * beam, dtype=torch.bool, device=device)
    lengths = torch.zeros(count * beam, device=device)
    for _ in range(max_words):
        logs, hidden = model.step(sentences[:, -1], hidden)
        logs = logs.masked_fill(blocked(sentences, logs.shape[1]), NEVER)
        logs = torch.where(open_[:, None], logs, _only_end(logs))
        total = (scores.reshape(-1, 1) + logs).reshape(count, -1)
        scores, chosen = total.topk(beam, dim=1)
        parent = (torch.arange(count, device=device)[:, None] * beam + chosen // logs.shape[1]).reshape(-1)
        word = (chosen % logs.shape[1]).reshape(-1)
        lengths = lengths[parent] + open_[parent]
        open_ = open_[parent] & (word != END)
        sentences = torch.cat([sentences[parent], word[:, None]], dim=1)
        hidden = hidden[:, parent]
        if not open_.any():
            break
    return _best(sentences, scores, lengths, beam)


def _only_end(logs: torch.Tensor) -> torch.Tensor:
    """Log probabilities of a closed sentence: it can only stay closed, at no cost."""
    closed = torch.full_like(logs, NEVER)
    closed[:, END] = 0.0
    return closed


def _best(
    sentences: torch.Tensor, scores: torch.Tensor, lengths: torch.Tensor, beam: int
) -> list[tuple[list[int], float]]:
    means = scores / lengths.reshape(scores.shape).clamp(min=1)
    best = means.argmax(dim=1)
    rows = (torch.arange(len(scores), device=scores.device) * beam + best).tolist()
    values = means.exp().gather(1, best[:, None])[:, 0].tolist()
    return [
        ([word for word in sentences[row].tolist() if word > UNKNOWN], value)
        for row, value in zip(rows, values, strict=True)
    ]


class LoadedCaptioner:
    """A captioner with its card: features in, sentences out."""

    def __init__(self, card: Card, model: Captioner) -> None:
        self.card = card
        self.model = model.eval().requires_grad_(requires_grad=False)
        self.vocabulary = Vocabulary(card.labels)

    def captions(self, features: torch.Tensor) -> list[tuple[str, float]]:
        """One (sentence, score) a row of (N, D) float32."""
        options = self.card.options
        written = write_captions(
            self.model, features, beam=int(options.get("beam", 3)), max_words=int(options.get("max_words", 20))
        )
        return [(self.vocabulary.decode(numbers), score) for numbers, score in written]


def load_captioner(card: Card, folder: Path, device: str, dim: int) -> LoadedCaptioner:
    """Load a captioner that reads features of length `dim`.

    Raises:
        CardError: weights missing or altered, or made for another backbone or vocabulary.
    """
    if card.architecture != "gru":
        raise CardError(f"unknown captioner {card.architecture!r} in card {card.name!r}; there is: gru")
    if card.labels[: len(SPECIAL)] != SPECIAL:
        raise CardError(f"the labels of card {card.name!r} are its vocabulary and start with {SPECIAL}")
    options = card.options
    seed = random_seed(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        model = Captioner(
            dim, len(card.labels), int(options.get("hidden", HIDDEN_DIM)), int(options.get("word_dim", WORD_DIM))
        )
    if seed is None:
        try:
            model.load_state_dict({name: tensor.float() for name, tensor in load_tensors(card, folder).items()})
        except RuntimeError as error:
            raise CardError(f"captioner {card.name!r} does not fit a backbone of {dim} numbers: {error}") from None
    return LoadedCaptioner(card, model.to(device))
