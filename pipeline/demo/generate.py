"""Writes a demo catalog: photos, feed and truth, product by product, over several processes, same bytes for a seed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from pipeline.demo.contact_sheet import ContactSheet
from pipeline.demo.dirty import odd_files
from pipeline.demo.scenes import render_photo
from pipeline.demo.spec import ProductSpec, random_spec
from pipeline.demo.vocabulary import SCENES, TYPES
from pipeline.demo.wording import caption_of, title_of
from pipeline.errors import SettingError

SIZES: Final = ((360, 480), (480, 640), (720, 960), (1080, 1440))
SIZE_ODDS: Final = (0.4, 0.3, 0.2, 0.1)
ROW_GROUP: Final = 1000
"""Products whose rows are held before they are written."""

FEED_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("product_id", "brand", "type", "color", "gender", "title")]
    + [("price", pa.float64()), ("pattern", pa.string())]
)
IMAGES_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("image_key", "product_id", "scene", "type", "color", "brand", "pattern")]
    + [("width", pa.int32()), ("height", pa.int32()), ("caption", pa.string())]
)
BOXES_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("image_key", "group", "type", "color", "pattern")]
    + [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
    + [("is_main", pa.bool_())]
)


@dataclass(frozen=True)
class Order:
    """What to generate."""

    dest: str
    seed: int
    photos_per_product: int
    sizes: tuple[tuple[int, int], ...] | None = None
    types: tuple[str, ...] = tuple(TYPES)


@dataclass(frozen=True)
class Made:
    """The rows of one product."""

    feed: dict[str, Any]
    images: list[dict[str, Any]]
    boxes: list[dict[str, Any]]


def product_spec(seed: int, index: int, types: tuple[str, ...] = tuple(TYPES)) -> ProductSpec:
    """Product number `index` of the catalog with this seed; types come round evenly."""
    rng = np.random.default_rng((seed, index, 0))
    shift = int(np.random.default_rng(seed).integers(len(types)))
    return random_spec(rng, f"p{index:07d}", type=types[(index + shift) % len(types)])


def scene_of(number: int, rng: np.random.Generator) -> str:
    """The scene of a product's photo `number` (from 0): one of each first, then any."""
    return SCENES[number] if number < len(SCENES) else SCENES[int(rng.integers(len(SCENES)))]


def make_product(order: Order, index: int) -> Made:
    """Render and write all photos of one product; returns its rows."""
    cv2.setNumThreads(1)
    spec = product_spec(order.seed, index, order.types)
    images, boxes = [], []
    for number in range(order.photos_per_product):
        rng = np.random.default_rng((order.seed, index, number + 1))
        scene = scene_of(number, rng)
        size = _size(spec, order.sizes, rng)
        photo = render_photo(spec, scene, rng, size)
        key = f"photos/{spec.product_id}_{number + 1}.jpg"
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(photo.pixels), photo.quality, "RGB", "420")
        (Path(order.dest) / key).write_bytes(data)
        images.append(image_row(key, spec, scene, size))
        boxes += [{"image_key": key, **asdict(box)} for box in photo.boxes]
    return Made(feed_row(spec, order.seed, index), images, boxes)


def image_row(key: str, spec: ProductSpec, scene: str, size: tuple[int, int]) -> dict[str, Any]:
    """A row of truth/images.parquet."""
    return {
        **_words(spec),
        "image_key": key,
        "scene": scene,
        "width": size[0],
        "height": size[1],
        "caption": caption_of(spec),
    }


def _words(spec: ProductSpec) -> dict[str, Any]:
    """What feed and truth both say of a product."""
    names = ("product_id", "brand", "type", "color", "pattern")
    return {name: getattr(spec, name) for name in names}


def feed_row(spec: ProductSpec, seed: int, index: int) -> dict[str, Any]:
    """A row of feed.parquet."""
    price = float(np.random.default_rng((seed, index, 999)).integers(9, 240)) - 0.01
    return {**_words(spec), "gender": spec.gender, "title": title_of(spec), "price": price}


def _size(spec: ProductSpec, sizes: tuple[tuple[int, int], ...] | None, rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of the next photo: upright, or square for small things now and then."""
    if sizes is not None:
        return sizes[int(rng.integers(len(sizes)))]
    width, height = SIZES[int(rng.choice(len(SIZES), p=SIZE_ODDS))]
    if spec.group in ("footwear", "bag", "headwear", "accessory") and rng.random() < 0.4:
        return width, width
    return width, height


def generate(
    dest: Path,
    products: int,
    seed: int,
    photos_per_product: int = 3,
    dirty: bool = False,
    on_photo: Callable[[int], object] = lambda count: None,
    sizes: tuple[tuple[int, int], ...] | None = None,
) -> dict[str, int]:
    """Write a demo catalog under `dest`; the same arguments give the same files.

    Args:
        dest: folder, created; existing files of the same names are replaced.
        products: number of products, at least 1.
        seed: of everything.
        photos_per_product: packshot, flat-lay, worn, then any of them.
        dirty: also write damaged and odd files, listed in dirty.json with what to expect of each.
        on_photo: called with the number of photos finished since the last call.
        sizes: (width, height) choices in place of the usual mix.

    Returns:
        Counts: products, photos, boxes, dirty. The odd files are not in photos.
    """
    return write_catalog(Order(str(dest), seed, photos_per_product, sizes), products, dirty, on_photo)


def write_catalog(
    order: Order, products: int, dirty: bool, on_photo: Callable[[int], object], processes: int = 0
) -> dict[str, int]:
    """As `generate`, with a choice of processes (0 = one a core), on which the files do not depend."""
    if products < 1 or order.photos_per_product < 1:
        raise SettingError("--products and --photos-per-product must be at least 1")
    if unknown := set(order.types) - set(TYPES):
        raise SettingError(f"--type {min(unknown)}: the demo catalog has no such type; it has {', '.join(TYPES)}")
    dest = Path(order.dest)
    (dest / "photos").mkdir(parents=True, exist_ok=True)
    (dest / "truth").mkdir(exist_ok=True)
    counts = {"products": 0, "photos": 0, "boxes": 0, "dirty": 0}
    sheet = ContactSheet()
    with (
        pq.ParquetWriter(dest / "feed.parquet", FEED_SCHEMA) as feed,
        pq.ParquetWriter(dest / "truth/images.parquet", IMAGES_SCHEMA) as images,
        pq.ParquetWriter(dest / "truth/boxes.parquet", BOXES_SCHEMA) as boxes,
    ):
        for group in _grouped(_made(order, products, processes), on_photo):
            _show(sheet, dest, group)
            feed.write_table(pa.Table.from_pylist([made.feed for made in group], FEED_SCHEMA))
            images.write_table(pa.Table.from_pylist([row for made in group for row in made.images], IMAGES_SCHEMA))
            boxes.write_table(pa.Table.from_pylist([row for made in group for row in made.boxes], BOXES_SCHEMA))
            counts["products"] += len(group)
            counts["photos"] += sum(len(made.images) for made in group)
            counts["boxes"] += sum(len(made.boxes) for made in group)
        if dirty:
            odd_images, odd_boxes, counts["dirty"] = _write_dirty(order, products)
            images.write_table(pa.Table.from_pylist(odd_images, IMAGES_SCHEMA))
            boxes.write_table(pa.Table.from_pylist(odd_boxes, BOXES_SCHEMA))
    sheet.write(dest / "contact-sheet.html")
    return counts


def _show(sheet: ContactSheet, dest: Path, group: list[Made]) -> None:
    """Put the group's first photos on the contact sheet."""
    for row in (row for made in group for row in made.images):
        if sheet.full:
            return
        sheet.add(dest / row["image_key"], row["caption"])


def _write_dirty(order: Order, products: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Write the odd files, each made from its own product's first photo, and dirty.json; rows of the readable ones."""
    dest = Path(order.dest)
    index = min(3, products - 1)
    spec = product_spec(order.seed, index, order.types)
    rng = np.random.default_rng((order.seed, index, 1))
    photo = render_photo(spec, scene_of(0, rng), rng, _size(spec, order.sizes, rng))
    images, boxes, notes = [], [], {}
    for odd in odd_files(photo):
        key = f"photos/{spec.product_id}_{odd.name}"
        (dest / key).write_bytes(odd.data)
        notes[key] = {"expected": str(odd.expected), "note": odd.note}
        if odd.size is not None:
            images.append(image_row(key, spec, SCENES[0], odd.size))
            boxes += [{"image_key": key, **asdict(box)} for box in odd.boxes]
    (dest / "dirty.json").write_text(json.dumps(notes, indent=1), encoding="utf-8")
    return images, boxes, len(notes)


def _grouped(stream: Iterator[Made], on_photo: Callable[[int], object]) -> Iterator[list[Made]]:
    """Products in runs of ROW_GROUP."""
    group: list[Made] = []
    for made in stream:
        on_photo(len(made.images))
        group.append(made)
        if len(group) == ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


def _made(order: Order, products: int, processes: int) -> Iterator[Made]:
    """Products in order of their index, made here or by a pool that never runs far ahead."""
    workers = min(processes or os.cpu_count() or 1, products)
    work = partial(make_product, order)
    if workers == 1 or products * order.photos_per_product < 24:
        yield from map(work, range(products))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, products, ROW_GROUP):
            yield from pool.map(work, range(start, min(start + ROW_GROUP, products)), chunksize=4)
