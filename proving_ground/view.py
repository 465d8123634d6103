"""Where the camera stands in the world for one picture, and how world points become polygons on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from proving_ground.camera import Camera, clip_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Polygon = NDArray[np.int32]

SUB_PIXEL_BITS = 4


@dataclass(frozen=True)
class View:
    """A camera on a car at a world pose; `s_m` is where along the road the car is."""

    camera: Camera
    x_m: float
    y_m: float
    yaw_rad: float
    s_m: float

    def to_camera(self, world_xy_m: FloatArray, height_m: FloatArray | float = 0.0) -> FloatArray:
        """World points (..., 2) at heights above ground as camera points (..., 3)."""
        dx, dy = world_xy_m[..., 0] - self.x_m, world_xy_m[..., 1] - self.y_m
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        vehicle = np.empty((*dx.shape, 3))
        vehicle[..., 0], vehicle[..., 1], vehicle[..., 2] = dx * c + dy * s, dy * c - dx * s, height_m
        return self.camera.in_camera(vehicle)

    def polygons(
        self, world_xy_m: FloatArray, height_m: FloatArray | float = 0.0, origin_v: int = 0, scale: int = 1
    ) -> list[Polygon]:
        """World polygons (p, n, 2) as clipped fixed-point pixel polygons for `cv2.fillPoly` (see `SUB_PIXEL_BITS`).

        `origin_v` is the picture row that becomes row 0; `scale` enlarges for a supersampled mask.
        """
        clipped = clip_near(self.to_camera(world_xy_m, height_m))
        if not any(len(polygon) for polygon in clipped):
            return [np.empty((0, 2), np.int32)] * len(clipped)
        pixels = self.camera.to_pixels(np.concatenate(clipped))
        pixels[:, 1] -= origin_v
        fixed = np.clip(((pixels + 0.5) * scale - 0.5) * (1 << SUB_PIXEL_BITS), -1e7, 1e7).round().astype(np.int32)
        polygons, start = [], 0
        for polygon in clipped:
            polygons.append(fixed[start : start + len(polygon)])
            start += len(polygon)
        return polygons


def drawable(polygons: Sequence[Polygon]) -> list[Polygon]:
    """Those polygons that have an area left."""
    return [polygon for polygon in polygons if len(polygon) >= 3]
