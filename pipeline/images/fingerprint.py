"""What two copies of a photo have in common: a digest of the bytes, a perceptual hash of the pixels."""

from __future__ import annotations

import hashlib

import imagehash
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

_HASHED_SIDE = 64


def sha256(data: bytes) -> str:
    """Digest of the bytes, 64 hexadecimal digits: equal for exact copies only."""
    return hashlib.sha256(data).hexdigest()


def phash(pixels: np.ndarray) -> str:
    """64-bit perceptual hash: the signs of the 8 x 8 lowest DCT coefficients against their median.

    Copies at another size or quality differ in a few bits at the most, unrelated photos in about 32.

    Args:
        pixels: uint8 (h, w, 3), RGB, upright.

    Returns:
        16 hexadecimal digits.
    """
    chw = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    small = v2.functional.resize(chw, [_HASHED_SIDE, _HASHED_SIDE], antialias=True)[0].permute(1, 2, 0)
    return str(imagehash.phash(Image.fromarray(np.ascontiguousarray(small.numpy()))))
