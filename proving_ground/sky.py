"""The sky as a panorama: gradient, clouds, hills and woods on the horizon, turned by the car's yaw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from proving_ground.textures import cloud_strip, skyline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.camera import Camera
    from proving_ground.light import Light

    ByteArray = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]


class SkyPainter:
    """Rows above the ground; one panorama of 360 degrees, made once per (camera, light)."""

    def __init__(self, light: Light, camera: Camera) -> None:
        self._width = camera.width
        self._rows = min(max(math.floor(camera.horizon_v) + 1, 0), camera.height)
        self._turn_px = round(2 * math.pi * camera.focal_px)
        if self._rows:
            panorama = _panorama(light, camera, self._rows, self._turn_px)
            self._panorama = np.concatenate([panorama, panorama[:, : self._width]], axis=1)

    def paint(self, picture: ByteArray, yaw_rad: float) -> None:
        """Overwrites the picture's rows above the horizon."""
        if self._rows:
            start = round(-yaw_rad / (2 * math.pi) * self._turn_px - self._width / 2) % self._turn_px
            picture[: self._rows] = self._panorama[:, start : start + self._width]


def _panorama(light: Light, camera: Camera, rows: int, turn_px: int) -> ByteArray:
    elevation = (camera.horizon_v - np.arange(rows))[:, None] / camera.focal_px
    climb = np.clip(elevation / 0.45, 0, 1) ** 0.7
    horizon, top = np.array(light.sky_horizon), np.array(light.sky_top)
    sky = horizon + (top - horizon) * climb[..., None]
    sky = np.broadcast_to(sky, (rows, turn_px, 3)).astype(np.float32)
    clouds = cloud_strip(rows, turn_px)[..., None] * np.clip(elevation / 0.06, 0, 1)[..., None]
    bright = np.minimum(horizon * 1.06 + 8, 255).astype(np.float32)
    sky += clouds.astype(np.float32) * (bright - sky) * 0.75
    hills, woods = skyline(turn_px)
    shade = np.array(light.shade_tint)
    for height, colour, share in ((hills, (130.0, 124.0, 104.0), 0.42), (woods, (66.0, 92.0, 78.0), 0.70)):
        covered = np.clip((height - elevation) * camera.focal_px + 0.5, 0, 1)[..., None] * share
        sky += (covered * (np.array(colour) * shade * 1.2 - sky)).astype(np.float32)
    return np.asarray(np.clip(sky, 0, 255).astype(np.uint8))
