"""Finding, checking and reading weights. Nothing is ever unpickled: safetensors, or torch's `weights_only` reader.

Places a card can name:
    type.safetensors                      a file, relative to the card's folder or absolute; .pt and .pth work too
    package:some_module/folder/file.pth   a file inside an installed Python package
    torchvision:resnet50-11ad3fa6.pth     a file of torchvision's hub, downloaded once into torch's cache
    random:0                              random numbers with that seed: for tests, only ever by name
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.cards import Card
from models.errors import CardError

HUB = "https://download.pytorch.org/models/"


def random_seed(card: Card) -> int | None:
    """The seed of `random:` weights, None for real ones."""
    return int(card.weights.removeprefix("random:")) if card.weights.startswith("random:") else None


def weights_path(card: Card, folder: Path) -> Path:
    """The weights file on this machine, its sha256 checked.

    Args:
        folder: where the card lies.

    Raises:
        CardError: the file is absent, or its digest is not the card's.
    """
    path = _located(card.weights, folder)
    if not path.is_file():
        raise CardError(f"the card {card.name!r} names weights {card.weights!r}, but there is no file {path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if len(card.sha256) < 8 or not digest.startswith(card.sha256.lower()):
        raise CardError(
            f"the weights of card {card.name!r} are not what the card says: {path} has sha256 {digest}, "
            f"the card has {card.sha256 or 'none'}; restore the file or make the card again"
        )
    return path


def load_tensors(card: Card, folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a card by name, on the CPU, checked against its sha256.

    Raises:
        CardError: see `weights_path`; or the file is damaged, or holds anything but tensors.
    """
    path = weights_path(card, folder)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CardError(f"the weights {path} of card {card.name!r} can't be read as plain tensors: {error}") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise CardError(f"the weights {path} of card {card.name!r} hold more than tensors by name")
    return tensors


def _located(weights: str, folder: Path) -> Path:
    if weights.startswith("package:"):
        module, _, inner = weights.removeprefix("package:").partition("/")
        found = importlib.util.find_spec(module)
        if found is None or not found.submodule_search_locations:
            raise CardError(f"weights {weights!r} need the Python package {module!r}, which is not installed")
        return Path(found.submodule_search_locations[0]) / inner
    if weights.startswith("torchvision:"):
        return _from_hub(weights.removeprefix("torchvision:"))
    if weights.startswith("random:"):
        raise CardError(f"weights {weights!r} have no file")
    return folder / weights  # an absolute path stays what it is


def _from_hub(name: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(HUB + name, str(path), progress=False)
        except (URLError, OSError) as error:
            raise CardError(
                f"weights {name} can't be fetched from {HUB}: {error}; "
                f"put the file at {path}, or name a local file in the card"
            ) from None
    return path
