"""A pinhole camera on the car, without distortion or roll, above flat ground.

Vehicle frame: origin on the ground under the rear axle's middle, x forward, y left, z up. Picture: u to the right,
v downwards, the centre of the top left pixel at (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NEAR_M = 0.6


@dataclass(frozen=True)
class Camera:
    """Picture size, horizontal field of view and mount; pitch is positive nose down."""

    width: int = 640
    height: int = 360
    horizontal_fov_rad: float = math.radians(70.0)
    mount_forward_m: float = 1.6
    mount_left_m: float = 0.0
    mount_height_m: float = 1.35
    pitch_rad: float = math.radians(6.0)

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(self.horizontal_fov_rad / 2)

    @property
    def horizon_v(self) -> float:
        """Row of the horizon; it may lie outside the picture."""
        return (self.height - 1) / 2 - self.focal_px * math.tan(self.pitch_rad)

    def in_camera(self, vehicle_xyz_m: FloatArray) -> FloatArray:
        """Vehicle points (..., 3) as (right, down, depth) in metres (..., 3)."""
        c, s = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        x = vehicle_xyz_m[..., 0] - self.mount_forward_m
        z = vehicle_xyz_m[..., 2] - self.mount_height_m
        camera = np.empty(vehicle_xyz_m.shape)
        camera[..., 0] = self.mount_left_m - vehicle_xyz_m[..., 1]
        camera[..., 1], camera[..., 2] = -(x * s + z * c), x * c - z * s
        return camera

    def to_pixels(self, camera_xyz_m: FloatArray) -> FloatArray:
        """(right, down, depth) with depth > 0, (..., 3), as pixel positions (u, v), (..., 2)."""
        scale = self.focal_px / camera_xyz_m[..., 2]
        pixels = np.empty((*scale.shape, 2))
        pixels[..., 0] = (self.width - 1) / 2 + scale * camera_xyz_m[..., 0]
        pixels[..., 1] = (self.height - 1) / 2 + scale * camera_xyz_m[..., 1]
        return pixels

    def ground_rows(self) -> tuple[int, FloatArray, FloatArray]:
        """The first row that sees ground, and from it down: forward distance m (rows,) and metres per pixel (rows,)."""
        first = min(max(math.floor(self.horizon_v) + 1, 0), self.height)
        up = ((self.height - 1) / 2 - np.arange(first, self.height, dtype=np.float64)) / self.focal_px
        c, s = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        depth = self.mount_height_m / np.maximum(s - up * c, 1e-6)
        return first, depth * (c + up * s) + self.mount_forward_m, depth / self.focal_px


def clip_near(camera_xyz_m: FloatArray) -> list[FloatArray]:
    """Polygons (p, n, 3) cut at the near plane; those that vanish come back with no vertices.

    Sutherland and Hodgman (1974), for the one plane that a projection cannot do without.
    """
    if len(camera_xyz_m) == 0:
        return []
    depth = camera_xyz_m[..., 2]
    inside = depth >= NEAR_M
    if inside.all():
        return list(camera_xyz_m)
    following = np.roll(camera_xyz_m, -1, axis=1)
    next_depth = following[..., 2]
    crossing = inside != (next_depth >= NEAR_M)
    span = np.where(crossing, next_depth - depth, 1.0)
    cut = camera_xyz_m + ((NEAR_M - depth) / span)[..., None] * (following - camera_xyz_m)
    vertices = np.stack([camera_xyz_m, cut], axis=2).reshape(len(camera_xyz_m), -1, 3)
    kept = np.stack([inside, crossing], axis=2).reshape(len(camera_xyz_m), -1)
    return [polygon[mask] for polygon, mask in zip(vertices, kept, strict=True)]
