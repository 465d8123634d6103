"""Everything outside the car that one scenario and its seed define: road, markings, scenery, light, lead vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from proving_ground.lead import LeadState, lead_at
from proving_ground.markings import Markings
from proving_ground.road import Road
from proving_ground.scenery import SceneryMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.scenario import Scenario

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LeadBox:
    """The lead vehicle as a box in the world: middle of its rear bumper, heading, size, and its brake lights."""

    s_m: float
    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    width_m: float
    height_m: float
    paint_bgr: tuple[int, int, int]
    state: LeadState

    def to_world(self, forward_m: FloatArray, left_m: FloatArray) -> FloatArray:
        """Points of the box's own frame (rear bumper, forward, left) as world points (..., 2)."""
        c, s = np.cos(self.heading_rad), np.sin(self.heading_rad)
        return np.stack([self.x_m + forward_m * c - left_m * s, self.y_m + forward_m * s + left_m * c], axis=-1)

    def footprint(self) -> FloatArray:
        """Corners (4, 2): rear left, rear right, front right, front left."""
        forward = np.array([0.0, 0.0, self.length_m, self.length_m])
        return self.to_world(forward, self.width_m / 2 * np.array([1.0, -1.0, -1.0, 1.0]))


class World:
    """One scenario's surroundings; pure functions of place and time behind caches of what was already made."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.light = scenario.light
        self.road = Road(scenario.road, scenario.seed)
        self.markings = Markings(scenario.markings, scenario.seed)
        self.scenery = SceneryMap(scenario.scenery, self.road, scenario.seed)

    def lead_box(self, t_s: float) -> LeadBox | None:
        """The lead vehicle at `t_s`, if the scenario has one."""
        script = self.scenario.lead
        if script is None:
            return None
        state = lead_at(script, t_s)
        car = self.scenario.car
        s = self.scenario.start_s_m + car.wheelbase_m + car.front_overhang_m + script.start_gap_m + state.travelled_m
        rear, front = self.road.place(np.array([s, s + script.length_m]), np.zeros(2))
        heading = float(np.arctan2(front[1] - rear[1], front[0] - rear[0]))
        size = (script.length_m, script.width_m, script.height_m)
        return LeadBox(s, float(rear[0]), float(rear[1]), heading, *size, script.paint_bgr, state)
