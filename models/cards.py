"""Model cards: a TOML file beside its weights that says what they are, where they come from and how good they are.

role = "head"
name = "type"
weights = "type.safetensors"      # see `models.weights` for the other places weights can come from
sha256 = "..."
[preprocessing] ...  [figures] ...  [thresholds] ...  [options] ...
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

from models.errors import CardError
from models.preprocessing import Preprocessing

ROLES = ("backbone", "detector", "head", "captioner", "translator", "designer")


@dataclass(frozen=True)
class Card:
    """One model. Everything but `weights` and `sha256` is for people, except where a field says otherwise.

    Args:
        role: one of `ROLES`.
        name: of the model; for a head, the attribute it answers.
        architecture: name the loader knows, e.g. efficientnet_lite0, linear, gru.
        weights: file beside the card, or another place that `models.weights` can resolve.
        sha256: of the weights file, hexadecimal; at least the first 8 digits; empty only for `random:` weights.
        labels: answers in the order of the outputs (a captioner's words).
        preprocessing: what pixels go through first; None for models that read features.
        licence: of the weights.
        data: what it was trained on, and under which terms.
        split: how training, validation and test were told apart.
        seed: of the training; None where it is not ours.
        command: shell command that makes it again.
        figures: how good it is: names to numbers, grouped by the data they were measured on.
        thresholds: probabilities below which the model abstains; read by the loader.
        options: what else the loader needs, by architecture.
    """

    role: str
    name: str
    architecture: str
    weights: str
    sha256: str = ""
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    licence: str = ""
    data: str = ""
    split: str = ""
    seed: int | None = None
    command: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields as TOML stores them; what is None is left out."""
        values: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Preprocessing):
                value = value.as_dict()
            elif isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            if value is not None:
                values[item.name] = value
        return values

    def digest(self, *, functional: bool = False) -> str:
        """Hash of the card, weights included through their sha256.

        Args:
            functional: leave out what does not change the outputs (licence, figures, the place of the weights, ...).
        """
        values = self.as_dict()
        if functional:
            kept = ("role", "architecture", "sha256", "labels", "preprocessing", "thresholds", "options")
            values = {name: values[name] for name in kept if name in values}
            if self.weights.startswith("random:"):
                values["weights"] = self.weights
        return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def read_card(path: Path) -> Card:
    """Read one card; the weights are checked when they are loaded.

    Raises:
        CardError: no such file, not TOML, a field missing or unknown, an unknown role.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"there is no model card {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"the model card {path} is not TOML: {error}") from None
    known = {item.name for item in fields(Card)}
    if unknown := sorted(set(values) - known):
        raise CardError(f"the model card {path} has unknown fields {unknown}; known are {sorted(known)}")
    if missing := sorted({"role", "name", "architecture", "weights"} - set(values)):
        raise CardError(f"the model card {path} lacks {missing}")
    if values["role"] not in ROLES:
        raise CardError(f"the model card {path} has the role {values['role']!r}; roles are {', '.join(ROLES)}")
    if not values.get("sha256") and not values["weights"].startswith("random:"):
        raise CardError(f"the model card {path} names weights without their sha256")
    values["labels"] = tuple(values.get("labels", ()))
    if "preprocessing" in values:
        values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
    return Card(**values)


def write_card(card: Card, tensors: Mapping[str, Any] | None, folder: Path) -> Path:
    """Write `<name>.toml` and, given tensors, `<name>.safetensors` into `folder`; returns the card's path.

    With tensors, `weights` and `sha256` of the written card are those of the new file. Both files appear whole or
    not at all; the card is written last, so a card never names weights that are not there.
    """
    from dataclasses import replace

    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    if tensors is not None:
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        card = replace(card, weights=f"{card.name}.safetensors", sha256=hashlib.sha256(data).hexdigest())
        _write(folder / card.weights, data)
    path = folder / f"{card.name}.toml"
    _write(path, tomli_w.dumps(card.as_dict()).encode())
    return path


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
