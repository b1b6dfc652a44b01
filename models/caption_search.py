"""Writing captions with a decoder: greedy, by beam search, or sampled; always ends, never stutters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from models.caption_decoders import Decoder, State
from models.caption_words import END, PAD, SPECIAL, START, UNKNOWN
from models.errors import DataError

NEVER = -1e9
"""Log probability of what must not be said."""

Mode = Literal["greedy", "beam", "sample"]


@dataclass(frozen=True)
class Decoding:
    """How captions are written.

    Args:
        mode: greedy: the most probable next word; beam: keep the best `beam` beginnings and finish them; sample: draw
            each word with its probability.
        beam: beginnings kept by beam search.
        max_words: length limit.
        min_words: a sentence does not end before.
        length_power: beams are ranked by log probability / length ** length_power: 0 likes short sentences, 1 ranks by
            the geometric mean of the words' probabilities.
        temperature: of sampling; below 1 likely words are drawn more often than their probability says.
        seed: of sampling. The same seed draws the same for the same picture, whichever pictures come with it.

    Raises:
        DataError: a number that cannot be.
    """

    mode: Mode = "beam"
    beam: int = 3
    max_words: int = 20
    min_words: int = 1
    length_power: float = 1.0
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in ("greedy", "beam", "sample"):
            raise DataError(f"captions are written greedy, by beam or by sample, not {self.mode!r}")
        if self.beam < 1 or not 0 <= self.min_words <= self.max_words or self.max_words < 1 or self.temperature <= 0:
            raise DataError(
                "captions need beam >= 1, 0 <= min_words <= max_words, max_words >= 1 and temperature > 0, not "
                f"{self.beam}, {self.min_words}, {self.max_words}, {self.temperature}"
            )


def blocked(sentences: torch.Tensor, words: int, *, min_words: int = 0) -> torch.Tensor:
    """Repetition guard: which words may not follow.

    A word may not follow itself, and no two words may follow each other twice (two of 5,835 titles of a real shop do
    that). Ending is allowed from `min_words` words on, and where nothing else is.

    Args:
        sentences: (N, T) word numbers so far, the start included.

    Returns:
        bool (N, words).
    """
    count, length = sentences.shape
    ban = torch.zeros(count, words, dtype=torch.bool, device=sentences.device)
    ban.scatter_(1, sentences[:, -1:], value=True)
    followed = torch.where(sentences[:, :-1] == sentences[:, -1:], sentences[:, 1:], PAD)
    ban.scatter_(1, followed, value=True)
    ban[:, [PAD, START, UNKNOWN]] = True
    ban[:, END] = True
    ban[:, END] = ~ban.all(dim=1) & (length - 1 < min_words)
    return ban


@torch.inference_mode()
def write_captions(model: Decoder, inputs: torch.Tensor, how: Decoding | None = None) -> list[tuple[list[int], float]]:
    """A sentence for each row, never longer than `max_words`.

    Args:
        inputs: (N, dim) float32 on the model's device.

    Returns:
        N pairs of word numbers (without start and end) and the geometric mean of the words' probabilities (that of
        the end included), in [0, 1].
    """
    how = how or Decoding()
    if how.mode == "sample":
        return _sample(model, inputs, how)
    return _search(model, inputs, how, how.beam if how.mode == "beam" else 1)


def _next(model: Decoder, sentences: torch.Tensor, state: State, how: Decoding) -> tuple[torch.Tensor, State]:
    logs, state = model.step(sentences[:, -1], state)
    return logs.masked_fill(blocked(sentences, logs.shape[1], min_words=how.min_words), NEVER), state


def _search(model: Decoder, inputs: torch.Tensor, how: Decoding, beam: int) -> list[tuple[list[int], float]]:
    count, device = len(inputs), inputs.device
    beam = min(beam, model.words - len(SPECIAL) + 1)
    state: State = tuple(tensor.repeat_interleave(beam, dim=0) for tensor in model.begin(inputs))
    sentences = torch.full((count * beam, 1), START, device=device)
    scores = torch.full((count, beam), NEVER, device=device)
    scores[:, 0] = 0.0  # at first all beams of a picture are the same: only one may branch
    open_ = torch.ones(count * beam, dtype=torch.bool, device=device)
    lengths = torch.zeros(count * beam, device=device)
    for _ in range(min(how.max_words, model.longest)):
        logs, state = _next(model, sentences, state, how)
        logs = torch.where(open_[:, None], logs, _only_end(logs))
        total = (scores.reshape(-1, 1) + logs).reshape(count, -1)
        scores, chosen = total.topk(beam, dim=1)
        parent = (torch.arange(count, device=device)[:, None] * beam + chosen // logs.shape[1]).reshape(-1)
        word = (chosen % logs.shape[1]).reshape(-1)
        lengths = lengths[parent] + open_[parent]
        open_ = open_[parent] & (word != END)
        sentences = torch.cat([sentences[parent], word[:, None]], dim=1)
        if not open_.any():
            break
        state = tuple(tensor[parent] for tensor in state)
    lengths = lengths.reshape(scores.shape).clamp(min=1)
    best = (scores / lengths**how.length_power).argmax(dim=1, keepdim=True)
    rows = torch.arange(count, device=device) * beam + best[:, 0]
    return _written(sentences[rows], (scores / lengths).gather(1, best)[:, 0])


def _sample(model: Decoder, inputs: torch.Tensor, how: Decoding) -> list[tuple[list[int], float]]:
    """Each word is the maximum of log probability and Gumbel noise, which draws it with its probability.

    The noise of a step is the same for all rows, so a picture's caption does not depend on those around it.
    """
    count, device = len(inputs), inputs.device
    generator = torch.Generator().manual_seed(how.seed)
    state = model.begin(inputs)
    sentences = torch.full((count, 1), START, device=device)
    open_ = torch.ones(count, dtype=torch.bool, device=device)
    scores, lengths = torch.zeros(count, device=device), torch.zeros(count, device=device)
    for _ in range(min(how.max_words, model.longest)):
        logs, state = _next(model, sentences, state, how)
        uniform = torch.rand(model.words, generator=generator, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
        noise = -torch.log(-torch.log(uniform)).to(device, torch.float32)
        word = torch.where(open_, (logs / how.temperature + noise).argmax(dim=1), torch.full_like(lengths, END).long())
        scores += torch.where(open_, logs.gather(1, word[:, None])[:, 0], torch.zeros_like(scores))
        lengths += open_
        open_ = open_ & (word != END)
        sentences = torch.cat([sentences, word[:, None]], dim=1)
        if not open_.any():
            break
    return _written(sentences, scores / lengths.clamp(min=1))


def _only_end(logs: torch.Tensor) -> torch.Tensor:
    """Log probabilities of a closed sentence: it can only stay closed, at no cost."""
    closed = torch.full_like(logs, NEVER)
    closed[:, END] = 0.0
    return closed


def _written(sentences: torch.Tensor, means: torch.Tensor) -> list[tuple[list[int], float]]:
    """Word numbers of each row (N, T), and e to the mean log probability (N,)."""
    return [
        ([word for word in row if word > UNKNOWN], value)
        for row, value in zip(sentences.tolist(), means.exp().tolist(), strict=True)
    ]
