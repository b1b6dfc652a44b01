"""Which labelled catalog a command line speaks of, and in which form its labels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.errors import InputError
from pipeline.labels import fashionbrain, imaterialist
from pipeline.labels.catalog import (
    LabelColumns,
    LabelledCatalog,
    from_table,
    parse_heads,
    read_names,
    read_table,
    relabel,
    with_label_notes,
)
from pipeline.labels.demo import read_demo
from pipeline.labels.fashion_mnist import read_fashion_mnist
from pipeline.settings import Settings
from pipeline.storage.opening import open_store

Format = Literal["table", "imaterialist", "fashionbrain", "fashion-mnist"]

OPTIONS: dict[str, frozenset[str]] = {
    "table": frozenset({"images", "file_column", "product_column", "label_columns"}),
    "imaterialist": frozenset({"images", "label_columns", "label_map", "image_name"}),
    "fashionbrain": frozenset({"images", "file_column", "product_column", "label_columns", "label_map", "image_name"}),
    "fashion-mnist": frozenset(),
}
"""What each format needs, or can be told, besides `labels`."""


@dataclass(frozen=True)
class Source:
    """The options that name a labelled catalog: a demo catalog, or labels and a folder of images.

    Args:
        labels: a path or s3://bucket/key of what `format` says; for Fashion-MNIST the folder of its files.
        images: folder or s3:// prefix that photos are relative to; default: the folder of the labels.
        demo: folder or s3:// prefix of a demo catalog, in place of labels and images.
        file_column: column with the photo's key, or a product's photos; None: `file`, or what the format has.
        product_column: column with the product; None: every photo is its own, or what the format has.
        label_columns: `type`, `color=baseColour`, `brand=title:first-word`; none: those the format knows.
        names: TOML file with new names for labels.
        name: of the source, for figures of its own; default: the name of the folder.
        format: form of the labels.
        label_map: file that says what the numbers of iMaterialist mean, or the dictionary of FashionBrain's library.
        image_name: name of the photo with the number `{id}`, where labels have numbers in place of names.
    """

    labels: str | None
    images: str | None
    demo: str | None
    file_column: str | None
    product_column: str | None
    label_columns: Sequence[str]
    names: Path | None
    name: str | None
    format: Format = "table"
    label_map: str | None = None
    image_name: str | None = None

    def open(self, settings: Settings) -> LabelledCatalog:
        """Read the labels; the photos are not looked at yet.

        Raises:
            InputError: neither or both kinds named, an option that the format has no use for, a file or column missing.
        """
        if (self.labels is None) == (self.demo is None):
            raise InputError("name either --labels FILE.csv (or .parquet) with --images FOLDER, or --demo FOLDER")
        catalog = read_demo(self.demo, settings) if self.demo else self._labels(self.labels or "", settings)
        if self.names:
            catalog = relabel(catalog, read_names(self.names))
        return with_label_notes(replace(catalog, name=self.name or catalog.name))

    def _labels(self, uri: str, settings: Settings) -> LabelledCatalog:
        for option in sorted(frozenset.union(*OPTIONS.values()) - OPTIONS[self.format]):
            if getattr(self, option):
                flag = {"label_columns": "label-column"}.get(option, option.replace("_", "-"))
                raise InputError(f"--{flag} has no meaning for --format {self.format}")
        if self.format == "fashion-mnist":
            return read_fashion_mnist(uri, settings)
        if self.format == "imaterialist":
            return self._imaterialist(uri, settings)
        if self.format == "fashionbrain":
            return self._fashionbrain(uri, settings)
        columns = LabelColumns(self.file_column or "file", self.product_column, parse_heads(self.label_columns))
        return from_table(read_table(uri, settings), columns, open_store(self._images(uri), settings), self._name(uri))

    def _imaterialist(self, uri: str, settings: Settings) -> LabelledCatalog:
        labels = imaterialist.read_label_map(self.label_map, settings) if self.label_map else None
        pattern = self.image_name or imaterialist.IMAGE_NAME
        table, notes = imaterialist.read_imaterialist(uri, labels, pattern, settings)
        tasks = [column for column in table.columns if column not in {"file", "product_id"}]
        columns = LabelColumns("file", "product_id", parse_heads(self.label_columns or tasks))
        return self._noted(from_table(table, columns, open_store(self._images(uri), settings), self._name(uri)), notes)

    def _fashionbrain(self, uri: str, settings: Settings) -> LabelledCatalog:
        products = fashionbrain.read_products(uri, settings)
        named = parse_heads(self.label_columns) if self.label_columns else fashionbrain.default_heads(products, uri)
        heads = {"type" if head == "pool" else head: column for head, column in named.items()}
        table, notes = fashionbrain.explode(products, uri, self.file_column, self.product_column, self.image_name)
        if self.label_map:
            column = fashionbrain.column_of(heads)
            known = fashionbrain.read_dictionary(self.label_map, settings)
            table, more = fashionbrain.only_known(table, column, known, self.label_map)
            notes += more
        columns = LabelColumns("file", "product_id", heads)
        return self._noted(from_table(table, columns, open_store(self._images(uri), settings), self._name(uri)), notes)

    def _images(self, uri: str) -> str:
        return self.images or uri.rpartition("/")[0] or "."

    def _name(self, uri: str) -> str:
        folder = self._images(uri)
        name = folder.rstrip("/").rpartition("/")[2]
        # the split depends on the source's name: it is the same from wherever the command is run
        return Path(folder).resolve().name if name in {"", ".", ".."} else name

    @staticmethod
    def _noted(catalog: LabelledCatalog, notes: Sequence[str]) -> LabelledCatalog:
        return replace(catalog, notes=(*notes, *catalog.notes))
