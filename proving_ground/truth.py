"""Ground truth: what the simulation knows of the car's place, for the record and for labels, never for the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proving_ground.car import body_corners, wheel_edges
from proving_ground.markings import LANE_WIDTH_M
from runtime.contracts.messages import GroundTruth

if TYPE_CHECKING:
    from proving_ground.car import CarState
    from proving_ground.road import RoadPose
    from proving_ground.world import LeadBox, World


def truth_at(world: World, car: CarState, pose: RoadPose, sequence: int, t_source_ns: int) -> GroundTruth:
    """The truth of one frame; `pose` is the car (rear axle) as projected on `world.road`."""
    model = world.scenario.car
    departed = any(
        abs(world.road.project(x, y, car.yaw_rad, pose.s_m).lateral_offset_m) > LANE_WIDTH_M / 2
        for x, y in wheel_edges(car, model)
    )
    lead = world.lead_box(t_source_ns / 1e9)
    gap = None if lead is None else lead.s_m - pose.s_m - model.wheelbase_m - model.front_overhang_m
    return GroundTruth(
        sequence=sequence,
        t_source_ns=t_source_ns,
        lateral_offset_m=pose.lateral_offset_m,
        heading_error_rad=pose.heading_error_rad,
        curvature_per_m=pose.curvature_per_m,
        gap_m=gap,
        s_m=pose.s_m,
        departed=departed,
        collided=lead is not None and _overlap(np.array(body_corners(car, model)), lead),
        speed_mps=car.speed_mps,
    )


def _overlap(corners: np.ndarray[tuple[int, int], np.dtype[np.float64]], lead: LeadBox) -> bool:
    """Whether two rectangles share ground: separating axes (Gottschalk et al. 1996), four in the plane."""
    other = lead.footprint()
    edges = np.stack([corners[1] - corners[0], corners[2] - corners[1], other[1] - other[0], other[2] - other[1]])
    for axis in edges:
        ours, theirs = corners @ axis, other @ axis
        if ours.max() < theirs.min() or theirs.max() < ours.min():
            return False
    return True
