"""What a camera does to a scene: exposure, white balance, vignette, blur, sensor noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.demo import noise


@dataclass(frozen=True)
class Camera:
    """One shot's settings: exposure and white balance factors, contrast, blur sigma in pixels at 480 px width,
    noise sd, vignette 0-1, direction and strength of uneven light."""

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    blur: float = 0.0
    grain: float = 1.0
    vignette: float = 0.0
    uneven: tuple[float, float] = (0.0, 0.0)
    quality: int = 90


def studio_camera(rng: np.random.Generator) -> Camera:
    """A photo studio: even, sharp, nearly no noise."""
    warm = rng.normal(0, 0.008)
    return Camera(
        rng.uniform(0.97, 1.04),
        (1 + warm, 1.0, 1 - warm),
        rng.uniform(0.97, 1.06),
        float(rng.choice([0.0, 0.35])),
        rng.uniform(0.2, 1.2),
        0.0,
        (0.0, 0.0),
        int(rng.integers(82, 96)),
    )


def phone_camera(rng: np.random.Generator) -> Camera:
    """A phone at home: cast, uneven light, noise, some blur."""
    warm = rng.normal(0.02, 0.05)
    balance = (1 + warm, 1.0 + rng.normal(0, 0.015), 1 - warm)
    blur = float(rng.choice([0.0, 0.4, 0.7, 1.1], p=[0.35, 0.35, 0.2, 0.1]))
    uneven = (rng.normal(0, 0.1), rng.normal(0, 0.1))
    return Camera(
        rng.uniform(0.86, 1.2),
        balance,
        rng.uniform(0.88, 1.08),
        blur,
        rng.uniform(0.5, 3.8),
        rng.uniform(0, 0.2),
        uneven,
        int(rng.integers(55, 93)),
    )


def street_camera(rng: np.random.Generator) -> Camera:
    """A street photographer: good light, sharp figure."""
    warm = rng.normal(0, 0.035)
    uneven = (rng.normal(0, 0.05), rng.normal(0, 0.05))
    return Camera(
        rng.uniform(0.84, 1.15),
        (1 + warm, 1.0, 1 - warm),
        rng.uniform(0.94, 1.12),
        float(rng.choice([0.0, 0.4, 0.8])),
        rng.uniform(0.6, 3.5),
        rng.uniform(0, 0.22),
        uneven,
        int(rng.integers(70, 95)),
    )


def shoot(scene: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The photo of a scene float32 (H, W, 3), which is used up: uint8 (H, W, 3)."""
    height, width = scene.shape[:2]
    scene *= (np.asarray(camera.balance) * camera.exposure * camera.contrast).astype(np.float32)
    if camera.vignette or any(camera.uneven):
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        fall = np.float32(camera.vignette * 0.5)
        light = (np.float32(camera.uneven[0]) * x - fall * x * x) + (np.float32(camera.uneven[1]) * y - fall * y * y)
        scene *= (light + 1)[..., None]
    if camera.blur:
        scene = cv2.GaussianBlur(scene, (0, 0), camera.blur * width / 480)
    common = noise.grain_patch(height, width, rng) * np.float32(camera.grain) + np.float32(128 - 128 * camera.contrast)
    for channel in range(3):
        own = noise.grain_patch(height, width, rng) * np.float32(camera.grain * 0.5)
        own += common
        scene[..., channel] += own
    np.clip(scene, 0, 255, out=scene)
    return scene.astype(np.uint8)
