"""Which rows train, validate and test: a hash of the product decides, so no product is ever on two sides.

Nothing is drawn at random and nothing can drift: the same product falls on the same side in every run, on every
machine, whatever else is in the catalog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from models.errors import DataError

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
SPLIT_FILE = "split.parquet"


@dataclass(frozen=True)
class Split:
    """The rule.

    Args:
        seed: another seed is another split.
        validation: share of the products, in (0, 1).
        test: share of the products, in (0, 1).
    """

    seed: int = 0
    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise DataError(f"shares of validation and test lie in (0, 1) and leave some to train on, not {self}")

    def part_of(self, product: str) -> int:
        """TRAIN, VALIDATION or TEST."""
        digest = hashlib.sha256(f"{self.seed}\0{product}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        if share < self.test:
            return TEST
        return VALIDATION if share < self.test + self.validation else TRAIN

    def parts(self, products: Iterable[str]) -> np.ndarray:
        """Part of each row, int8 (N,)."""
        known: dict[str, int] = {}
        parts = [known.setdefault(p, self.part_of(p)) if p not in known else known[p] for p in products]
        return np.array(parts, np.int8)

    def words(self) -> str:
        """What a model card says of it."""
        return (
            f"by sha256 of the product, seed {self.seed}: "
            f"{self.test:.0%} test, {self.validation:.0%} validation, the rest training"
        )

    def tests_like(self, words: str) -> bool:
        """Whether the words of a card speak of a split with the same test products."""
        return self.words().partition(" test,")[0] == words.partition(" test,")[0]


@dataclass(frozen=True)
class SavedSplit(Split):
    """A split that an earlier run wrote, taken over product by product; products it does not have fall by the rule.

    Args:
        known: product -> TRAIN, VALIDATION or TEST.
        name: of the file, for the card.
        digest: of the products and their parts.
    """

    known: Mapping[str, int] = field(default_factory=dict)
    name: str = ""
    digest: str = ""

    def part_of(self, product: str) -> int:
        """TRAIN, VALIDATION or TEST."""
        return self.known.get(product, super().part_of(product))

    def parts(self, products: Iterable[str]) -> np.ndarray:
        """Part of each row, int8 (N,).

        Raises:
            DataError: the split has none of the products: it is of another catalog, and the rule would decide alone.
        """
        asked = list(products)
        if asked and self.known.keys().isdisjoint(asked):
            raise DataError(
                f"the saved split {self.name} has none of the {len(asked)} products asked for, such as {asked[0]!r}; "
                f"it has such as {next(iter(self.known), None)!r}: another catalog, or a source of another name"
            )
        return super().parts(asked)

    def words(self) -> str:
        """What a model card says of it."""
        return f"as saved in {self.name} (sha256 {self.digest[:12]}); products not in it {super().words()}"


def read_split(path: Path, rule: Split | None = None) -> SavedSplit:
    """Read `split.parquet` of an earlier run.

    Args:
        path: a Parquet file with the columns `product_id` and `part`.
        rule: for products that are not in it.

    Raises:
        DataError: no such file, other columns, an unknown part, or a product on two sides.
    """
    try:
        frame = pd.read_parquet(path, columns=["product_id", "part"])
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        raise DataError(f"{path} is no saved split with the columns product_id and part: {error}") from None
    if unknown := sorted(set(frame["part"]) - set(PARTS)):
        raise DataError(f"{path} has the unknown part {unknown[0]!r}; parts are {', '.join(PARTS)}")
    frame = frame.drop_duplicates().sort_values("product_id")
    twice = frame["product_id"][frame["product_id"].duplicated()]
    if len(twice):
        raise DataError(f"{path} leaks: {len(twice)} products are in two parts, such as {twice.iloc[0]!r}")
    known = {str(product): PARTS.index(part) for product, part in frame.itertuples(index=False)}
    text = "\n".join(f"{product}\t{part}" for product, part in known.items())
    rule, digest = rule or Split(), hashlib.sha256(text.encode()).hexdigest()
    return SavedSplit(rule.seed, rule.validation, rule.test, known, path.name, digest)


def split_of_run(card: Path) -> Path | None:
    """The saved split beside a card as `atelier classify train` writes them; None where there is none."""
    path = card.parent.parent / SPLIT_FILE
    return path if path.is_file() else None


def refuse_leaks(products: Sequence[str], parts: np.ndarray, card: Path) -> None:
    """Check that no product is tested or validated on that an existing head was trained or tuned on.

    Args:
        products: N products.
        parts: int8 (N,), their parts now.
        card: of the head or captioner; without a saved split beside it nothing can be checked.

    Raises:
        DataError: there are such products; the message says how many and names the split to use.
    """
    path = split_of_run(card)
    if path is None:
        return
    earlier = read_split(path).known
    leaked = {p for p, part in zip(products, parts.tolist(), strict=True) if earlier.get(p, part) < part}
    if leaked:
        raise DataError(
            f"{len(leaked)} products that are held out now, such as {min(leaked)!r}, trained or tuned {card}; "
            f"use its own split: --split {path}"
        )
