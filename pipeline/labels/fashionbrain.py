"""Product lists in the form of FashionBrain: a row or a JSON object a product, its photos, and brand, color, pool.

Three forms are read, told apart by what is there:

- CSV, TSV or Parquet with a row a product, photos in `images` (a list, or names parted by `|` or `;`) or in
  `image_1`, `image_2`, ...
- JSON: a list of products, `{"products": [...]}`, or one product a line, with the same names.
- the library's own files (`zalandoresearch/fb-model-library`): `color.csv` with a row a photo, whose number `ix` is
  its name (`img/000123.jpg`), and beside it `color.json`, the dictionary of labels: `{"blue": 0, "red": 1}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.labels.catalog import FIRST_WORD, NAMED, read_bytes, read_table
from pipeline.labels.imaterialist import name_image
from pipeline.labels.json_files import parse_json, parse_records
from pipeline.settings import Settings

HEADS = {"brand": ("brand",), "color": ("color", "colour"), "type": ("pool", "type")}
"""Heads and the columns that hold them, where no label column is named."""

PRODUCTS = ("sku", "product_id", "config_sku", "id")
IMAGES = re.compile(r"(images?|image_files?|(image|img|photo)[_ -]?\d+)", re.IGNORECASE)
NUMBER, NUMBERED_NAME = "ix", "img/{id:06}.jpg"


def read_products(uri: str, settings: Settings) -> pd.DataFrame:
    """The products as they are in the file, a row each; lists stay lists.

    Raises:
        InputError: not readable.
    """
    if not uri.lower().endswith((".json", ".jsonl", ".ndjson")):
        return read_table(uri, settings)
    records = parse_records(read_bytes(uri, settings), uri)
    if not records:
        raise InputError(f"{uri} has no products")
    return pd.DataFrame(records, dtype=object)


def default_heads(table: pd.DataFrame, uri: str) -> dict[str, str]:
    """Head -> column, for those of brand, color and pool (the type) that the table has.

    Raises:
        InputError: it has none of them.
    """
    found = {head: next((c for c in columns if c in table.columns), None) for head, columns in HEADS.items()}
    heads = {head: column for head, column in found.items() if column}
    if not heads:
        raise InputError(
            f"{uri} has none of the columns brand, color and pool; name the labels with --label-column, "
            f"there are: {', '.join(map(str, table.columns))}"
        )
    return heads


def explode(
    table: pd.DataFrame, uri: str, file_column: str | None, product_column: str | None, image_name: str | None
) -> tuple[pd.DataFrame, list[str]]:
    """A row a photo: `file`, `product_id` and the product's other columns as text; and notes.

    Args:
        table: from `read_products`.
        uri: it was read from.
        file_column: the column with the photos; None: see the top of this module.
        product_column: None: the first of sku, product_id, config_sku and id that there is.
        image_name: name of a photo with the number `{id}`, for tables with numbers in place of names.

    Raises:
        InputError: no such column, an address in place of a photo's name, or no photo at all.
    """
    columns = _image_columns(table, uri, file_column)
    products = _product_column(table, uri, product_column)
    numbered = columns == [NUMBER]
    names = [_names(row) for row in table[columns].itertuples(index=False, name=None)]
    if numbered:
        names = [[name_image(image_name or NUMBERED_NAME, name) for name in row] for row in names]
    counts = np.array([len(row) for row in names])
    files = [name for row in names for name in row]
    if not files:
        raise InputError(f"no product of {uri} has a photo in {', '.join(columns)}")
    if addresses := [name for name in files if "://" in name]:
        raise InputError(
            f"{len(addresses)} photos of {uri} are addresses, such as {addresses[0]}; "
            "training reads files: copy the photos under --images and name them there"
        )
    texts = {
        str(c): [_text(value, str(c)) for value in table[c]] for c in table.columns if c not in columns and c != "file"
    }
    rows = pd.DataFrame({**texts, "product_id": table[products].astype(str) if products else ""})
    rows = rows.loc[rows.index.repeat(counts)].reset_index(drop=True)
    rows["file"] = files
    notes = []
    if not products:
        rows["product_id"] = rows["file"]
        notes.append(f"{uri} names no products: photos of one product may fall on both sides of a split")
    if (counts == 0).any():
        without = [str(p) for p in (table[products] if products else table.index)[counts == 0]]
        some = ", ".join(without[:NAMED]) + (", ..." if len(without) > NAMED else "")
        notes.append(f"{len(without)} products have no photo: {some}")
    return rows, notes


def read_dictionary(uri: str, settings: Settings) -> set[str]:
    """The labels of a dictionary `{"blue": 0, "red": 1}`.

    Raises:
        InputError: not of that form, or two labels have one number.
    """
    found = parse_json(read_bytes(uri, settings), uri)
    if not isinstance(found, dict) or not found or not all(type(number) is int for number in found.values()):
        raise InputError(f'the dictionary {uri} has to be {{"label": number, ...}}')
    if len(set(found.values())) < len(found):
        raise InputError(f"the dictionary {uri} gives two labels the same number")
    return {str(label) for label in found}


def only_known(rows: pd.DataFrame, column: str, labels: set[str], uri: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows with labels outside of the dictionary taken away; and a note of them."""
    strange = rows[column].notna() & ~rows[column].isin(labels)
    if not strange.any():
        return rows, []
    some = ", ".join(sorted(set(rows[column][strange]))[:NAMED])
    kept = rows.assign(**{column: rows[column].mask(strange, None)})
    return kept, [f"{int(strange.sum())} labels of {column!r} left out, the dictionary {uri} lacks them: {some}"]


def _image_columns(table: pd.DataFrame, uri: str, file_column: str | None) -> list[str]:
    there = [str(column) for column in table.columns]
    if file_column:
        if file_column not in there:
            raise InputError(f"{uri} has no column {file_column!r}; there are: {', '.join(there)}")
        return [file_column]
    found = [column for column in there if IMAGES.fullmatch(column)]
    if not found:
        found = [column for column in (NUMBER, "file") if column in there][:1]
    if not found:
        raise InputError(
            f"{uri} has no column images, image_1, image_2, ... or {NUMBER}; "
            f"name the one with photos by --file-column, there are: {', '.join(there)}"
        )
    return found


def _product_column(table: pd.DataFrame, uri: str, product_column: str | None) -> str | None:
    if product_column and product_column not in table.columns:
        raise InputError(f"{uri} has no column {product_column!r}; there are: {', '.join(map(str, table.columns))}")
    return product_column or next((column for column in PRODUCTS if column in table.columns), None)


def _names(cells: Iterable[Any]) -> list[str]:
    """The photos' names in these cells, in order, each once."""
    return list(dict.fromkeys(name for cell in cells for name in _cell(cell)))


def _cell(cell: Any) -> list[str]:
    if isinstance(cell, str):
        if cell.lstrip().startswith("["):
            try:
                return _cell(json.loads(cell))
            except json.JSONDecodeError as error:
                raise InputError(f"a list of photos is not JSON: {cell[:80]!r}, column {error.colno}") from None
        return [name.strip() for name in re.split(r"[|;]", cell) if name.strip()]
    if isinstance(cell, dict):
        name = cell.get("file", cell.get("path"))
        if not isinstance(name, str):
            raise InputError(f"a photo of a product has no file: {json.dumps(cell, default=str)[:80]}")
        return [name]
    if isinstance(cell, Sequence | np.ndarray):
        return [
            name for one in cell for name in ([one.strip()] if isinstance(one, str) and one.strip() else _cell(one))
        ]
    return [] if pd.isna(cell) else [str(cell)]


def _text(value: Any, column: str) -> str | None:
    """A label as text; several in a list become `A|B`."""
    if isinstance(value, dict):
        raise InputError(f"{column!r} of a product is an object, not a text: {json.dumps(value, default=str)[:80]}")
    if isinstance(value, list | tuple | np.ndarray):
        return "|".join(str(one) for one in value) or None
    return None if pd.isna(value) else str(value)


def column_of(heads: dict[str, str]) -> str:
    """The one column that a dictionary can speak of.

    Raises:
        InputError: there are several heads.
    """
    if len(heads) != 1:
        raise InputError(f"a dictionary is about one head, not {', '.join(heads)}: name one with --label-column")
    return next(iter(heads.values())).removesuffix(FIRST_WORD)
