"""Lights a painted canvas: normals from the relief, wrapped diffuse light, sheen, and a shadow on the ground behind."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.canvas import Canvas


def lit(canvas: Canvas, softness: float = 0.5, strength: float = 1.0) -> np.ndarray:
    """Light the canvas in place (once); returns its colors, float32 (H, W, 3), 0-255, meaningful where alpha > 0.

    `softness` 0 (bare sun) to 1 (overcast); `strength` scales how far relief shows.
    """
    rows, cols = _used(canvas)
    relief = cv2.GaussianBlur(canvas.relief[rows, cols], (0, 0), max(0.5, 0.1 * canvas.scale**0.5))
    gx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125 * strength)
    gy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125 * strength)
    np.clip(gx, -1.0, 1.0, out=gx)
    np.clip(gy, -1.0, 1.0, out=gy)
    lx, ly, lz = (np.array(canvas.light) / np.linalg.norm(canvas.light)).astype(np.float32)
    inverse = 1 / np.sqrt(1 + gx * gx + gy * gy)
    diffuse = (lz - gx * lx - gy * ly) * inverse
    ambient = 0.35 + 0.35 * softness
    shade = ambient * (0.55 + 0.45 * inverse) + (1 - ambient) * np.maximum(diffuse, 0) / lz
    part = canvas.rgb[rows, cols]
    part *= np.minimum(shade, 1.35)[..., None]
    hx, hy, hz = (np.array([lx, ly, lz + 1]) / np.linalg.norm([lx, ly, lz + 1])).astype(np.float32)
    shine = np.maximum((hz - gx * hx - gy * hy) * inverse, 0)
    gloss = canvas.gloss[rows, cols]
    shine *= shine
    shine *= shine * shine  # to the 6th
    sheen = (shine - np.float32(0.55)) * (gloss * 10 + 5)
    if gloss.any():
        shine *= shine
        sheen += shine * shine * (gloss * 90)
    part += sheen[..., None]
    return canvas.rgb


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
    """Composite the lit canvas onto a background float32 (H, W, 3), in place; returns it."""
    window = _used(canvas)
    part = background[window]
    front = colors[window] - part
    front *= canvas.alpha[window][..., None]
    part += front
    return background
