"""`atelier search`: ask the published index by a photo or by a catalog key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.output import console, emit
from pipeline.errors import InputError, SettingError
from pipeline.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from pipeline.index.gallery import Hit, Index
    from pipeline.index.recommend import Look
    from pipeline.index.variants import StoredVariant

VARIANTS_DRAWN = 4


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("search")(search)
    app.command("recommend")(recommend)


def search(
    image: Annotated[Path | None, typer.Option(help="photo to search by; any file the catalog could hold")] = None,
    image_key: Annotated[str | None, typer.Option(help="photo of the catalog to search by")] = None,
    where: Annotated[
        str | None,
        typer.Option(help="filters, all of which have to hold: type=Dress,color=Red; any column or head of the index"),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="results")] = 20,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="look into all groups, not first into the one the photo shows")
    ] = False,
    all_photos: Annotated[bool, typer.Option("--all-photos", help="several photos of one product, too")] = False,
    sheet: Annotated[Path | None, typer.Option(help="draw the query and its hits as a picture: out.jpg")] = None,
    version: Annotated[str | None, typer.Option(help="another version than the live one")] = None,
) -> None:
    """Find the products that look most alike.

    A photo in which a garment is found is looked for among that group first, and among the others for what is missing.

    Example: `atelier search --image dress.jpg --where type=Dress,color=Red -k 20 --sheet hits.jpg`
    """
    from pipeline.index.gallery import Index

    if (image is None) == (image_key is None):
        raise SettingError("search by --image FILE or by --image-key KEY, one of them")
    index = Index.open(None, settings(), version)
    filters = parse_where(where)
    if image:
        hits = _by_file(image, index, k, filters, not all_photos, not everywhere)
    else:
        vectors, exclude = _by_key(index, str(image_key))
        groups = None if everywhere else [group for group in index.rows.values("group", exclude[:1]) if group]
        hits = index.search(vectors, k, filters, groups=groups, by_product=not all_photos, exclude=[exclude])[0]
    _warn_of_unknown(index, filters)
    show_hits(hits, image_key or str(image))
    if sheet:
        _draw(hits, image, image_key, sheet)
    emit({"version": index.manifest.version, "where": filters, "hits": [hit_json(hit) for hit in hits]})


def recommend(
    product: Annotated[str, typer.Option(help="product_id to recommend to")],
    k: Annotated[int, typer.Option("-k", min=1, help="products, and products a group of the look")] = 10,
    where: Annotated[str | None, typer.Option(help="filters on the similar ones: type=Dress,color=Red")] = None,
    look: Annotated[bool, typer.Option("--look/--no-look", help="complete the look with other groups, too")] = True,
    via_variant: Annotated[
        str | None,
        typer.Option(help="only what variants of this kind ask for: shoe, or a group of garments such as footwear"),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="draw the product, with --via-variant its variants too, and what goes with it: out.jpg"),
    ] = None,
) -> None:
    """Recommend to a product: those that look alike, and those of other groups that complete the look.

    Where style transfer made variants (a shoe of a dress; docs/translation.md), they ask for the other groups; else the
    photos do. Variants are synthetic: they only ask, and are never recommended themselves.

    Example: `atelier recommend --product 1163 -k 6 --sheet look.jpg`

    Example, a dress, the shoe made of it, the real shoes nearest to that:
    `atelier recommend --product 1163 --via-variant shoe --sheet shoes.png`
    """
    from pipeline.index.gallery import Index
    from pipeline.index.recommend import complete_the_look, product_rows, similar
    from pipeline.index.variants import variants_of, vectors_by_group

    if via_variant and (where or not look):
        raise SettingError("--via-variant takes neither --where nor --no-look: it asks for nothing but a look")
    index = Index.open(None, settings())
    keys = sorted({str(record["image_key"]) for record in index.rows.records(product_rows(index, product))})
    variants = variants_of(settings(), index, keys) if look else []
    if via_variant:
        _recommend_via(index, product, k, variants, via_variant, sheet)
        return
    alike = similar(index, product, k, parse_where(where))
    looks = complete_the_look(index, product, k, vectors_by_group(variants)) if look else []
    show_hits(alike, product)
    for one in looks:
        show_hits(one.hits, f"{product} among {one.group} (by {one.by})")
    if sheet:
        lines = [("similar", alike), *((f"{one.group} by {one.by}", one.hits) for one in looks)]
        _draw_lines(keys[0], product, lines, k, sheet)
    emit(
        {
            "version": index.manifest.version,
            "product_id": product,
            "similar": [hit_json(hit) for hit in alike],
            "look": {one.group: {"by": one.by, "hits": [hit_json(hit) for hit in one.hits]} for one in looks},
        }
    )


def _recommend_via(
    index: Index, product: str, k: int, variants: Sequence[StoredVariant], target: str, sheet: Path | None
) -> None:
    """Recommend by those of a product's variants that show `target`."""
    from pipeline.index.recommend import by_variants
    from pipeline.index.variants import meant_by, vectors_by_group

    meant = meant_by(variants, target, product)
    looks = by_variants(index, product, k, vectors_by_group(meant))
    if not looks:
        raise InputError(f"index {index.manifest.version} holds no other product of {meant[0].group}")
    for one in looks:
        show_hits(one.hits, f"{product} among {one.group} (by its variants)")
    if sheet:
        _draw_via(product, meant, looks, k, sheet)
    emit(
        {
            "version": index.manifest.version,
            "product_id": product,
            "variants": [
                {
                    "image_key": one.image_key,
                    "variant_key": one.key,
                    "generator": one.generator,
                    "target": one.target,
                    "group": one.group,
                    "target_probability": one.target_probability,
                    "synthetic": True,
                }
                for one in meant
            ],
            "look": {one.group: {"by": one.by, "hits": [hit_json(hit) for hit in one.hits]} for one in looks},
        }
    )


def parse_where(text: str | None) -> dict[str, str]:
    """`type=Dress,color=Red` as a dict.

    Raises:
        SettingError: a part is not name=value.
    """
    filters = {}
    for part in (text or "").split(","):
        name, separator, value = part.partition("=")
        if part.strip() and not (separator and name.strip() and value.strip()):
            raise SettingError(f"--where {text!r}: {part!r} is not name=value; an example: type=Dress,color=Red")
        if part.strip():
            filters[name.strip()] = value.strip()
    return filters


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit for programs."""
    return {
        "image_key": hit.image_key,
        "product_id": hit.product_id,
        "score": round(hit.score, 6),
        "kind": hit.kind,
        "garment_index": hit.garment_index,
        **hit.attributes,
    }


def find_alike(image_key: str, k: int) -> list[Hit]:
    """What the live index holds that is most like one of its photos, a product once.

    Raises:
        InputError: the index does not hold the photo.
    """
    from pipeline.index.gallery import Index

    index = Index.open(None, settings())
    vectors, exclude = _by_key(index, image_key)
    return index.search(vectors, k, by_product=True, exclude=[exclude])[0]


def _by_key(index: Index, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The stored vector of a photo (of the whole image, where there is one), and its rows, that one first."""
    rows = index.rows.find("image_key", key)
    if not len(rows):
        raise InputError(f"index {index.manifest.version} does not hold the photo {key!r}")
    whole = [kind == "image" for kind in index.rows.values("kind", rows)]
    rows = rows[sorted(range(len(rows)), key=lambda at: not whole[at])]
    return index.vectors_of(rows[:1]), rows


def _by_file(path: Path, index: Index, k: int, where: dict[str, str], by_product: bool, route: bool) -> list[Hit]:
    """What is most like a photo that need not be in the catalog."""
    if not path.is_file():
        raise InputError(f"--image {path} is not a file")
    from pipeline.enrich.models import load_models
    from pipeline.index.photos import search_photos

    release = load_models(settings())
    return search_photos(index, [path], k, release, settings(), where, by_product=by_product, route=route)[0]


def _warn_of_unknown(index: Index, filters: dict[str, str]) -> None:
    """Say so where a filter's value occurs nowhere: a typing error looks like an empty shop otherwise."""
    for column, value in filters.items():
        known = index.rows.known_values(column)
        if value not in known:
            some = ", ".join(sorted(known)[:30])
            console.print(f"no {column} is called {value!r}; there are: {some}", style="yellow", markup=False)


def show_hits(hits: list[Hit], query: str) -> None:
    """Print hits as a table for a person."""
    table = Table("", "score", "product", "photo", "type", "color", "brand", "group", title=f"Most like {query}")
    for number, hit in enumerate(hits, 1):
        known = [hit.attributes.get(name, "") for name in ("type", "color", "brand", "group")]
        table.add_row(str(number), f"{hit.score:.3f}", hit.product_id or "", hit.image_key, *known)
    console.print(table)


def _draw(hits: list[Hit], image: Path | None, image_key: str | None, path: Path) -> None:
    """Draw the contact sheet."""
    from pipeline.images.decode import decode
    from pipeline.images.pixels import Limits
    from pipeline.index.sheet import Tile, draw_sheet, hit_tile, photo
    from pipeline.storage import open_store

    catalog = open_store(settings().catalog.uri, settings())
    if image is None:
        query = photo(catalog, str(image_key), settings())
    else:
        query = decode(image.read_bytes(), Limits.of(settings())).pixels
    tiles = [Tile(query, ("query", image_key or str(image)), accent=True)]
    tiles += [hit_tile(hit, photo(catalog, hit.image_key, settings())) for hit in hits]
    draw_sheet(tiles, path)
    console.print(f"drew {path}", markup=False)


def _draw_lines(image_key: str, product: str, lines: list[tuple[str, list[Hit]]], k: int, path: Path) -> None:
    """Draw the product and, one line below the other, what goes with it."""
    from pipeline.index.sheet import Tile, draw_sheet, hit_tile, photo
    from pipeline.storage import open_store

    catalog = open_store(settings().catalog.uri, settings())
    query = photo(catalog, image_key, settings())
    tiles: list[Tile | None] = []
    for title, hits in lines:
        tiles.append(Tile(query, (title, product), accent=True))
        tiles += [hit_tile(hit, photo(catalog, hit.image_key, settings())) for hit in hits]
        tiles += [None] * (k - len(hits))
    draw_sheet(tiles, path, columns=k + 1)
    console.print(f"drew {path}", markup=False)


def _draw_via(product: str, variants: Sequence[StoredVariant], looks: Sequence[Look], k: int, path: Path) -> None:
    """Draw source, variant and, beside the first of each group, the real products; the best variants, a line each."""
    from pipeline.index.sheet import TILE, Tile, draw_sheet, hit_tile, photo
    from pipeline.storage import open_store

    catalog, warehouse = (open_store(uri, settings()) for uri in (settings().catalog.uri, settings().warehouse.uri))
    tiles: list[Tile | None] = []
    for look in looks:
        of_group = [one for one in variants if one.group == look.group][:VARIANTS_DRAWN]
        hits = [hit_tile(hit, photo(catalog, hit.image_key, settings())) for hit in look.hits]
        for line, one in enumerate(of_group):
            sure = "" if one.target_probability is None else f" {one.target_probability:.2f}"
            tiles.append(Tile(photo(catalog, one.image_key, settings()), (product, one.image_key), accent=True))
            made = photo(warehouse, one.key, settings())
            if made is not None:  # it may be as small as 64 pixels
                times = max(1, (TILE - 8) // max(made.shape[:2]))
                made = made.repeat(times, axis=0).repeat(times, axis=1)
            tiles.append(Tile(made, (f"synthetic {one.target}{sure}", one.generator), accent=True))
            tiles += [*hits, *[None] * (k - len(hits))] if line == 0 else [None] * k
    draw_sheet(tiles, path, columns=k + 2)
    console.print(f"drew {path}", markup=False)
