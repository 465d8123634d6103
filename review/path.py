"""Where the command would take the car: a kinematic bicycle's arc on a flat road, seen by a pinhole camera."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from review.lettering import Colour, Image
from runtime.contracts.model import Intrinsics

_NEAR_M, _FAR_M, _POINTS = 3.2, 32.0, 28
_HALF_WIDTH_M = 0.85
_LEAST_DEPTH_M = 0.5
_ASPECT_TOLERANCE = 0.02


def draw_path(
    picture: Image, steering_angle_rad: float, wheelbase_m: float, intrinsics: Intrinsics, colour: Colour
) -> bool:
    """Draw the car's width along the arc of a constant steering angle, in place, fading with distance.

    Returns False, and draws nothing, where the picture's shape is not that of the camera which the intrinsics describe.
    """
    height, width = picture.shape[:2]
    if abs(width / height / intrinsics.aspect_ratio - 1.0) > _ASPECT_TOLERANCE:
        return False
    curvature_per_m = math.tan(steering_angle_rad) / wheelbase_m
    along_m = np.geomspace(_NEAR_M, _FAR_M, _POINTS)
    left = _projected(along_m, _HALF_WIDTH_M, curvature_per_m, intrinsics, (width, height))
    right = _projected(along_m, -_HALF_WIDTH_M, curvature_per_m, intrinsics, (width, height))
    painted = picture.copy()
    for i in range(_POINTS - 1):
        tile = np.stack([left[i], left[i + 1], right[i + 1], right[i]])
        fade = 1.0 - i / _POINTS
        under = picture[_middle(tile, picture)]
        cv2.fillConvexPoly(painted, _fixed(tile), _mixed(colour, under, 0.5 * fade), cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(painted, 0.45, picture, 0.55, 0.0, dst=picture)
    for edge in (left, right):
        cv2.polylines(picture, [_fixed(edge)], False, colour, max(1, round(width / 700)), cv2.LINE_AA, _SHIFT)
    return True


_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def _middle(tile: NDArray[np.float64], picture: Image) -> tuple[int, int]:
    x, y = tile.mean(axis=0)
    return int(np.clip(y, 0, picture.shape[0] - 1)), int(np.clip(x, 0, picture.shape[1] - 1))


def _mixed(colour: Colour, under: NDArray[np.uint8], part: float) -> Colour:
    mixed = [round(part * c + (1 - part) * float(u)) for c, u in zip(colour, under, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def _projected(
    along_m: NDArray[np.float64],
    aside_m: float,
    curvature_per_m: float,
    intrinsics: Intrinsics,
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Pixels (x, y) of points of the road, `along_m` the arc and `aside_m` to its left."""
    width, height = size
    turn = curvature_per_m * along_m
    # sin(kx)/k and (1 - cos(kx))/k without their 0/0 on a straight.
    forward = along_m * np.sinc(turn / math.pi)
    leftward = along_m * np.sin(turn / 2) * np.sinc(turn / (2 * math.pi))
    forward, leftward = forward - aside_m * np.sin(turn), leftward + aside_m * np.cos(turn)
    sin, cos = math.sin(intrinsics.pitch_rad), math.cos(intrinsics.pitch_rad)
    depth = np.maximum(forward * cos + intrinsics.mount_height_m * sin, _LEAST_DEPTH_M)
    below = intrinsics.mount_height_m * cos - forward * sin
    focal_px = width / 2 / math.tan(intrinsics.horizontal_fov_rad / 2)
    x = width / 2 - 0.5 - focal_px * leftward / depth
    y = height / 2 - 0.5 + focal_px * below / depth
    return np.stack([x, y], axis=1)
