"""Features of labelled photos on a cluster: a few hundred photos a task, written here in the order of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
from distributed import Client, KilledWorker

from models.release import Release, load_release
from pipeline.cluster import tasks
from pipeline.cluster.connect import for_workers, lost_scheduler
from pipeline.cluster.flight import Flight
from pipeline.cluster.held import Held
from pipeline.cluster.tasks import RowsOrder
from pipeline.errors import TransientError
from pipeline.labels.catalog import LabelledCatalog
from pipeline.labels.extract import Piece, by_photo, read_pieces
from pipeline.releases import release_folder
from pipeline.settings import Settings
from pipeline.storage import open_store

PHOTOS_A_TASK = 256
"""Photos a task; with their pictures, if those are kept, a result has some ten megabytes."""

RELEASE: Held[Release] = Held()
"""This process's models."""


def read_pieces_on(client: Client, settings: Settings, catalog: LabelledCatalog, *, pictures: bool) -> Iterator[Piece]:
    """What `read_pieces` makes of a catalog, read by the workers of a cluster with the models of `release.uri`.

    Raises:
        TransientError: the scheduler is lost, there are no workers, or several died of the same photos.
        SettingError, InputError: as a worker raised them.
    """
    flight = Flight(client, settings.dask, tasks.read, lambda order: order.name)
    with closing(flight.in_order(_orders(for_workers(settings), catalog, pictures=pictures))) as landings:
        for landed in landings:
            if isinstance(landed.error, KilledWorker):
                files = landed.order.rows["file"]
                raise TransientError(f"workers died of the photos {files.iloc[0]} to {files.iloc[-1]} or beside them")
            if landed.value is None:
                raise landed.error or lost_scheduler()
            yield landed.value


def _orders(settings: Settings, catalog: LabelledCatalog, *, pictures: bool) -> Iterator[RowsOrder]:
    groups = by_photo(catalog.rows)
    for number, begin in enumerate(range(0, len(groups), PHOTOS_A_TASK)):
        rows = pd.concat(groups[begin : begin + PHOTOS_A_TASK])
        yield RowsOrder(settings, catalog.images.uri, number, rows, pictures)


def read_order(order: RowsOrder) -> Piece:
    """In a worker: read the photos of an order."""
    settings, enrich = order.settings, order.settings.enrich
    release = RELEASE.get(
        settings.model_dump_json(),
        lambda: load_release(
            release_folder(settings), enrich.device, enrich.precision, enrich.threads, enrich.model_images
        ),
    )
    photos = open_store(order.uri, settings)
    return joined(list(read_pieces(by_photo(order.rows), photos, release, settings, pictures=order.pictures)))


def joined(pieces: list[Piece]) -> Piece:
    """Several pieces as one."""
    full = [piece for piece in pieces if len(piece.rows)]
    if not full:
        left_out = tuple(one for piece in pieces for one in piece.left_out)
        return replace(pieces[0], left_out=left_out, covered=sum(piece.covered for piece in pieces))
    return replace(
        full[0],
        arrays={name: np.concatenate([piece.arrays[name] for piece in full]) for name in full[0].arrays},
        rows=pd.concat([piece.rows for piece in full]),
        left_out=tuple(one for piece in pieces for one in piece.left_out),
        covered=sum(piece.covered for piece in pieces),
    )
