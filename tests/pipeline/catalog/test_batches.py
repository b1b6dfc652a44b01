"""A batch's name says what is in it."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog import batch_id

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4)


def test_spelled_out() -> None:
    spelled = b"release\0a\0etag of a\0b\0etag of b"
    pairs = [("b", "etag of b"), ("a", "etag of a")]
    assert batch_id("release", pairs) == hashlib.sha256(spelled).hexdigest()[:16]


@given(PAIRS, st.randoms())
def test_order_does_not_matter(pairs: list[tuple[str, str]], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    assert batch_id("r", shuffled) == batch_id("r", pairs)


@given(PAIRS, PAIRS, TEXT, TEXT)
def test_content_does(one: list[tuple[str, str]], other: list[tuple[str, str]], r1: str, r2: str) -> None:
    assert (batch_id(r1, one) == batch_id(r2, other)) == ((r1, sorted(one)) == (r2, sorted(other)))
