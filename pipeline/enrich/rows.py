"""Readings to table rows: exactly the columns that `pipeline.tables.schema` declares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from models.heads import Answer
from pipeline.catalog import PlannedImage
from pipeline.enrich.garments import Garment
from pipeline.enrich.photo import Colors
from pipeline.enrich.reading import Reading
from pipeline.enrich.variants import WHOLE_IMAGE, Variant
from pipeline.images.color_names import agree
from pipeline.tables.schema import STANDARD_HEADS, TABLES


@dataclass(frozen=True)
class Stamp:
    """What every row of a batch says of where it comes from.

    Args:
        batch_id: the batch.
        run_id: the run.
        release_id: release whose models read the photos.
        feature_id: backbone and detector that made the features.
        enriched_at: when, UTC.
    """

    batch_id: str
    run_id: str
    release_id: str
    feature_id: str
    enriched_at: datetime


class Rows:
    """Rows of one batch, collected photo by photo."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self._images: list[dict[str, Any]] = []
        self._garments: list[dict[str, Any]] = []
        self._embeddings: list[dict[str, Any]] = []
        self._variants: list[Variant] = []

    def add(self, reading: Reading) -> None:
        """Take the rows of one photo; nothing of its pixels is kept."""
        photo = reading.photo
        common = _identity(photo.image, self.stamp)
        self._images.append(common | self._image(reading))
        self._embeddings.append(common | self._embedding(reading.features[0], "image", WHOLE_IMAGE))
        scale = np.array([photo.decoded.width, photo.decoded.height] * 2) / (photo.decoded.pixels.shape[1::-1] * 2)
        for index, garment in enumerate(reading.garments):
            row = _garment(garment, index, scale, (photo.decoded.width, photo.decoded.height))
            answers = {head: given[1 + index] for head, given in reading.answers.items()}
            labels = label_columns(answers, garment.colors)
            self._garments.append(common | {"run_id": self.stamp.run_id} | row | labels)
            self._embeddings.append(common | self._embedding(reading.features[1 + index], "garment", index))

    def add_variant(self, variant: Variant) -> None:
        """Take what was made of a photo; the order does not matter."""
        self._variants.append(variant)

    def tables(self, model_seconds: float) -> dict[str, pa.Table]:
        """Rows by table. `model_seconds` are shared out by the rows each photo sent to the models."""
        rows = sum(1 + row["garments"] for row in self._images)
        for row in self._images:
            row["model_ms"] = 1000.0 * model_seconds * (1 + row["garments"]) / max(rows, 1)
        made = sorted(self._variants, key=lambda one: (one.source.image.image_key, one.generator.name))
        vectors = [
            _identity(one.source.image, self.stamp)
            | self._embedding(one.feature, "variant", one.source.garment_index)
            | {"generator": one.generator.name}
            for one in made
        ]
        rows = {
            "images": self._images,
            "garments": self._garments,
            "embeddings": self._embeddings + vectors,
            "variants": [self._variant(one) for one in made],
        }
        return {table: pa.Table.from_pylist(found, TABLES[table].arrow_schema) for table, found in rows.items()}

    def _image(self, reading: Reading) -> dict[str, Any]:
        photo = reading.photo
        caption, caption_score = reading.caption or (None, None)
        return label_columns({head: given[0] for head, given in reading.answers.items()}, photo.colors) | {
            "run_id": self.stamp.run_id,
            "feature_id": self.stamp.feature_id,
            "product_id": photo.image.product_id,
            "bytes": photo.size,
            "format": photo.decoded.format,
            "width": photo.decoded.width,
            "height": photo.decoded.height,
            "sha256": photo.sha256,
            "phash": photo.phash,
            "caption": caption,
            "caption_score": caption_score,
            "garments": len(reading.garments),
            "main_group": reading.garments[0].group if reading.garments else None,
            "fetch_ms": photo.fetch_ms,
            "decode_ms": photo.decode_ms,
            "enriched_at": self.stamp.enriched_at,
        }

    def _variant(self, made: Variant) -> dict[str, Any]:
        generator = made.generator
        return _identity(made.source.image, self.stamp) | {
            "run_id": self.stamp.run_id,
            "garment_index": made.source.garment_index,
            "generator": generator.name,
            "target_group": generator.rule.target_group,
            "seed": generator.translator.card.seed,
            "variant_key": made.key,
            "target_probability": made.target_probability,
            "color_distance": made.color_distance,
            "synthetic": True,
            "target": generator.translator.target,
            "generator_id": generator.generator_id,
        }

    def _embedding(self, feature: np.ndarray, kind: str, index: int) -> dict[str, Any]:
        vector, norm = encode(feature)
        return {
            "kind": kind,
            "garment_index": index,
            "feature_id": self.stamp.feature_id,
            "dim": len(feature),
            "norm": norm,
            "vector": vector,
        }


def encode(feature: np.ndarray) -> tuple[bytes, float]:
    """A feature, float32 (D,), as the table keeps it: L2-normalized little-endian float16 bytes, and its length."""
    norm = float(np.linalg.norm(feature))
    return (feature / max(norm, 1e-12)).astype("<f2").tobytes(), norm


def label_columns(answers: dict[str, Answer], colors: Colors) -> dict[str, Any]:
    """Labels and scores of one picture, and what its measured color says to them.

    A standard head has columns of its own. Every other head's answers, and the further answers of a standard head that
    may give several, go to `attributes`.
    """
    columns: dict[str, Any] = {}
    for head in STANDARD_HEADS:
        answer = answers.get(head)
        columns[head] = answer.label if answer else None
        columns[f"{head}_score"] = answer.score if answer else None
    columns["attributes"] = [
        {"head": head, "label": given.label, "score": given.score}
        for head, answer in answers.items()
        for given in (answer.extra if head in STANDARD_HEADS else (answer, *answer.extra))
    ]
    columns["color_measured"] = colors.measured.name
    columns["color_measured_share"] = colors.measured.share
    columns["color_agrees"] = agree(columns["color"], colors.measured.name)
    return columns


def _identity(image: PlannedImage, stamp: Stamp) -> dict[str, Any]:
    return {
        "image_key": image.image_key,
        "etag": image.etag,
        "release_id": stamp.release_id,
        "batch_id": stamp.batch_id,
    }


def _garment(garment: Garment, index: int, scale: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """The box goes back to pixels of the upright photo at full size, cut at its edges."""
    x1, y1, x2, y2 = np.clip(garment.box * scale, 0, [*size, *size]).tolist()
    return {
        "garment_index": index,
        "group": garment.group,
        "score": garment.score,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "is_main": index == 0,
    }
