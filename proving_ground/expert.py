"""The expert: it reads the truth and says what a good driver would do. Labels for training; it never drives a record.

Steering: the road's curvature a lag ahead, corrected so that the lateral offset decays as a critically damped second
order system in distance (e'' + 2 e'/l + e/l^2 = 0), which is pure pursuit's behaviour without its corner cutting.
Speed: a target limited by lateral acceleration in the curves ahead, and the intelligent driver model (Treiber, Hennecke
and Helbing 2000) behind a lead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.contracts.vehicle import Control

if TYPE_CHECKING:
    from proving_ground.car import CarState
    from proving_ground.road import RoadPose
    from proving_ground.world import World


@dataclass(frozen=True)
class Expert:
    """Its taste: how fast an offset decays, how hard it corners and brakes, where it stops behind a lead."""

    decay_time_s: float = 0.8
    min_decay_m: float = 6.0
    max_lateral_acceleration_mps2: float = 2.4
    comfortable_acceleration_mps2: float = 1.5
    comfortable_braking_mps2: float = 2.0
    time_headway_s: float = 1.4
    standstill_gap_m: float = 5.0

    def control(self, world: World, car: CarState, pose: RoadPose, t_s: float) -> Control:
        """The control that leads `car`, standing at `pose` on the road, back to the lane's centre and along it."""
        return Control(self._steering(world, car, pose), self._acceleration(world, car, pose, t_s))

    def curve_speed_mps(self, world: World, s_m: float) -> float:
        """The speed at `s_m` from which every curve within 90 m can be reached at its own speed with soft braking."""
        way = np.arange(0.0, 90.0, 5.0)
        curvature = np.abs(world.road.points(s_m + way).curvature_per_m)
        cornering = self.max_lateral_acceleration_mps2 / np.maximum(curvature, 1e-4)
        return float(np.sqrt(cornering + 2 * 0.6 * self.comfortable_braking_mps2 * way).min())

    def _steering(self, world: World, car: CarState, pose: RoadPose) -> float:
        model = world.scenario.car
        ahead_m = car.speed_mps * model.steering_lag_s
        now_per_m = math.tan(car.steering_angle_rad) / model.wheelbase_m
        heading = pose.heading_error_rad + ahead_m * (now_per_m - pose.curvature_per_m)
        offset = pose.lateral_offset_m + ahead_m * math.sin(pose.heading_error_rad)
        decay_m = max(self.min_decay_m, self.decay_time_s * car.speed_mps)
        # Far off the lane the approach is a straight line at a bounded angle, not an ever sharper turn.
        offset = min(max(offset, -decay_m / 2), decay_m / 2)
        wanted = world.road.curvature_at(pose.s_m + ahead_m) - offset / decay_m**2 - 2 * math.sin(heading) / decay_m
        steering = math.atan(model.wheelbase_m * wanted)
        return min(max(steering, -model.max_steering_angle_rad), model.max_steering_angle_rad)

    def _acceleration(self, world: World, car: CarState, pose: RoadPose, t_s: float) -> float:
        model = world.scenario.car
        target = min(world.scenario.target_speed_mps, self.curve_speed_mps(world, pose.s_m))
        wanted = min(max(0.8 * (target - car.speed_mps), -3.0), self.comfortable_acceleration_mps2)
        lead = world.lead_box(t_s)
        if lead is not None:
            gap = lead.s_m - pose.s_m - model.wheelbase_m - model.front_overhang_m
            wanted = min(wanted, self._following(car.speed_mps, lead.state.speed_mps, gap))
        return min(max(wanted, -model.max_braking_mps2), model.max_acceleration_mps2)

    def _following(self, speed_mps: float, lead_speed_mps: float, gap_m: float) -> float:
        if gap_m < self.standstill_gap_m and lead_speed_mps < 0.5:
            return -2.0 if gap_m > 0.5 * self.standstill_gap_m else -6.0
        closing = speed_mps * (speed_mps - lead_speed_mps)
        geometric = 2 * math.sqrt(self.comfortable_acceleration_mps2 * self.comfortable_braking_mps2)
        desired = self.standstill_gap_m + max(0.0, speed_mps * self.time_headway_s + closing / geometric)
        return self.comfortable_acceleration_mps2 * (1.0 - (desired / max(gap_m, 0.5)) ** 2)
