"""A labelled catalog: a table of labels and the photos it speaks of.

One row is one picture to learn from: a whole photo, or the part of it inside a box. A label column holds text; empty
means "nobody said"; `A|B` means one of these (single-label head) or all of these (multi-label head).
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

import pandas as pd

from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.storage.base import Fetched
from pipeline.storage.opening import open_store

BOX = ("x1", "y1", "x2", "y2")
"""Columns of a box, pixels of the upright photo; all empty for the whole photo."""

FIRST_WORD = ":first-word"
"""Suffix of a column: its first word is the label (a brand at the start of a title)."""

CAPTION = "caption"
"""The one head that may say different things of one picture: each sentence is right."""

NAMED = 5
"""Photos or labels that a message names."""

NOTHING = ["", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null"]
"""Cells of a CSV that say nothing. Not `None`: that is a pattern, a closure, a style."""


class Photos(Protocol):
    """Where a catalog's photos come from: an object store, or a file that holds them all."""

    @property
    def uri(self) -> str:
        """Where that is, for people."""
        ...

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = 4
    ) -> Fetched:
        """The encoded photo; see `ObjectStore.get`."""
        ...


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
    """A source of pictures and labels.

    Args:
        name: of the source.
        rows: `file`, `product_id`, x1 y1 x2 y2 (NaN for whole photos), and one text column a head (None: no label).
        heads: the label columns.
        images: the photos that `file` names.
        notes: what was left out of the labels, or looks wrong in them, for people.
    """

    name: str
    rows: pd.DataFrame
    heads: tuple[str, ...]
    images: Photos
    notes: tuple[str, ...] = ()


def read_bytes(uri: str, settings: Settings) -> bytes:
    """A file's content, from a local path or s3://bucket/key.

    Raises:
        InputError: no such file, or it is empty.
    """
    folder, _, key = uri.rpartition("/")
    if not key:
        raise InputError(f"{uri!r} names no file")
    data = open_store(folder or ("/" if uri.startswith("/") else "."), settings).get(key).data
    if not data.strip():
        raise InputError(f"the file {uri} is empty")
    return data


def read_table(uri: str, settings: Settings) -> pd.DataFrame:
    """Read a CSV or Parquet file from a local path or s3://bucket/key; CSV cells stay text.

    Raises:
        InputError: no such file, an empty one, or not readable as what its ending says.
    """
    data = read_bytes(uri, settings)
    suffix = PurePosixPath(uri).suffix.lower()
    try:
        if suffix == ".parquet":
            return pd.read_parquet(io.BytesIO(data))
        if suffix in {".csv", ".tsv"}:
            tab = "\t" if suffix == ".tsv" else ","
            return pd.read_csv(io.BytesIO(data), dtype=str, sep=tab, keep_default_na=False, na_values=NOTHING)
    except (ValueError, OSError) as error:
        raise InputError(f"the labels {uri} can't be read as {suffix}: {error}") from None
    raise InputError(f"the labels {uri} have to end in .csv, .tsv or .parquet")


def from_table(table: pd.DataFrame, columns: LabelColumns, images: Photos, name: str) -> LabelledCatalog:
    """A labelled catalog of whole photos, or of boxes where the table has x1, y1, x2, y2.

    Rows said twice are taken once; pictures with contradicting labels are left out; the notes name them.

    Raises:
        InputError: a column is missing (the message names those there are), the table is empty, a row names no photo
            or no product, a box is not made of numbers, or every picture contradicts itself.
    """
    wanted = [columns.file, *(column.removesuffix(FIRST_WORD) for column in columns.heads.values())]
    wanted += [columns.product] if columns.product else []
    if missing := [column for column in wanted if column not in table.columns]:
        raise InputError(f"the labels of {name!r} have no column {missing[0]!r}; there are: {', '.join(table.columns)}")
    if table.empty:
        raise InputError(f"the labels of {name!r} have no rows")
    for column in dict.fromkeys([columns.file, columns.product or columns.file]):
        nothing = table[column].isna() | (table[column].astype(str).str.strip() == "")
        if nothing.any():
            first = int(nothing.to_numpy().argmax()) + 1
            raise InputError(f"{int(nothing.sum())} rows of {name!r} have no {column!r}, the first is data row {first}")
    rows = pd.DataFrame({"file": table[columns.file].astype(str)})
    rows["product_id"] = table[columns.product or columns.file].astype(str)
    for side in BOX:
        rows[side] = _numbers(table, side, name) if side in table.columns else float("nan")
    for head, column in columns.heads.items():
        rows[head] = _texts(table[column.removesuffix(FIRST_WORD)], first_word=column.endswith(FIRST_WORD))
    return _said_once(LabelledCatalog(name, rows.reset_index(drop=True), tuple(columns.heads), images))


def _numbers(table: pd.DataFrame, side: str, name: str) -> pd.Series:
    numbers = pd.to_numeric(table[side], errors="coerce")
    wrong = table[side].notna() & numbers.isna()
    if wrong.any():
        raise InputError(f"column {side!r} of {name!r} holds pixels of a box, not {table[side][wrong].iloc[0]!r}")
    return numbers.astype("float32")


def _said_once(catalog: LabelledCatalog) -> LabelledCatalog:
    """The catalog without rows that repeat one another, and without pictures whose rows contradict one another."""
    rows, heads, notes = catalog.rows, list(catalog.heads), list(catalog.notes)
    picture = ["file", *BOX]
    again = rows.duplicated([*picture, *heads])
    if again.any():
        notes.append(f"{int(again.sum())} rows say again what another row says: {_named(rows['file'][again])}")
        rows = rows[~again]
    several = rows[rows.duplicated(picture, keep=False)]
    labels = [head for head in heads if head != CAPTION]
    if len(several) and labels:
        differ = several.groupby(picture, dropna=False)[labels].transform("nunique", dropna=False).gt(1).any(axis=1)
        files = several["file"][differ]
        if len(files) == len(rows):
            raise InputError(f"every picture of {catalog.name!r} has rows with different labels: {_named(files)}")
        if len(files):
            notes.append(f"{files.nunique()} photos left out, their rows have different labels: {_named(files)}")
            rows = rows.drop(files.index)
    return replace(catalog, rows=rows.reset_index(drop=True), notes=tuple(notes))


def _named(values: pd.Series) -> str:
    first = values.drop_duplicates().head(NAMED + 1).astype(str).tolist()
    return ", ".join(first[:NAMED]) + (", ..." if len(first) > NAMED else "")


def with_label_notes(catalog: LabelledCatalog) -> LabelledCatalog:
    """Note the heads that nothing can be learned for: no label at all, or one and the same everywhere."""
    notes = []
    for head in catalog.heads:
        labels = catalog.rows[head].dropna().unique()
        if len(labels) == 0:
            notes.append(f"head {head!r} has no label in any row")
        elif len(labels) == 1:
            notes.append(f"head {head!r} has only the label {labels[0]!r}: a single-label head needs two to learn")
    return replace(catalog, notes=(*catalog.notes, *notes))


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
    return replace(catalog, rows=rows)


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
