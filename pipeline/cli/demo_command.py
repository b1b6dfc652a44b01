"""`atelier demo-catalog`: an invented shop's photos, feed and truth, rendered from scratch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import emit, progress


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("demo-catalog")(demo_catalog)


def demo_catalog(
    dest: Annotated[Path, typer.Argument(help="folder to write to; created where it is missing")],
    products: Annotated[int, typer.Option(min=1, help="number of products")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same files")] = 1,
    photos_per_product: Annotated[int, typer.Option(min=1, help="packshot, flat-lay, worn, then any of them")] = 3,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="also write damaged and odd files, listed in dirty.json")
    ] = False,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT in place of the usual mix; may be repeated")
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="only this type; may be repeated, and a type named twice is twice as common"),
    ] = None,
    processes: Annotated[int, typer.Option(min=0, help="0 = one a core; the files do not depend on it")] = 0,
) -> None:
    """Render a demo catalog with exact truth: DEST/photos, DEST/feed.parquet, DEST/truth/{images,boxes}.parquet.

    DEST/contact-sheet.html shows the first photos. With --dirty, DEST/dirty.json says what to expect of each odd file.

    Examples:

        atelier demo-catalog var/catalog --products 300 --seed 7

        atelier demo-catalog var/shoes --type Sneakers --type Boots --size 360x480
    """
    from pipeline.demo.generate import Order, write_catalog
    from pipeline.demo.vocabulary import TYPES

    started = time.monotonic()
    with progress("demo catalog", products * photos_per_product, "photos") as advance:
        order = Order(str(dest), seed, photos_per_product, _sizes(size), tuple(type_ or TYPES))
        counts = write_catalog(order, products, dirty, advance, processes)
    seconds = time.monotonic() - started
    emit(
        {
            "dest": str(dest),
            **counts,
            "seconds": round(seconds, 1),
            "photos_per_s": round(counts["photos"] / seconds, 1),
        }
    )


def _sizes(texts: list[str] | None) -> tuple[tuple[int, int], ...] | None:
    """Parse `--size 1080x1440`."""
    if not texts:
        return None
    sizes = []
    for text in texts:
        width, cross, height = text.lower().partition("x")
        if not (cross and width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 64):
            raise typer.BadParameter(f"--size wants WIDTHxHEIGHT, at least 64x64, such as 1080x1440; was {text!r}")
        sizes.append((int(width), int(height)))
    return tuple(sizes)
