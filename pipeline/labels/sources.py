"""Which labelled catalog a command line speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.labels.catalog import (
    LabelColumns,
    LabelledCatalog,
    from_table,
    parse_heads,
    read_names,
    read_table,
    relabel,
)
from pipeline.labels.demo import read_demo
from pipeline.settings import Settings
from pipeline.storage.opening import open_store


@dataclass(frozen=True)
class Source:
    """The options that name a labelled catalog: a demo catalog, or a table of labels and a folder of images.

    Args:
        labels: CSV or Parquet, a path or s3://bucket/key.
        images: folder or s3:// prefix that the file column is relative to; default: the folder of the labels.
        demo: folder or s3:// prefix of a demo catalog, in place of labels and images.
        file_column: column with the photo's key.
        product_column: column with the product; None: every photo is its own product.
        label_columns: `type`, `color=baseColour`, `brand=title:first-word`.
        names: TOML file with new names for labels.
        name: of the source, for figures of its own; default: the name of the folder.
    """

    labels: str | None
    images: str | None
    demo: str | None
    file_column: str
    product_column: str | None
    label_columns: Sequence[str]
    names: Path | None
    name: str | None

    def open(self, settings: Settings) -> LabelledCatalog:
        """Read the labels; the photos are not looked at yet.

        Raises:
            InputError: neither or both kinds named, a file or column missing.
        """
        if (self.labels is None) == (self.demo is None):
            raise InputError("name either --labels FILE.csv (or .parquet) with --images FOLDER, or --demo FOLDER")
        catalog = read_demo(self.demo, settings) if self.demo else self._table(settings)
        if self.names:
            catalog = relabel(catalog, read_names(self.names))
        if self.name:
            catalog = LabelledCatalog(self.name, catalog.rows, catalog.heads, catalog.images)
        return catalog

    def _table(self, settings: Settings) -> LabelledCatalog:
        labels = self.labels or ""
        images = self.images or labels.rpartition("/")[0] or "."
        columns = LabelColumns(self.file_column, self.product_column, parse_heads(self.label_columns))
        name = images.rstrip("/").rpartition("/")[2]
        return from_table(read_table(labels, settings), columns, open_store(images, settings), name)
