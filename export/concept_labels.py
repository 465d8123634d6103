"""What a picture shows of the road, in numbers: the truth that the concept bottleneck learns to read.

Everything here can be seen in one picture, or is the best that one picture allows. The lead's speed is such a best
guess: its brake lights and what leads usually do tell of it, its motion does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.markings import LANE_WIDTH_M
from proving_ground.view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.camera import Camera
    from proving_ground.car import CarState
    from proving_ground.expert import Expert
    from proving_ground.road import RoadPose
    from proving_ground.world import LeadBox, World
    from runtime.contracts.source import Picture

CONCEPTS = (
    "lateral_offset_m",
    "heading_error_rad",
    "curvature_per_m",
    "curve_speed_mps",
    "gap_m",
    "lead_speed_mps",
    "visibility_ratio",
)
"""The columns of a label. Signs are ISO 8855's; see `concept_labels` for what each means."""

FREE_SPEED_MPS = 15.0
"""The speed of an empty, straight road: where `curve_speed_mps` and `lead_speed_mps` end."""
FAR_GAP_M = 80.0
"""Where `gap_m` ends: a lead beyond is a few pixels wide, and one that is not there is as far."""
REACTION_M = 1.8
"""How far the car goes before a command turns its wheels (0.12 s at 15 m/s): curvature is read there."""

_SEEN_FROM_M, _WINDOW_M, _WINDOWS = 6.0, 12.0, 3  # a window is one period of a dashed line
_BESIDE_M, _HALF_LINE_M = 0.5, 0.06
_CONTRAST_OF_GRAIN, _CONTRAST_OF_PAINT = 0.06, 0.30  # Michelson's, of bare asphalt and of new paint at noon


@dataclass(frozen=True)
class Shot:
    """One picture, the car that took it, where on the road it stood, and when."""

    picture: Picture
    car: CarState
    pose: RoadPose
    t_s: float


def concept_labels(world: World, camera: Camera, expert: Expert, shot: Shot) -> NDArray[np.float32]:
    """The concepts of one picture, float32 (7,), in the order of `CONCEPTS`.

    Offset of the rear axle's middle from the lane's centre, heading relative to the lane, the lane's curvature
    `REACTION_M` ahead, the speed that the curves within 90 m allow, the free way to the lead's rear bumper, its speed,
    and how well the lane's lines stand out (0 not at all, 1 as new paint at noon).
    """
    pose = shot.pose
    lead = world.lead_box(shot.t_s)
    gap_m, lead_speed_mps = FAR_GAP_M, FREE_SPEED_MPS
    if lead is not None and _in_picture(lead, camera, shot):
        ahead_m = lead.s_m - pose.s_m - world.scenario.car.wheelbase_m - world.scenario.car.front_overhang_m
        if ahead_m < FAR_GAP_M:
            gap_m, lead_speed_mps = max(ahead_m, 0.0), min(lead.state.speed_mps, FREE_SPEED_MPS)
    return np.array(
        [
            pose.lateral_offset_m,
            pose.heading_error_rad,
            world.road.curvature_at(pose.s_m + REACTION_M),
            min(expert.curve_speed_mps(world, pose.s_m), FREE_SPEED_MPS),
            gap_m,
            lead_speed_mps,
            visibility_ratio(world, camera, shot),
        ],
        np.float32,
    )


def visibility_ratio(world: World, camera: Camera, shot: Shot) -> float:
    """How well the lane's two lines stand out from the road beside them, 6 to 42 m ahead, as the picture shows: 0 to 1.

    The mean over line and window of Michelson's contrast (L - R) / (L + R), taken where the window's paint is
    strongest, so that dashes count like a line. Windows outside the picture do not count; with none inside it is 0.
    """
    grey = cv2.cvtColor(shot.picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    view = _view(camera, shot)
    per_window = int(_WINDOW_M)
    s_m = shot.pose.s_m + _SEEN_FROM_M + np.arange(_WINDOWS * per_window)
    across = np.array([-_BESIDE_M, -_HALF_LINE_M, 0.0, _HALF_LINE_M, _BESIDE_M])
    contrasts: list[float] = []
    for line_m in (LANE_WIDTH_M / 2, -LANE_WIDTH_M / 2):
        points = view.to_camera(
            world.road.place(np.repeat(s_m, len(across)), np.tile(line_m + across, len(s_m))).reshape(-1, 2)
        )
        # A point behind the camera has no pixel: it is moved ahead for the arithmetic, and does not count.
        ahead = points[:, 2] > 1.0
        points[:, 2] = np.maximum(points[:, 2], 1.0)
        uv = camera.to_pixels(points).astype(np.float32)
        inside = ahead & (uv >= 0).all(axis=1) & (uv <= np.array([camera.width - 1, camera.height - 1])).all(axis=1)
        found = cv2.remap(grey, uv[:, :1], uv[:, 1:], cv2.INTER_LINEAR).reshape(len(s_m), len(across))
        whole = inside.reshape(len(s_m), len(across)).all(axis=1)
        paint, road = found[:, 1:4].max(axis=1), (found[:, 0] + found[:, 4]) / 2
        contrast = np.where(whole, (paint - road) / np.maximum(paint + road, 1.0), np.nan).reshape(_WINDOWS, per_window)
        for window in contrast:
            seen = np.sort(window[~np.isnan(window)])
            if len(seen) >= per_window // 2:
                contrasts.append(float(seen[-3:].mean()))
    if not contrasts:
        return 0.0
    scaled = (np.array(contrasts) - _CONTRAST_OF_GRAIN) / (_CONTRAST_OF_PAINT - _CONTRAST_OF_GRAIN)
    return float(np.clip(scaled, 0.0, 1.0).mean())


def _in_picture(lead: LeadBox, camera: Camera, shot: Shot) -> bool:
    """Whether the middle of the lead's rear stands in the picture's width."""
    rear = _view(camera, shot).to_camera(np.array([lead.x_m, lead.y_m]))
    return bool(rear[2] > 0) and abs(math.atan2(rear[0], rear[2])) < camera.horizontal_fov_rad / 2


def _view(camera: Camera, shot: Shot) -> View:
    return View(camera, shot.car.x_m, shot.car.y_m, shot.car.yaw_rad, shot.pose.s_m)
