"""A contact sheet: a query and its hits as one picture, to be judged by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import AtelierError
from pipeline.images.decode import decode
from pipeline.images.pixels import Limits
from pipeline.index.gallery import Hit
from pipeline.settings import Settings
from pipeline.storage.base import ObjectStore

TILE = 200
LINE = 17
MARGIN = 12
PAPER, INK, FAINT, ACCENT = (250, 249, 246), (34, 34, 34), (120, 118, 112), (176, 58, 46)


@dataclass(frozen=True)
class Tile:
    """One photo, uint8 (h, w, 3) or None where it can't be shown, and the lines under it."""

    pixels: np.ndarray | None
    lines: tuple[str, ...]
    accent: bool = False


def photo(store: ObjectStore, key: str, settings: Settings) -> np.ndarray | None:
    """A catalog photo, uint8 (h, w, 3); None where it is gone or can't be read: the sheet then says so."""
    try:
        data = store.get(key, max_bytes=settings.fetch.max_bytes, timeout_s=settings.fetch.timeout_s).data
        return decode(data, Limits.of(settings)).pixels
    except AtelierError:
        return None


def hit_tile(hit: Hit, pixels: np.ndarray | None) -> Tile:
    """A tile for one result: score, product, type and color."""
    look = " ".join(hit.attributes[name] for name in ("color", "type") if name in hit.attributes)
    return Tile(
        pixels, (f"{hit.score:.3f}  {hit.product_id or hit.image_key}", look or hit.attributes.get("group", ""))
    )


def draw_sheet(tiles: Sequence[Tile | None], path: Path, *, columns: int = 7) -> None:
    """Draw tiles row by row (None: leave the place free) and save them; the suffix of `path` says how (.jpg, .png)."""
    font = ImageFont.load_default(13)
    height = TILE + 2 * LINE + MARGIN
    rows = -(-len(tiles) // columns)
    wide = min(len(tiles), columns)
    sheet = Image.new("RGB", (wide * (TILE + MARGIN) + MARGIN, rows * height + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        if tile is None:
            continue
        left = MARGIN + (number % columns) * (TILE + MARGIN)
        top = MARGIN + (number // columns) * height
        _draw_photo(sheet, pen, tile, left, top)
        for line, text in enumerate(tile.lines[:2]):
            color = ACCENT if tile.accent else (INK, FAINT)[line]
            pen.text((left, top + TILE + 3 + line * LINE), _fitted(text, pen, font), fill=color, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)


def _draw_photo(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    box = (left, top, left + TILE - 1, top + TILE - 1)
    pen.rectangle(box, fill=(255, 255, 255), outline=ACCENT if tile.accent else (226, 224, 218), width=2)
    if tile.pixels is None:
        pen.text((left + 50, top + TILE // 2 - 8), "no photo here", fill=FAINT, font=ImageFont.load_default(13))
        return
    picture = Image.fromarray(tile.pixels)
    picture.thumbnail((TILE - 8, TILE - 8))
    sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))


def _fitted(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, cut to the tile's width."""
    while text and pen.textlength(text, font=font) > TILE:
        text = text[:-2] + "…" if len(text) > 2 else ""
    return text
