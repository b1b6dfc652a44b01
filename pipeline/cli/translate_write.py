"""`atelier translate write`: translate a folder of photos, batch by batch."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import emit, log, progress
from pipeline.errors import InputError
from pipeline.settings import Settings, settings

if TYPE_CHECKING:
    import numpy as np

    from models.translation.translator import Translator
    from pipeline.storage.base import ObjectStore


def write(
    card: Annotated[Path, typer.Argument(help="card of a translator, such as var/runs/shoes/cards/dress_to_shoe.toml")],
    images: Annotated[str, typer.Argument(help="folder or s3:// prefix of photos of the kind it reads")],
    out: Annotated[str, typer.Argument(help="folder or s3:// prefix for the variants: the photo's key and .png")],
    batch: Annotated[int, typer.Option(min=1, help="pictures a forward pass")] = 8,
) -> None:
    """Translate every photo of a folder.

    A photo's variant does not depend on its neighbors, and running again overwrites it with the same bytes. Photos
    that can't be read are left out and counted.

    Example:

        atelier translate write var/runs/shoes/cards/dress_to_shoe.toml shop/dresses var/variants
    """
    from models.cards import read_card
    from models.devices import capabilities, choose
    from models.translation.translator import load_translator
    from pipeline.storage.opening import open_store

    chosen = settings()
    placement = choose(chosen.enrich.device, chosen.enrich.precision, capabilities())
    translator = load_translator(read_card(card), card.parent, placement, batch)
    source, target = open_store(images, chosen), open_store(out, chosen)
    if _inside(target.uri, source.uri):  # the next run would translate variants
        raise InputError(f"variants can't be written among the photos they are made of: {images}; name another folder")
    left_out: Counter[str] = Counter()
    started, count, seconds = time.perf_counter(), 0, 0.0
    with progress(f"translate to {translator.target}", None) as advance:
        for keys, pictures in _batches(source, translator, chosen, batch, left_out):
            before = time.perf_counter()
            variants = translator(pictures)
            seconds += time.perf_counter() - before
            for key, variant in zip(keys, variants, strict=True):
                target.put(f"{key}.png", _png(variant))
            count += len(keys)
            advance(len(keys))
    for reason, number in left_out.items():
        log.warning("%d photos left out: %s", number, reason)
    if not count and not left_out:
        raise InputError(f"there are no photos in {images}")
    emit(
        {
            "out": target.uri,
            "variants": count,
            "left_out": dict(left_out),
            "images_per_s": round(count / max(time.perf_counter() - started, 1e-9), 2),
            "model_images_per_s": round(count / max(seconds, 1e-9), 2),
            "batch": batch,
            "device": placement.device,
            "precision": placement.precision,
        }
    )


def _inside(uri: str, other: str) -> bool:
    """Whether a place is another one, or lies in it."""
    inner, outer = (one.rstrip("/") if "://" in one else str(Path(one).resolve()) for one in (uri, other))
    return f"{inner}/".startswith(f"{outer}/")


def _batches(
    source: ObjectStore, translator: Translator, settings: Settings, batch: int, left_out: Counter[str]
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Keys and pictures uint8 (n, 3, S, S), n at most `batch`; what can't be read is counted in `left_out`."""
    import numpy as np

    from pipeline.cli.translate_parts import in_threads, limits_for, photo_keys, read_photo

    limits = limits_for(settings, translator.size)

    def one(key: str) -> np.ndarray | str:
        pixels = read_photo(source, key, limits, settings)
        return pixels if isinstance(pixels, str) else translator.preprocessing.resize_image(pixels).numpy()

    keys: list[str] = []
    pictures: list[np.ndarray] = []
    for key, made in in_threads(one, photo_keys(source, settings), settings):
        if isinstance(made, str):
            left_out[made] += 1
            continue
        keys.append(key)
        pictures.append(made)
        if len(keys) == batch:
            yield keys, np.stack(pictures)
            keys, pictures = [], []
    if keys:
        yield keys, np.stack(pictures)


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()
