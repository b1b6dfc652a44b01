"""Decoding at a reduced scale against the usual ways, on one core: ratios of one interleaved run, and pixel fidelity.

    python benchmarks/decode.py [FOLDER] [--limit 100] [--repeats 3]

FOLDER holds JPEGs (default: ../shared/data/fullsize/images, else rendered ones). Every way ends in a picture whose
short side is `decode.working_side`. Fidelity is the PSNR against a full decode followed by an exact antialiased resize.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import simplejpeg
import torch
from PIL import Image

from pipeline.images.decode import Limits, decode
from pipeline.images.pixels import shrink, working_size
from pipeline.settings import load_settings

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "fullsize" / "images"
LIMITS = Limits.of(load_settings())
SIDE = LIMITS.working_side


def pillow_full(data: bytes) -> np.ndarray:
    """The exact way the others are compared with."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize(working_size(*image.size, SIDE), Image.Resampling.BILINEAR))


def pillow_draft(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    size = working_size(*image.size, SIDE)
    image.draft("RGB", size)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))


def opencv_full(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(image, working_size(image.shape[1], image.shape[0], SIDE), interpolation=cv2.INTER_AREA)


def turbo_full(data: bytes) -> np.ndarray:
    return shrink(simplejpeg.decode_jpeg(data, "RGB"), SIDE)


def ours(data: bytes) -> np.ndarray:
    return decode(data, LIMITS).pixels


WAYS: dict[str, Callable[[bytes], np.ndarray]] = {
    "Pillow, full decode": pillow_full,
    "Pillow, draft mode": pillow_draft,
    "OpenCV, full decode": opencv_full,
    "libjpeg-turbo, full decode": turbo_full,
    "atelier (header, limits, reduced scale, strict)": ours,
}


def photos(folder: Path, limit: int) -> list[bytes]:
    files = sorted(folder.glob("*.jp*g"))[:limit] if folder.is_dir() else []
    if files:
        return [file.read_bytes() for file in files]
    from pipeline import demo

    with tempfile.TemporaryDirectory() as made:
        demo.generate(Path(made), products=8, seed=1, photos_per_product=3, sizes=((1200, 1600),))
        return [file.read_bytes() for file in sorted((Path(made) / "photos").iterdir())]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=PHOTOS)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = photos(asked.folder, asked.limit)
    spent = dict.fromkeys(WAYS, 0.0)
    for _ in range(asked.repeats):
        for one in data:
            for name, way in WAYS.items():
                started = time.process_time()
                way(one)
                spent[name] += time.process_time() - started
    count, base = len(data) * asked.repeats, spent["Pillow, full decode"]
    print(f"{len(data)} photos, {sum(map(len, data)) / len(data) / 1024:.0f} KiB on average, to {SIDE} px short side")
    print(f"{'way':<50} {'CPU ms':>8} {'times':>6} {'PSNR dB':>8}")
    for name, way in WAYS.items():
        fidelity = np.median([psnr(way(one), pillow_full(one)) for one in data[:30]])
        shown = "-" if way is pillow_full else f"{fidelity:.1f}"
        print(f"{name:<50} {1000 * spent[name] / count:8.2f} {base / spent[name]:6.2f} {shown:>8}")


if __name__ == "__main__":
    main()
