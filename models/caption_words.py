"""Words of captions and their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")


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
        return [START, *(self._numbers.get(word, UNKNOWN) for word in tokenize(caption)), END]

    def decode(self, numbers: Sequence[int]) -> str:
        """The sentence, without special words."""
        return " ".join(self.words[number] for number in numbers if number > UNKNOWN)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


def tokenize(caption: str) -> list[str]:
    """Lower-case words; letters, digits, and inner hyphens, apostrophes and ampersands."""
    return re.findall(r"[^\W_]+(?:[-'&][^\W_]+)*", caption.lower())
