"""What a release is made of: `release.toml` and the cards it names. Reading them starts no torch.

[cards]
backbone = "cards/efficientnet_lite0.toml"
detector = "cards/detector.toml"
captioner = "cards/captioner.toml"
[cards.heads]
type = "cards/type.toml"
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from models.cards import Card, read_card
from models.errors import CardError

STARTER = Path(__file__).parent / "starter"
"""The release that ships with Atelier."""

FILE = "release.toml"
LOG_SUFFIX = ".metrics.jsonl"
"""Beside a card, `<name>.metrics.jsonl` is the log of its training, where there is one."""
ID_DIGITS = 12


@dataclass(frozen=True)
class ReleaseCards:
    """The cards of a release with the folder each lies in."""

    folder: Path
    backbone: tuple[Card, Path]
    detector: tuple[Card, Path] | None
    captioner: tuple[Card, Path] | None
    heads: Mapping[str, tuple[Card, Path]]

    def all(self) -> Iterator[tuple[Card, Path]]:
        """Every card with its folder: backbone, detector, captioner, heads by name."""
        yield self.backbone
        yield from (pair for pair in (self.detector, self.captioner) if pair)
        yield from (self.heads[name] for name in sorted(self.heads))

    @property
    def release_id(self) -> str:
        """12 hexadecimal digits over all cards, and through their sha256 over all weights."""
        return _id(f"{card.role}:{card.name}:{card.digest()}" for card, _ in self.all())

    @property
    def feature_id(self) -> str:
        """12 hexadecimal digits over what makes the stored features: backbone and detector."""
        pairs = [self.backbone] + ([self.detector] if self.detector else [])
        return _id(f"{card.role}:{card.digest(functional=True)}" for card, _ in pairs)


def _id(parts: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:ID_DIGITS]


def read_release(folder: Path) -> ReleaseCards:
    """Read the cards of a release without loading any model.

    Raises:
        CardError: no release there, or it names a card that is missing, broken, of another role or of another backbone.
    """
    path = folder / FILE
    try:
        cards = dict(tomllib.loads(path.read_text(encoding="utf-8"))["cards"])
    except OSError as error:
        raise CardError(f"there is no release in {folder}: {path.name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise CardError(f"{path} is not a release: it needs TOML with [cards]: {error}") from None
    heads = dict(cards.pop("heads", {}))
    if unknown := sorted(set(cards) - {"backbone", "detector", "captioner"}):
        raise CardError(f"{path} has unknown roles {unknown}; roles are backbone, detector, captioner, heads")
    if "backbone" not in cards:
        raise CardError(f"{path} names no backbone")

    def one(role: str, name: str) -> tuple[Card, Path]:
        card = read_card(folder / name)
        if card.role != role:
            raise CardError(f"{path} names {name} as its {role}, but that card is a {card.role}")
        return card, (folder / name).parent

    made = ReleaseCards(
        folder=folder,
        backbone=one("backbone", cards["backbone"]),
        detector=one("detector", cards["detector"]) if "detector" in cards else None,
        captioner=one("captioner", cards["captioner"]) if "captioner" in cards else None,
        heads={name: one("head", file) for name, file in heads.items()},
    )
    refuse_strangers(made.backbone[0], (card for card, _ in made.all()))
    return made


def refuse_strangers(backbone: Card, cards: Iterable[Card]) -> None:
    """Check that heads and captioner read this backbone's features: another's may be as long, and mean nothing to them.

    Raises:
        CardError: one was trained on another backbone's features.
    """
    digest = backbone.digest(functional=True)
    wrong = [c for c in cards if c.role in ("head", "captioner") and c.options.get("backbone", digest) != digest]
    if wrong:
        raise CardError(
            f"{', '.join(f'{card.role} {card.name!r}' for card in wrong)}: trained on the features of another backbone "
            f"than {backbone.name!r}; train again on its features, or leave out: "
            f"{' '.join(f'--without {card.name}' for card in wrong)}"
        )


def release_id_of(folder: Path) -> str:
    """The id of a release, without loading its models."""
    return read_release(folder).release_id


def write_release(folder: Path, cards: Mapping[str, Any]) -> None:
    """Write `release.toml`: `cards` maps roles to card files relative to `folder`, `heads` to a mapping of its own."""
    heads = dict(cards.get("heads", {}))
    roles = {role: cards[role] for role in ("backbone", "detector", "captioner") if cards.get(role)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(tomli_w.dumps({"cards": {**roles, "heads": heads}}), encoding="utf-8")
