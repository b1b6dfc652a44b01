"""`atelier features`: run the backbone over a labelled catalog once, so that heads train in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.output import Advance, emit, log, progress
from pipeline.settings import Settings, settings

if TYPE_CHECKING:
    from models.release_cards import ReleaseCards
    from pipeline.labels.catalog import LabelledCatalog
    from pipeline.labels.extract import Extracted


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("features")(features)


def features(
    out: Annotated[Path, typer.Argument(help="folder to write: features.npy, rows.parquet, meta.json")],
    labels: Annotated[
        str | None, typer.Option(help="CSV or Parquet with a row a photo (or see --format): a path or s3://...")
    ] = None,
    form: Annotated[
        Literal["table", "imaterialist", "fashionbrain", "fashion-mnist"],
        typer.Option("--format", help="form of the labels, see docs/training-data.md"),
    ] = "table",
    images: Annotated[
        str | None, typer.Option(help="folder or s3:// prefix of the photos; default: the folder of the labels")
    ] = None,
    demo: Annotated[str | None, typer.Option(help="a demo catalog, in place of --labels and --images")] = None,
    file_column: Annotated[
        str | None, typer.Option(help="column with the photo's path under --images; default: file")
    ] = None,
    product_column: Annotated[
        str | None, typer.Option(help="column with the product: its photos stay on one side of every split")
    ] = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option(help="a head to learn: COLUMN, HEAD=COLUMN or HEAD=COLUMN:first-word; may be given again"),
    ] = None,
    label_map: Annotated[
        str | None, typer.Option(help="what label numbers mean (imaterialist); dictionary of labels (fashionbrain)")
    ] = None,
    image_name: Annotated[
        str | None, typer.Option(help="name of the photo with the number {id} or {id:06}; imaterialist: {id}.jpg")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="TOML with new names for labels, a table a head")] = None,
    name: Annotated[str | None, typer.Option(help="name of this source in figures; default: its folder's")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="keep the resized photos too, for `atelier classify finetune`")
    ] = False,
    release: Annotated[str | None, typer.Option(help="release whose backbone is used; default: release.uri")] = None,
) -> None:
    """Cache the features of a labelled catalog.

    Every photo is decoded once and goes through the backbone once; `atelier classify train` and
    `atelier annotate train` then read the features only. Photos that are missing or damaged are left out, counted
    and named. A label may be several: `A|B`.

    Example, a shop's own photos:

        atelier features var/features/shop --labels shop/labels.csv --images shop --file-column file
            --product-column product_id --label-column type --label-column color=baseColour

    Example, labels in another form:

        atelier features var/features/imat --format imaterialist --labels train.json --images train
            --label-map labels.csv
    """
    from models.release_cards import read_release
    from pipeline.labels.sources import Source
    from pipeline.releases import release_folder

    given = settings()
    chosen = given.model_copy(
        update={"release": given.release.model_copy(update={"uri": release or given.release.uri})}
    )
    columns = (file_column, product_column, label_column or [])
    source = Source(labels, images, demo, *columns, names, name, form, label_map, image_name)
    catalog = source.open(chosen)
    for note in catalog.notes:
        log.warning("%s: %s", catalog.name, note)
    cards = read_release(release_folder(chosen))
    on_cluster = chosen.dask.enabled and form != "fashion-mnist"  # that is one file, which this process has open
    work = _on_cluster if on_cluster else _here
    with progress(f"features of {catalog.name}", len(catalog.rows), "pictures") as advance:
        made = work(catalog, cards, chosen, out, advance, pictures=pictures)
    for reason, keys in made.examples.items():
        log.warning("%d photos left out, %s: %s", made.left_out[reason], reason, ", ".join(keys))
    emit(
        {
            "out": str(out),
            "source": catalog.name,
            "rows": made.rows,
            "left_out": made.left_out,
            "heads": list(catalog.heads),
            "notes": list(catalog.notes),
            "backbone": cards.backbone[0].name,
            "device": made.device,
            "precision": made.precision,
        }
    )


def _here(
    catalog: LabelledCatalog, cards: ReleaseCards, config: Settings, out: Path, advance: Advance, *, pictures: bool
) -> Extracted:
    """In this process."""
    from models.release import load_release
    from pipeline.labels.extract import extract

    enrich = config.enrich
    loaded = load_release(cards.folder, enrich.device, enrich.precision, enrich.threads, enrich.model_images)
    log.info("%s: %d pictures, on %s in %s", catalog.name, len(catalog.rows), loaded.device, loaded.precision)
    return extract(catalog, loaded, config, out, advance, pictures=pictures)


def _on_cluster(
    catalog: LabelledCatalog, cards: ReleaseCards, config: Settings, out: Path, advance: Advance, *, pictures: bool
) -> Extracted:
    """On the cluster that the settings name; this process loads no models."""
    from pipeline.cluster.connect import open_cluster
    from pipeline.cluster.features import read_pieces_on
    from pipeline.labels.extract import write_pieces

    with open_cluster(config) as client:
        pieces = read_pieces_on(client, config, catalog, pictures=pictures)
        return write_pieces(pieces, catalog, cards, out, advance, pictures=pictures)
