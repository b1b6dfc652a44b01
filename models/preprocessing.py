"""What happens to pixels before a network sees them. It belongs to the weights, so every model card carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.errors import CardError, DataError

if TYPE_CHECKING:  # cards are read by commands that never start torch, whose import takes seconds
    import torch

ResizeMode = Literal["stretch", "letterbox"]


@dataclass(frozen=True)
class Preprocessing:
    """Size and normalization of a network's input.

    Args:
        size: side of the square input, pixels.
        mean: subtracted from each channel, in 0..255.
        std: each channel is divided by it, in 0..255.
        resize: `stretch` ignores the aspect ratio, `letterbox` keeps it and fills the rest with `mean`.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: ResizeMode = "stretch"

    def resize_image(self, image: np.ndarray) -> torch.Tensor:
        """Resize one picture, antialiased, bilinear.

        Args:
            image: uint8 (H, W, 3), RGB.

        Returns:
            uint8 (3, size, size).
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise DataError(f"a picture is uint8 (height, width, 3), not {image.dtype} {image.shape}")
        import torch

        if not image.flags.writeable:  # torch can't share memory that must not be written
            image = image.copy()
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        if self.resize == "stretch":
            return _resized(pixels, self.size, self.size)
        height, width = image.shape[:2]
        scale = self.size / max(height, width)
        inner = _resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
        canvas = torch.tensor([round(m) for m in self.mean], dtype=torch.uint8)[:, None, None]
        canvas = canvas.expand(3, self.size, self.size).clone()
        top, left = (self.size - inner.shape[1]) // 2, (self.size - inner.shape[2]) // 2
        canvas[:, top : top + inner.shape[1], left : left + inner.shape[2]] = inner
        return canvas

    def normalize(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn uint8 (N, 3, size, size) into normalized float32 of the same shape, on the same device."""
        pixels = batch.float()
        return (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]

    def as_dict(self) -> dict[str, Any]:
        """The fields as a model card stores them."""
        return {"size": self.size, "mean": list(self.mean), "std": list(self.std), "resize": self.resize}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocessing:
        """The inverse of `as_dict`.

        Raises:
            CardError: a field is missing, unknown or out of range.
        """
        try:
            made = cls(int(fields["size"]), _triple(fields["mean"]), _triple(fields["std"]), fields["resize"])
        except (KeyError, TypeError, ValueError) as error:
            raise CardError(f"[preprocessing] needs size, mean, std and resize: {error!r}") from None
        if made.resize not in {"stretch", "letterbox"} or made.size < 1 or min(made.std) <= 0:
            raise CardError(f"[preprocessing] is out of range: {fields}")
        return made


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _resized(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    from torchvision.transforms import v2

    return v2.functional.resize(pixels[None], [height, width], antialias=True)[0].contiguous()
