"""What a low sun does to the lens, the road's shine under it, and what the sensor adds.

A model for looks, not for optics: bloom and veil fall off with the angle to the sun (the shape of Vos 1984's glare
spread function, two terms), exposure drops while the sun is in view, everything saturates at 255.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.enlarge import enlarged
from proving_ground.markings import hash_unit
from proving_ground.textures import sensor_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.camera import Camera
    from proving_ground.light import Light
    from proving_ground.view import View

    ByteArray = NDArray[np.uint8]

_COARSE = 8
_SUN_BGR = (205.0, 238.0, 255.0)


class LensPainter:
    """The last layers of a picture: glare, then sensor noise that belongs to the time of the exposure."""

    def __init__(self, light: Light, camera: Camera) -> None:
        self._light = light
        self._camera = camera
        columns, rows = -(-camera.width // _COARSE), -(-camera.height // _COARSE)
        self._size = (columns * _COARSE, rows * _COARSE)
        focal = camera.focal_px
        self._u = ((np.arange(columns) + 0.5) * _COARSE - camera.width / 2) / focal
        self._v = ((np.arange(rows)[:, None] + 0.5) * _COARSE - camera.height / 2) / focal
        self._below = np.clip((self._v * focal + camera.height / 2 - camera.horizon_v) / focal, 0, None)
        sigma = 3.2 if light.lamps else 1.8
        self._noise = sensor_noise(camera.height, camera.width, sigma)

    def paint(self, picture: ByteArray, view: View, t_s: float) -> None:
        """Changes the picture in place."""
        if self._light.glare > 0:
            self._glare(picture, view.yaw_rad)
        corner = hash_unit(np.array([round(t_s * 1e4)]), self._camera.width)[0] * 4096
        row, column = int(corner) // 64, int(corner) % 64
        height, width = picture.shape[:2]
        noise = self._noise[row : row + height, column : column + width]
        cv2.addWeighted(picture, 1.0, noise, 1.0, -128.0, dst=picture)

    def _glare(self, picture: ByteArray, yaw_rad: float) -> None:
        light, camera = self._light, self._camera
        bearing = (light.sun_azimuth_rad - yaw_rad + math.pi) % (2 * math.pi) - math.pi
        seen = min(max((math.radians(75.0) - abs(bearing)) / math.radians(35.0), 0.0), 1.0)
        if seen == 0.0:
            return
        bearing = min(max(bearing, -1.3), 1.3)
        sun_u = -math.tan(bearing)
        sun_v = (camera.horizon_v + 0.5 - camera.height / 2) / camera.focal_px - math.tan(light.sun_elevation_rad)
        strength = light.glare * seen
        squared = (self._u - sun_u) ** 2 + (self._v - sun_v) ** 2
        bloom = 3.0 * np.exp(-squared / 0.05**2) + 0.75 / (1 + squared / 0.16**2) + 0.16
        shine = 0.9 * np.exp(-(((self._u - sun_u) / (0.16 + 0.5 * self._below)) ** 2)) * np.exp(-self._below / 0.30)
        veil = strength * (bloom + shine * (self._below > 0))
        exposure = 1.0 - 0.45 * strength
        layers = [enlarged((veil * colour).astype(np.float32), *self._size) for colour in _SUN_BGR]
        glow = cv2.merge([np.clip(layer, 0, 255).astype(np.uint8) for layer in layers])
        height, width = picture.shape[:2]
        cv2.addWeighted(picture, exposure, np.ascontiguousarray(glow[:height, :width]), 1.0, 0.0, dst=picture)
