"""A labelled catalog: a table of labels and the photos it speaks of.

One row is one picture to learn from: a whole photo, or the part of it inside a box. A label column holds text; empty
means "nobody said"; `A|B` means one of these (single-label head) or all of these (multi-label head).
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.storage.base import ObjectStore
from pipeline.storage.opening import open_store

BOX = ("x1", "y1", "x2", "y2")
"""Columns of a box, pixels of the upright photo; all empty for the whole photo."""

FIRST_WORD = ":first-word"
"""Suffix of a column: its first word is the label (a brand at the start of a title)."""


@dataclass(frozen=True)
class LabelColumns:
    """Which columns of a table of labels mean what.

    Args:
        file: holds the photo's key under the folder of images.
        product: holds the product, so that no product is on both sides of a split; None: every photo is its own.
        heads: head -> column, or column with the suffix `:first-word`.
    """

    file: str
    product: str | None
    heads: Mapping[str, str]


@dataclass(frozen=True)
class LabelledCatalog:
    """Rows: `file`, `product_id`, x1 y1 x2 y2 (NaN for whole photos), and one text column a head (None: no label)."""

    name: str
    rows: pd.DataFrame
    heads: tuple[str, ...]
    images: ObjectStore


def read_table(uri: str, settings: Settings) -> pd.DataFrame:
    """Read a CSV or Parquet file from a local path or s3://bucket/key; CSV cells stay text.

    Raises:
        InputError: no such file, or not readable as what its ending says.
    """
    folder, _, key = uri.rpartition("/")
    data = open_store(folder or ".", settings).get(key).data
    suffix = PurePosixPath(key).suffix.lower()
    try:
        if suffix == ".parquet":
            return pd.read_parquet(io.BytesIO(data))
        if suffix in {".csv", ".tsv"}:
            return pd.read_csv(io.BytesIO(data), dtype=str, sep="\t" if suffix == ".tsv" else ",")
    except (ValueError, OSError) as error:
        raise InputError(f"the labels {uri} can't be read as {suffix}: {error}") from None
    raise InputError(f"the labels {uri} have to end in .csv, .tsv or .parquet")


def from_table(table: pd.DataFrame, columns: LabelColumns, images: ObjectStore, name: str) -> LabelledCatalog:
    """A labelled catalog of whole photos, or of boxes where the table has x1, y1, x2, y2.

    Raises:
        InputError: a column is missing (the message names those there are), or the table is empty.
    """
    wanted = [columns.file, *(column.removesuffix(FIRST_WORD) for column in columns.heads.values())]
    wanted += [columns.product] if columns.product else []
    if missing := [column for column in wanted if column not in table.columns]:
        raise InputError(f"the labels of {name!r} have no column {missing[0]!r}; there are: {', '.join(table.columns)}")
    if table.empty:
        raise InputError(f"the labels of {name!r} have no rows")
    rows = pd.DataFrame({"file": table[columns.file].astype(str)})
    rows["product_id"] = table[columns.product or columns.file].astype(str)
    for side in BOX:
        rows[side] = table[side].astype("float32") if side in table.columns else float("nan")
    for head, column in columns.heads.items():
        rows[head] = _texts(table[column.removesuffix(FIRST_WORD)], first_word=column.endswith(FIRST_WORD))
    return LabelledCatalog(name, rows, tuple(columns.heads), images)


def _texts(values: pd.Series, *, first_word: bool) -> pd.Series:
    texts = values.astype("string").str.strip()
    if first_word:
        texts = texts.str.split().str[0]
    return texts.mask(texts == "").astype(object).where(texts.notna() & (texts != ""), None)


def relabel(catalog: LabelledCatalog, names: Mapping[str, Mapping[str, str]]) -> LabelledCatalog:
    """Rename labels: `names[head][label]` is the new label, empty for "leave this label out".

    Labels that `names[head]` does not mention stay as they are.

    Raises:
        InputError: `names` mentions a head that the catalog does not have.
    """
    if unknown := sorted(set(names) - set(catalog.heads)):
        raise InputError(f"the label names speak of {unknown}, but {catalog.name!r} has {', '.join(catalog.heads)}")
    rows = catalog.rows.copy()
    for head, new in names.items():
        changed = rows[head].map(lambda label, new=new: new.get(label, label) or None, na_action="ignore")
        rows[head] = changed.astype(object).where(changed.notna(), None)
    return LabelledCatalog(catalog.name, rows, catalog.heads, catalog.images)


def read_names(path: Path) -> dict[str, dict[str, str]]:
    """Read a TOML file of label names: a table a head, `"old label" = "new label"`.

    Raises:
        InputError: no such file or not of that form.
    """
    try:
        names = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"there is no file of label names {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the label names {path} are not TOML: {error}") from None
    if not all(isinstance(table, dict) for table in names.values()):
        raise InputError(f'the label names {path} need one table a head: [type] / "old" = "new"')
    return names


def parse_heads(texts: Sequence[str]) -> dict[str, str]:
    """`type` or `color=baseColour` or `brand=title:first-word` -> {head: column}.

    Raises:
        InputError: no column named, or a head named twice.
    """
    heads: dict[str, str] = {}
    for text in texts:
        head, separator, column = text.partition("=")
        if head in heads:
            raise InputError(f"--label-column names the head {head!r} twice")
        heads[head] = column if separator else head
    if not heads:
        raise InputError("name at least one --label-column, such as type, or color=baseColour")
    return heads
