"""Procedural surfaces, made once from fixed seeds: ground grain, paint erosion, sensor noise, skyline, trees."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.enlarge import enlarged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    ByteArray = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]
    SingleArray = NDArray[np.float32]

GROUND_TILE = 1024
GROUND_PX_PER_M = 56.0
TREE_KINDS = 4
_TREE_PX = 192


def _fractal(shape: tuple[int, int], scales: tuple[tuple[float, float], ...], seed: int) -> SingleArray:
    """A sum of tiling blurred noises (sigma px, weight), zero mean, unit deviation; sides are powers of two."""
    rng = np.random.default_rng([seed, 0x7E47])
    total = np.zeros(shape, np.float32)
    for sigma, weight in scales:
        # Coarse noise is made small and enlarged: the same look for a hundredth of the time.
        shrink = 2 ** max(0, int(np.log2(max(sigma, 1.0) / 2.0)))
        small = max(1, shape[0] // shrink), shape[1] // shrink
        pad = int(4 * sigma / shrink) + 2
        noise = np.pad(rng.standard_normal(small, dtype=np.float32), pad, mode="wrap")
        if sigma > 0:
            noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma / shrink), np.float32)
        if shrink > 1:
            noise = enlarged(noise, noise.shape[1] * shrink, noise.shape[0] * shrink)
        cut = pad * shrink
        noise = noise[cut : cut + shape[0], cut : cut + shape[1]]
        total += np.float32(weight) * noise / noise.std()
    return np.asarray((total - total.mean()) / total.std(), np.float32)


@lru_cache(maxsize=1)
def ground_tile() -> ByteArray:
    """uint8 (tile, tile, 3) world texture: asphalt grain, grass grain, paint erosion, all 128-centred."""
    size = (GROUND_TILE, GROUND_TILE)
    asphalt = _fractal(size, ((0.8, 1.0), (3.0, 0.35), (60.0, 0.6)), 1)
    grass = _fractal(size, ((1.2, 0.7), (6.0, 0.9), (30.0, 1.2), (90.0, 0.7)), 2)
    erosion = _fractal(size, ((1.2, 0.7), (4.0, 1.0)), 3)
    channels = [asphalt * 36 + 128, grass * 26 + 128, erosion * 45 + 128]
    return np.asarray(np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8))


@lru_cache(maxsize=8)
def sensor_noise(height: int, width: int, sigma: float) -> ByteArray:
    """uint8 (height + 64, width + 64, 3), 128-centred; a picture adds a window whose corner its time picks."""
    rng = np.random.default_rng(4)
    grain = rng.standard_normal((height + 64, width + 64, 3), dtype=np.float32) * sigma + 128
    return np.asarray(np.clip(grain.round(), 0, 255).astype(np.uint8))


@lru_cache(maxsize=4)
def cloud_strip(height: int, width: int) -> SingleArray:
    """float32 (height, width) in 0..1, periodic in width: clouds that flatten towards the horizon."""
    noise = _fractal((256, 2048), ((8.0, 0.5), (20.0, 1.0), (60.0, 1.2)), 5)
    rows = 255.0 * (1 - np.linspace(1, 0, height) ** 0.5)
    index = np.clip(rows.astype(int), 0, 255)
    strip = enlarged(noise[index], width, height)
    return np.asarray(np.clip(strip * 0.45 - 0.1, 0, 1), np.float32)


@lru_cache(maxsize=4)
def skyline(width: int) -> tuple[SingleArray, SingleArray]:
    """Two silhouettes (width,) as elevation angles in rad, periodic: distant hills, and woods before them."""
    hills = _fractal((1, 2048), ((60.0, 1.0), (150.0, 1.5)), 6)[0]
    woods = _fractal((1, 2048), ((2.0, 0.5), (6.0, 0.8), (40.0, 1.0)), 7)[0]
    at = np.linspace(0, 2047, width)
    index = np.arange(2048)
    return (
        np.interp(at, index, np.maximum(0.030 + 0.014 * hills, 0.004)).astype(np.float32),
        np.interp(at, index, np.maximum(0.016 + 0.006 * woods, 0.003)).astype(np.float32),
    )


@lru_cache(maxsize=1)
def tree_sprites() -> tuple[SingleArray, ...]:
    """One float32 (192, 192, 3) sprite per kind: shade 0..1 of the crown, trunk share, opacity; base at the bottom."""
    return tuple(_tree(kind) for kind in range(TREE_KINDS))


def _tree(kind: int) -> SingleArray:
    rng = np.random.default_rng([kind, 0x73EE])
    size = _TREE_PX
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    opacity = np.zeros((size, size), np.float32)
    shade = np.zeros((size, size), np.float32)
    leaves = _fractal((size, size), ((1.5, 1.0), (4.0, 0.7)), 20 + kind)
    conifer = kind == TREE_KINDS - 1
    for i in range(46):
        height = rng.uniform(0.0, 1.0)
        if conifer:
            spread = 0.30 * (1 - height) * size + 3
            cy, radius = size * (0.80 - 0.74 * height), max(4.0, spread * 0.5)
            cx = size / 2 + rng.uniform(-1, 1) * spread * 0.6
        else:
            angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
            cx = size / 2 + 0.27 * size * reach * np.cos(angle)
            cy = size * 0.36 + 0.25 * size * reach * np.sin(angle)
            radius = rng.uniform(0.07, 0.13) * size
        distance = np.hypot(x - cx, (y - cy) * (1.6 if conifer else 1.1)) + leaves * radius * 0.22
        blob = np.clip((radius - distance) / 2.0, 0, 1)
        light = 0.55 + 0.35 * np.clip(((cx - x) + 1.2 * (cy - y)) / radius, -1, 1) + 0.02 * (i % 5)
        shade = np.where(blob > 0.5, light, shade)
        opacity = np.maximum(opacity, blob)
    shade = np.clip(shade + 0.10 * leaves, 0.05, 1.0)
    half_width = size * (0.016 + 0.018 * (y / size) ** 6)
    trunk = np.clip(half_width - np.abs(x - size / 2 - 2 * np.sin(y / 30)) + 0.5, 0, 1) * (y > size * 0.3)
    trunk_share = np.clip(trunk - opacity, 0, 1)
    return np.asarray(np.stack([shade, trunk_share, np.maximum(opacity, trunk)], axis=-1), np.float32)
