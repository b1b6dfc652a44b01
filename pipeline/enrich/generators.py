"""The translators that the rules in `variants.rules` name, loaded to run beside a release."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.cards import read_card
from models.devices import Placement
from models.errors import ModelError
from models.heads import Answer
from models.release import Release
from pipeline.errors import InputError, SettingError
from pipeline.settings import Settings, VariantRule
from pipeline.storage import ObjectMissing
from pipeline.storage.opening import open_store

if TYPE_CHECKING:
    from models.translation.translator import Translator

log = logging.getLogger("atelier")

TYPE = "type"
"""The head that judges what a variant shows."""

ID_DIGITS = 12


@dataclass(frozen=True)
class Generator:
    """A rule with its translator.

    Args:
        rule: whom it is for.
        translator: runs as many pictures a pass as the release does.
        generator_id: 12 hexadecimal digits over what decides the pictures: card and weights.
        targets: bool, a label of the type head each: those that mean the target; None where there are none.
    """

    rule: VariantRule
    translator: Translator
    generator_id: str
    targets: np.ndarray | None

    @property
    def name(self) -> str:
        """Of its card."""
        return self.translator.card.name

    def wants(self, answers: dict[str, Answer]) -> bool:
        """Whether the rule holds for what the heads say of a photo's main garment."""
        return all(self._said(answers[head], labels) for head, labels in self.rule.where.items())

    def _said(self, answer: Answer, labels: tuple[str, ...]) -> bool:
        given = (answer, *answer.extra)
        return any(one.label in labels and one.score >= self.rule.min_score for one in given)


def load_generators(settings: Settings, release: Release) -> tuple[Generator, ...]:
    """Load every rule's translator onto the release's device, in its precision.

    Raises:
        SettingError: a card can't be used, a label or group is unknown; the message names the rule's setting.
    """
    found: list[Generator] = []
    for number, rule in enumerate(settings.variants.rules):
        setting = f"variants.rules.{number}"
        _check_words(rule, setting, release)
        generator = _loaded(rule, f"{setting}.translator", settings, release)
        if generator.name in {one.name for one in found}:
            raise SettingError(
                f"{setting}.translator: a rule before has a generator {generator.name!r} too, and a photo gets one "
                "variant of each; name all labels in one rule, or give the card another name"
            )
        found.append(generator)
    return tuple(found)


def _check_words(rule: VariantRule, setting: str, release: Release) -> None:
    if rule.target_group not in release.groups:
        raise SettingError(f"{setting}.target_group is {rule.target_group!r}; groups are {', '.join(release.groups)}")
    for head, labels in rule.where.items():
        if head not in release.heads:
            raise SettingError(f"{setting}.where: the release has no head {head!r}; it has {', '.join(release.heads)}")
        if unknown := sorted(set(labels) - set(release.heads[head].labels)):
            known = ", ".join(release.heads[head].labels)
            raise SettingError(f"{setting}.where: the head {head!r} has no label {', '.join(unknown)}; it has {known}")


def _loaded(rule: VariantRule, setting: str, settings: Settings, release: Release) -> Generator:
    from models.translation.translator import load_translator

    try:
        path = _local_card(rule.translator, settings)
        card = read_card(path)
        placement = Placement(release.device, release.precision)
        translator = load_translator(card, path.parent, placement, release.batch_images)
    except (ModelError, InputError, ObjectMissing) as error:
        raise SettingError(f"{setting} is {rule.translator!r}: {error}") from None
    labels = release.heads[TYPE].labels if TYPE in release.heads else ()
    targets = np.isin(labels, list(card.options.get("to_labels", ())))
    if not targets.any():
        log.warning("%s: its card names no label of the type head (to_labels): no target_probability", setting)
    generator_id = card.digest(functional=True)[:ID_DIGITS]
    return Generator(rule, translator, generator_id, targets if targets.any() else None)


def _local_card(uri: str, settings: Settings) -> Path:
    """The card's file; one in S3 is copied to release.cache with its weights, once for each state it has."""
    if "://" not in uri:
        return Path(uri)
    place, _, name = uri.rpartition("/")
    store = open_store(place, settings)
    data = store.get(name).data
    folder = Path(settings.release.cache) / f"translator-{hashlib.sha256(data).hexdigest()[:16]}"
    path = folder / name
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{name}.partial"
        part.write_bytes(data)
        weights = read_card(part).weights
        if Path(weights).name != weights:
            raise InputError(f"its weights {weights!r} have to lie beside it")
        if not weights.startswith("random:"):
            store.get_file(weights, folder / weights)
        part.replace(path)  # last: a card that is there has its weights, whose digest it holds
    except OSError as error:
        raise SettingError(f"release.cache ({settings.release.cache}) can't be written to: {error.strerror}") from None
    return path
