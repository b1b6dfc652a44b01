"""Lights a painted canvas: normals from the relief, wrapped diffuse light, sheen, and a shadow on the ground behind."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.canvas import Canvas


def lit(canvas: Canvas, softness: float = 0.5, strength: float = 1.0) -> np.ndarray:
    """The canvas's colors under its light; float32 (H, W, 3), 0-255, only meaningful where alpha > 0.

    `softness` 0 (bare sun) to 1 (overcast); `strength` scales how far relief shows.
    """
    rows, cols = _used(canvas)
    relief = cv2.GaussianBlur(canvas.relief[rows, cols], (0, 0), max(0.5, 0.1 * canvas.scale**0.5))
    gx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125 * strength)
    gy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125 * strength)
    np.clip(gx, -1.0, 1.0, out=gx)
    np.clip(gy, -1.0, 1.0, out=gy)
    lx, ly, lz = np.array(canvas.light) / np.linalg.norm(canvas.light)
    inverse = 1 / np.sqrt(1 + gx * gx + gy * gy)
    diffuse = (lz - gx * lx - gy * ly) * inverse
    ambient = 0.35 + 0.35 * softness
    shade = ambient * (0.55 + 0.45 * inverse) + (1 - ambient) * np.maximum(diffuse, 0) / lz
    out = np.zeros_like(canvas.rgb)
    part = canvas.rgb[rows, cols] * np.minimum(shade, 1.35)[..., None]
    half = np.array([lx, ly, lz + 1])
    half /= np.linalg.norm(half)
    shine = np.maximum((half[2] - gx * half[0] - gy * half[1]) * inverse, 0)
    gloss = canvas.gloss[rows, cols]
    part += ((shine**28) * gloss * 90 + (shine**6 - 0.55) * 10 * (0.5 + gloss))[..., None]
    out[rows, cols] = part
    return out


def _used(canvas: Canvas) -> tuple[slice, slice]:
    """The smallest window that holds everything painted."""
    ys = np.flatnonzero(canvas.alpha.any(1))
    xs = np.flatnonzero(canvas.alpha.any(0))
    if len(ys) == 0:
        return slice(0, 1), slice(0, 1)
    return slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)


def ground_shadow(canvas: Canvas, reach: float, blur: float, strength: float) -> np.ndarray:
    """Light left on the ground behind the canvas's objects: float32 (H, W), 1 = unshaded.

    `reach` is how far the shadow is thrown and `blur` its softness, both in pixels.
    """
    small = 4
    size = (max(1, canvas.width // small), max(1, canvas.height // small))
    alpha = cv2.resize(canvas.alpha, size, interpolation=cv2.INTER_AREA)
    dx, dy = -canvas.light[0] * reach / small, -canvas.light[1] * reach / small
    matrix = np.array([[1, 0, dx], [0, 1, dy]])
    thrown = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR)
    wide = cv2.GaussianBlur(thrown, (0, 0), max(blur / small, 0.5))
    tight = cv2.GaussianBlur(alpha, (0, 0), max(blur / small / 4, 0.5))
    light = 1 - strength * np.maximum(wide, 0.8 * tight)
    return cv2.resize(light, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)


def over(canvas: Canvas, colors: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Composite the lit canvas on a background float32 (H, W, 3); returns float32."""
    alpha = canvas.alpha[..., None]
    return background + (colors - background) * alpha
