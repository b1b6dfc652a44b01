"""Plain tables of boxes: CSV (file, label, x1, y1, x2, y2, maybe w, h and owner), and the truth of a demo catalog."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.boxes.annotations import BoxCollector, BoxedImage, BoxSet
from models.errors import DataError

CSV_COLUMNS = ("file", "label", "x1", "y1", "x2", "y2")
TRUTH_COLUMNS = ("image_key", "group", "x1", "y1", "x2", "y2")


def read_csv_boxes(path: Path) -> BoxSet:
    """Read a CSV file with a header; one row a box, in pixels of the photo.

    A row with a file and nothing else is a photo without a garment.

    Raises:
        DataError: no such file, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            missing = [name for name in CSV_COLUMNS if name not in (rows.fieldnames or [])]
            if missing:
                raise DataError(f"{path} lacks the columns {missing}; it needs {', '.join(CSV_COLUMNS)}")
            found = BoxCollector(str(path))
            for row in rows:
                _add(row, rows.line_num, found)
    except OSError as error:
        raise DataError(f"there is no file of boxes {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file: {error}") from None
    return found.result()


def _add(row: dict[str, str | None], line: int, found: BoxCollector) -> None:
    image = (row["file"] or "").strip()
    if not image:
        found.fault(line, "a row without a file")
        return
    try:
        width, height = (int(float(row.get(name) or 0)) for name in ("w", "h"))
        found.photo(image, width, height, (row.get("owner") or "").strip())
        if not any((row[name] or "").strip() for name in CSV_COLUMNS[1:]):
            return
        box = [float(row[name] or "") for name in CSV_COLUMNS[2:]]
    except (ValueError, OverflowError):
        found.fault(line, f"{image}: x1, y1, x2, y2 (and w, h) must be numbers")
        return
    found.box(image, (row["label"] or "").strip(), box, line)


def write_csv_boxes(found: BoxSet, path: Path) -> None:
    """Write boxes as `read_csv_boxes` reads them, photos without a garment included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow([*CSV_COLUMNS, "w", "h", "owner"])
        for image in found.images:
            for label, box in zip(image.labels, image.boxes.tolist(), strict=True):
                rows.writerow([image.image, label, *(f"{value:.1f}" for value in box), *_of_photo(image)])
            if not image.labels:
                rows.writerow([image.image, "", "", "", "", "", *_of_photo(image)])


def _of_photo(image: BoxedImage) -> tuple[int, int, str]:
    return image.width, image.height, image.owner


def read_truth(path: Path) -> BoxSet:
    """Read `truth/boxes.parquet` of a demo catalog; photos without a box, and sizes, are in `images.parquet` beside it.

    Raises:
        DataError: no such file, not Parquet, or a column is missing.
    """
    found = BoxCollector(str(path))
    beside = path.with_name("images.parquet")
    if beside.is_file():
        for row in _rows(beside, ("image_key", "product_id", "width", "height")):
            found.photo(row["image_key"], row["width"], row["height"], str(row["product_id"]))
    for number, row in enumerate(_rows(path, TRUTH_COLUMNS), start=1):
        found.box(row["image_key"], row["group"] or "", [row[name] for name in TRUTH_COLUMNS[2:]], number)
    return found.result()


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict]:
    try:
        table = pq.read_table(path, columns=list(columns))
    except OSError as error:
        raise DataError(f"there is no truth of a demo catalog {path}: {error}") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} can't be read: {error}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(f"{path} lacks the columns {missing}")
    return table.to_pylist()
