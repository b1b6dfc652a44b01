"""DEST/contact-sheet.html: a first look at a demo catalog.

A page and not a picture, because a picture in the catalog's folder would be taken for a photo of the shop.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

CELL = (150, 200)


class ContactSheet:
    """Collects small copies of the first photos and writes them as one page."""

    def __init__(self, limit: int = 63) -> None:
        self.limit = limit
        self.cells: list[np.ndarray] = []
        self.captions: list[str] = []

    @property
    def full(self) -> bool:
        """Whether it wants no more photos."""
        return len(self.cells) >= self.limit

    def add(self, path: Path, caption: str) -> None:
        """Add one JPEG file."""
        data = path.read_bytes()
        pixels = simplejpeg.decode_jpeg(data, min_height=CELL[1], min_width=CELL[0])
        height, width = pixels.shape[:2]
        scale = min(CELL[0] / width, CELL[1] / height)
        small = cv2.resize(
            pixels, (max(1, int(width * scale)), max(1, int(height * scale))), interpolation=cv2.INTER_AREA
        )
        cell = np.full((CELL[1], CELL[0], 3), 246, np.uint8)
        top, left = (CELL[1] - small.shape[0]) // 2, (CELL[0] - small.shape[1]) // 2
        cell[top : top + small.shape[0], left : left + small.shape[1]] = small
        self.cells.append(cell)
        self.captions.append(caption)

    def write(self, path: Path) -> None:
        """Write the page; nothing where no photo was added."""
        if not self.cells:
            return
        figures = "\n".join(
            f'<figure><img alt="" src="data:image/jpeg;base64,{_encoded(cell)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for cell, caption in zip(self.cells, self.captions, strict=True)
        )
        path.write_text(_PAGE.replace("FIGURES", figures), encoding="utf-8")


def _encoded(cell: np.ndarray) -> str:
    return base64.b64encode(simplejpeg.encode_jpeg(cell, 85, "RGB")).decode("ascii")


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Demo catalog</title><style>
body { font: 12px/1.4 system-ui, sans-serif; margin: 24px; color: #222; background: #fff }
main { display: grid; grid-template-columns: repeat(auto-fill, 150px); gap: 16px }
figure { margin: 0 } img { width: 150px; height: 200px; display: block }
</style></head><body><h1>Demo catalog</h1><p>The first photos; everything in them is rendered.</p><main>
FIGURES
</main></body></html>
"""
