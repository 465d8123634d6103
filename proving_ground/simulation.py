"""One simulated drive: a world, a car in it, and frames. The adapter to the runtime and the training both use it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from proving_ground.car import CarState, step_car
from proving_ground.expert import Expert
from proving_ground.render import Renderer
from proving_ground.truth import truth_at
from proving_ground.world import World
from runtime.contracts.units import NS_PER_S

if TYPE_CHECKING:
    from proving_ground.road import RoadPose
    from proving_ground.scenario import Scenario
    from runtime.contracts.messages import GroundTruth
    from runtime.contracts.source import Picture
    from runtime.contracts.vehicle import Control

EndReason = Literal["duration", "departed", "collided"]


@dataclass(frozen=True)
class Observation:
    """One frame: the picture, the car that took it, and the truth about it."""

    sequence: int
    t_source_ns: int
    picture: Picture
    car: CarState
    truth: GroundTruth


class Simulation:
    """A drive of one scenario, frame by frame. Deterministic: the same scenario and controls give the same bits.

    `observe` shows the frame at the present time, `step` moves everything on by one frame under a held control.
    `picture_at` and `truth_of` answer for any car state, also one that the drive never had (training off the line).
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.world = World(scenario)
        self.expert = Expert()
        self._renderer: Renderer | None = None
        self.sequence = 0
        self.car = self.car_at(
            scenario.start_s_m,
            scenario.start_lateral_offset_m,
            scenario.start_heading_error_rad,
            scenario.start_speed_mps,
        )
        self._s_m = scenario.start_s_m
        self._departed_since: int | None = None
        self._collided_since: int | None = None
        self._watch(self.truth_of(self.car))

    @property
    def t_source_ns(self) -> int:
        """Simulated time of the present frame, from 0."""
        return round(self.sequence * NS_PER_S / self.scenario.frame_rate_hz)

    @property
    def frame_count(self) -> int:
        """Frames until the duration is over."""
        return max(1, round(self.scenario.duration_s * self.scenario.frame_rate_hz))

    @property
    def end(self) -> EndReason | None:
        """Why the drive is over before the present frame, or None while it goes on."""
        if self.sequence >= self.frame_count:
            return "duration"
        ends = self.scenario.ends
        if self._over(self._collided_since, ends.collided_s):
            return "collided"
        return "departed" if self._over(self._departed_since, ends.departed_s) else None

    @property
    def collided(self) -> bool:
        """Whether the car has run into the lead, now or before."""
        return self._collided_since is not None

    def car_at(
        self, s_m: float, lateral_offset_m: float = 0.0, heading_error_rad: float = 0.0, speed_mps: float = 13.0
    ) -> CarState:
        """A car placed on the road, its wheels straight."""
        x, y, heading = self.world.road.pose_at(s_m, lateral_offset_m)
        return CarState(x, y, heading + heading_error_rad, speed_mps)

    def observe(self) -> Observation:
        """The present frame."""
        picture = self.picture_at(self.car)
        return Observation(self.sequence, self.t_source_ns, picture, self.car, self.truth_of(self.car))

    def step(self, control: Control) -> None:
        """On to the next frame. A car that ran into the lead goes on at most as fast as the lead."""
        before = self.t_source_ns
        self.sequence += 1
        self.car = step_car(self.car, control, (self.t_source_ns - before) / NS_PER_S, self.scenario.car)
        truth = self.truth_of(self.car)
        self._s_m = truth.s_m
        self._watch(truth)
        lead = self.world.lead_box(self.t_source_ns / NS_PER_S)
        if truth.collided and lead is not None and self.car.speed_mps > lead.state.speed_mps:
            self.car = replace(self.car, speed_mps=lead.state.speed_mps, acceleration_mps2=0.0)

    def picture_at(self, car: CarState) -> Picture:
        """The picture that `car` takes at the present time; uint8 (height, width, 3) BGR."""
        if self._renderer is None:
            self._renderer = Renderer(self.world, self.scenario.camera)
        t_s = self.t_source_ns / NS_PER_S
        return self._renderer.render(car.x_m, car.y_m, car.yaw_rad, self.road_pose(car).s_m, t_s)

    def road_pose(self, car: CarState) -> RoadPose:
        """`car` seen from the road, searched for around the drive's own car (60 m)."""
        return self.world.road.project(car.x_m, car.y_m, car.yaw_rad, self._s_m)

    def truth_of(self, car: CarState) -> GroundTruth:
        """Ground truth for `car` at the present time."""
        return truth_at(self.world, car, self.road_pose(car), self.sequence, self.t_source_ns)

    def expert_control(self, car: CarState | None = None) -> Control:
        """What the expert would do with `car` (the drive's own where none is given) at the present time."""
        chosen = self.car if car is None else car
        return self.expert.control(self.world, chosen, self.road_pose(chosen), self.t_source_ns / NS_PER_S)

    def _watch(self, truth: GroundTruth) -> None:
        if not truth.departed:
            self._departed_since = None
        elif self._departed_since is None:
            self._departed_since = self.t_source_ns
        if truth.collided and self._collided_since is None:
            self._collided_since = self.t_source_ns

    def _over(self, since_ns: int | None, allowed_s: float | None) -> bool:
        return since_ns is not None and allowed_s is not None and self.t_source_ns - since_ns >= allowed_s * NS_PER_S
