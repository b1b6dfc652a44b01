"""Writing captions: it ends, does not repeat itself, beams find what is most probable, samples are seeded."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.caption_decoders import DECODERS, Decoder, Shape
from models.caption_search import Decoding, blocked, write_captions
from models.caption_words import END, PAD, SPECIAL, START, UNKNOWN
from models.errors import DataError

WORDS = len(SPECIAL) + 6
SMALL = Shape(hidden=8, word_dim=4, width=8, layers=2, attention_heads=2, prefix=2, positions=12)
BOTH = pytest.mark.parametrize("name", DECODERS)


def untrained(name: str, seed: int) -> Decoder:
    """Of odd seeds with direct logits from the feature."""
    torch.manual_seed(seed)
    decoder = DECODERS[name](5, WORDS, replace(SMALL, direct=seed % 2)).eval()
    for parameter in decoder.parameters():
        parameter.data *= 3  # so that what it says depends on what it has said
    return decoder


def features(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(list(DECODERS)),
    seed=st.integers(0, 50),
    how=st.builds(
        Decoding,
        mode=st.sampled_from(["greedy", "beam", "sample"]),
        beam=st.integers(1, 5),
        max_words=st.integers(3, 9),
        min_words=st.integers(0, 3),
        length_power=st.sampled_from([0.0, 0.7, 1.0]),
    ),
    count=st.integers(1, 4),
)
def test_an_untrained_decoder_ends_and_says_allowed_words(name: str, seed: int, how: Decoding, count: int) -> None:
    written = write_captions(untrained(name, seed), features(count, seed), how)
    assert len(written) == count
    for numbers, score in written:
        assert how.min_words <= len(numbers) <= how.max_words
        assert all(UNKNOWN < number < WORDS for number in numbers)
        assert 0 <= score <= 1
        assert all(a != b for a, b in itertools.pairwise(numbers))
        pairs = list(itertools.pairwise(numbers))
        assert len(pairs) == len(set(pairs))


@BOTH
@pytest.mark.parametrize("mode", ["greedy", "beam", "sample"])
def test_a_decoder_that_never_says_the_end_ends(name: str, mode: str) -> None:
    model = untrained(name, 1)
    bias = model.out.bias if name == "gru" else model.out_bias
    bias.data[END] = -1e6
    written = write_captions(model, features(3), Decoding(mode, max_words=10))
    assert [len(numbers) for numbers, _ in written] == [10, 10, 10]
    # as many words as a transformer has places for, and no error behind them
    assert all(len(numbers) <= 100 for numbers, _ in write_captions(model, features(2), Decoding(mode, max_words=100)))


def test_the_guard_blocks_repeats_only() -> None:
    sentence = torch.tensor([[START, 5, 6, 4, 5, 7, 5]])
    ban = blocked(sentence, WORDS)[0]
    assert set(torch.nonzero(ban)[:, 0].tolist()) == {PAD, START, UNKNOWN, 5, 6, 7}
    assert not blocked(torch.tensor([[START, END]]), WORDS)[0, END]


def test_the_guard_keeps_a_sentence_going_while_there_are_words() -> None:
    assert blocked(torch.tensor([[START, 4]]), WORDS, min_words=2)[0, END]
    assert not blocked(torch.tensor([[START, 4, 5]]), WORDS, min_words=2)[0, END]
    only_one_word = blocked(torch.tensor([[START, 4]]), len(SPECIAL) + 1, min_words=2)[0]
    assert not only_one_word[END]


@BOTH
@pytest.mark.parametrize("seed", [2, 3])
def test_a_step_says_what_teacher_forcing_says(name: str, seed: int) -> None:
    model, words = untrained(name, seed), torch.tensor([[START, 5, 4, 7, 6], [START, 8, 9, 4, 5]])
    with torch.no_grad():
        whole = torch.log_softmax(model(features(2), words), dim=2)
        state = model.begin(features(2))
        for place in range(words.shape[1]):
            logs, state = model.step(words[:, place], state)
            torch.testing.assert_close(logs, whole[:, place], rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_sentence(name: str, seed: int) -> None:
    model, x = untrained(name, seed), features(1, seed)
    (numbers, score), *_ = write_captions(model, x, Decoding(beam=WORDS, max_words=2))
    candidates = [*((a,) for a in range(4, WORDS)), *itertools.permutations(range(4, WORDS), 2)]
    means = {words: geometric_mean(model, x, words, limit=2) for words in candidates}
    assert means[tuple(numbers)] == pytest.approx(score, rel=1e-4)
    one_word = {words: mean for words, mean in means.items() if len(words) <= 1}
    assert score >= max(one_word.values()) * 0.999  # everything up to one word was looked at


@torch.no_grad()
def geometric_mean(model: Decoder, x: torch.Tensor, words: tuple[int, ...], limit: int) -> float:
    state, last, total, said = model.begin(x), START, 0.0, 0
    ending = (END,) if len(words) < limit else ()
    for word in (*words, *ending):
        logs, state = model.step(torch.tensor([last]), state)
        total, last, said = total + float(logs[0, word]), word, said + 1
    return float(torch.tensor(total / said).exp())


@BOTH
@pytest.mark.parametrize("mode", ["greedy", "beam", "sample"])
def test_a_batch_says_what_rows_one_by_one_say(name: str, mode: str) -> None:
    model, x, how = untrained(name, 3), features(6), Decoding(mode, max_words=8, seed=5)
    together = write_captions(model, x, how)
    assert together == write_captions(model, x, how)
    alone = [write_captions(model, row[None], how)[0] for row in x]
    assert [numbers for numbers, _ in together] == [numbers for numbers, _ in alone]
    assert [score for _, score in together] == pytest.approx([score for _, score in alone], rel=1e-4)


@BOTH
def test_samples_are_seeded_and_follow_the_probabilities(name: str) -> None:
    model, how = untrained(name, 4), Decoding("sample", max_words=6)
    x = features(8)
    assert write_captions(model, x, how) == write_captions(model, x, how)
    assert any(write_captions(model, x, how) != write_captions(model, x, replace(how, seed=s)) for s in range(1, 5))
    cold = write_captions(model, x, replace(how, temperature=1e-4))
    assert cold == write_captions(model, x, replace(how, mode="greedy"))
    with torch.no_grad():
        probabilities = model.step(torch.tensor([START]), model.begin(x[:1]))[0][0].exp()
    probabilities[[PAD, START, UNKNOWN, END]] = 0
    first = [write_captions(model, x[:1], replace(how, max_words=1, seed=s))[0][0][0] for s in range(600)]
    share = torch.bincount(torch.tensor(first), minlength=WORDS) / len(first)
    assert (share - probabilities / probabilities.sum()).abs().max() < 0.08


def test_a_short_sentence_wins_without_length_normalization() -> None:
    model, x = untrained("gru", 7), features(20)
    lengths = {
        power: sum(len(n) for n, _ in write_captions(model, x, Decoding(beam=6, length_power=power)))
        for power in (0.0, 1.0, 3.0)
    }
    assert lengths[0.0] <= lengths[1.0] <= lengths[3.0]
    assert lengths[0.0] < lengths[3.0]


@pytest.mark.parametrize(
    "wrong", [{"mode": "best"}, {"beam": 0}, {"max_words": 0}, {"min_words": 30}, {"temperature": 0.0}]
)
def test_impossible_ways_of_writing(wrong: dict) -> None:
    with pytest.raises(DataError, match="captions"):
        Decoding(**wrong)
