"""Sample triptychs: the same held-out photos after every epoch, as a PNG grid and as one growing page.

Each row has two triptychs: a photo of side A, its translation and the way back, and the same from side B.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from models.translation.pictures import PicturePair, Stack
from models.translation.translator import to_bytes

FOLDER, PAGE = "samples", "samples.html"
GAP = 6
JPEG_QUALITY = 88

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"
    "img{width:100%;max-width:60rem;image-rendering:auto}h2{margin:2rem 0 .3rem}table{border-collapse:collapse}"
    "td{padding:0 1.2rem 0 0;color:#555}"
)


class SamplePage:
    """Draws the samples of a run.

    Args:
        folder: of the run; the page is `samples.html`, the grids are in `samples/`.
        pictures: the first photos of each side's test part are shown, spread evenly over it.
        count: photos of each side.
        after_epoch: a resumed run keeps the samples up to this epoch.
    """

    def __init__(self, folder: Path, pictures: PicturePair, count: int = 6, after_epoch: int = 0) -> None:
        self.folder, self.page = folder / FOLDER, folder / PAGE
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names = (pictures.a.name, pictures.b.name)
        self.shown = [spread_rows(side.test, count) for side in (pictures.a, pictures.b)]
        a, b = (html.escape(name) for name in self.names)
        self.page.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{a} and {b}</title><style>{STYLE}</style>'
            f"<h1>{a} and {b}, epoch by epoch</h1><p>Held-out photos. Left: {a}, its translation to {b}, and back. "
            f"Right: {b}, its translation to {a}, and back.</p>\n",
            encoding="utf-8",
        )
        for path in sorted(self.folder.glob("epoch-*.png")):
            if _epoch_of(path) <= after_epoch:
                self._append(_epoch_of(path), np.asarray(Image.open(path)), {})
            else:
                path.unlink()

    def add(self, epoch: int, generators: tuple[nn.Module, nn.Module], losses: dict[str, float]) -> Path:
        """Draw the samples of an epoch; returns the PNG grid."""
        a_to_b, b_to_a = generators
        columns = [*triptych(self.shown[0], a_to_b, b_to_a), *triptych(self.shown[1], b_to_a, a_to_b)]
        picture = grid(columns)
        path = self.folder / f"epoch-{epoch:04d}.png"
        Image.fromarray(picture).save(path)
        self._append(epoch, picture, losses)
        return path

    def _append(self, epoch: int, picture: np.ndarray, losses: dict[str, float]) -> None:
        """Add a section to the page: browsers need no closing tags, so the page is whole after every epoch."""
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
        data = base64.b64encode(buffer.getvalue()).decode()
        cells = "".join(f"<td>{html.escape(name)} {value:.3f}" for name, value in losses.items())
        with self.page.open("a", encoding="utf-8") as file:
            file.write(
                f'<h2 id="epoch-{epoch}">Epoch {epoch}</h2><table><tr>{cells}</table>'
                f'<img alt="samples of epoch {epoch}" src="data:image/jpeg;base64,{data}">\n'
            )


@torch.inference_mode()
def triptych(pictures: np.ndarray, there: nn.Module, back: nn.Module) -> list[np.ndarray]:
    """Real, fake and cycle, uint8 (N, 3, S, S) each, in the layout and precision that the networks have."""
    training = there.training, back.training
    device = next(there.parameters()).device
    x = torch.from_numpy(pictures).to(device).float() / 127.5 - 1
    fake = there.eval()(x)
    cycle = back.eval()(fake)
    there.train(training[0])
    back.train(training[1])
    return [pictures, to_bytes(fake).cpu().numpy(), to_bytes(cycle).cpu().numpy()]


def grid(columns: list[np.ndarray], group: int = 3) -> np.ndarray:
    """Columns of pictures uint8 (N, 3, S, S) side by side, with a gap after every `group` of them: uint8 (h, w, 3)."""
    side, rows = columns[0].shape[-1], min(len(column) for column in columns)
    width = len(columns) * (side + 2) + (len(columns) - 1) // group * GAP
    canvas = np.full((rows * (side + 2), width, 3), 255, np.uint8)
    for number, column in enumerate(columns):
        left = number * (side + 2) + number // group * GAP
        for row in range(rows):
            canvas[row * (side + 2) : row * (side + 2) + side, left : left + side] = column[row].transpose(1, 2, 0)
    return canvas


def spread_rows(stack: Stack, count: int) -> np.ndarray:
    """At most `count` pictures, spread evenly over all of them."""
    return stack.rows(np.unique(np.linspace(0, len(stack) - 1, min(count, len(stack))).round().astype(np.int64)))


def _epoch_of(path: Path) -> int:
    return int(path.stem.removeprefix("epoch-"))
