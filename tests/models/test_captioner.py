"""The captioner's decoder: it ends, does not repeat itself, and beams find what is most probable."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.captioner import END, PAD, SPECIAL, START, UNKNOWN, Captioner, Vocabulary, blocked, tokenize, write_captions

WORDS = len(SPECIAL) + 6


def untrained(seed: int) -> Captioner:
    torch.manual_seed(seed)
    return Captioner(5, WORDS, hidden=8, word_dim=4).eval()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 50), beam=st.integers(1, 5), limit=st.integers(1, 9), count=st.integers(1, 4))
def test_an_untrained_decoder_ends_and_says_allowed_words(seed: int, beam: int, limit: int, count: int) -> None:
    torch.manual_seed(seed)
    written = write_captions(untrained(seed), torch.randn(count, 5), beam=beam, max_words=limit)
    assert len(written) == count
    for numbers, score in written:
        assert len(numbers) <= limit
        assert all(UNKNOWN < number < WORDS for number in numbers)
        assert 0 <= score <= 1
        assert all(a != b for a, b in itertools.pairwise(numbers))
        triples = list(zip(numbers, numbers[1:], numbers[2:], strict=False))
        assert len(triples) == len(set(triples))


def test_the_guard_blocks_repeats_only() -> None:
    sentence = torch.tensor([[START, 4, 5, 6, 4, 5]])
    ban = blocked(sentence, WORDS)[0]
    assert set(torch.nonzero(ban)[:, 0].tolist()) == {PAD, START, UNKNOWN, 5, 6}
    assert not blocked(torch.tensor([[START, END]]), WORDS)[0, END]


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_sentence(seed: int) -> None:
    model = untrained(seed)
    features = torch.randn(1, 5, generator=torch.Generator().manual_seed(seed))
    (numbers, score), *_ = write_captions(model, features, beam=WORDS, max_words=2)
    candidates = [(), *((a,) for a in range(4, WORDS)), *itertools.permutations(range(4, WORDS), 2)]
    means = {words: geometric_mean(model, features, words, limit=2) for words in candidates}
    assert means[tuple(numbers)] == pytest.approx(score, rel=1e-4)
    one_word = {words: mean for words, mean in means.items() if len(words) <= 1}
    assert score >= max(one_word.values()) * 0.999  # everything up to one word was looked at


@torch.no_grad()
def geometric_mean(model: Captioner, features: torch.Tensor, words: tuple[int, ...], limit: int) -> float:
    hidden, last, total, said = model.hidden(features), START, 0.0, 0
    ending = (END,) if len(words) < limit else ()
    for word in (*words, *ending):
        logs, hidden = model.step(torch.tensor([last]), hidden)
        total, last, said = total + float(logs[0, word]), word, said + 1
    return float(torch.tensor(total / said).exp())


def test_padding_rows_do_not_matter() -> None:
    model, features = untrained(3), torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    padded = torch.cat([features[:1], torch.zeros(3, 5)])
    assert write_captions(model, features)[0] == write_captions(model, padded)[0]


def test_vocabulary() -> None:
    words = Vocabulary.build(["A red T-Shirt", "a red dress", "a blue dress!"], min_count=2)
    assert words.words == (*SPECIAL, "a", "dress", "red")
    assert words.encode("a Red skirt") == [START, 4, 6, UNKNOWN, END]
    assert words.decode([START, 4, 6, END]) == "a red"
    assert tokenize("Women's 3-pack, b&w: Ärmel_x") == ["women's", "3-pack", "b&w", "ärmel", "x"]
