"""Words of captions."""

from __future__ import annotations

from models.caption_words import END, SPECIAL, START, UNKNOWN, Vocabulary, tokenize


def test_vocabulary() -> None:
    words = Vocabulary.build(["A red T-Shirt", "a red dress", "a blue dress!"], min_count=2)
    assert words.words == (*SPECIAL, "a", "dress", "red")
    assert words.encode("a Red skirt") == [START, 4, 6, UNKNOWN, END]
    assert words.decode([START, 4, 6, END]) == "a red"
    assert tokenize("Women's 3-pack, b&w: Ärmel_x") == ["women's", "3-pack", "b&w", "ärmel", "x"]
