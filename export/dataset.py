"""Frames with the expert's answer: off-line poses that no lap visits, and the states that a policy drives itself into.

The second is DAgger (Ross, Gordon and Bagnell, arXiv 1011.0686): the policy drives, the expert labels. Both are pure
functions of the scenario, its seed, and the policy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from export.reference import image_input
from proving_ground.car import CarState
from proving_ground.expert import Expert
from proving_ground.render import Renderer
from proving_ground.simulation import Simulation
from proving_ground.world import World
from runtime.contracts.vehicle import Control
from runtime.preprocess import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.policy import OnnxPolicy
    from proving_ground.scenario import Scenario
    from runtime.contracts.source import Picture

_NUDGE_EVERY_S, _NUDGE_S, _NUDGE_RAD = 3.0, 0.35, 0.07
_FARTHEST_S_M = 4000.0


@dataclass(frozen=True)
class Samples:
    """n frames: model inputs, uint8 (n, 66, 200, 3); speed and the expert's steering and acceleration, float32 (n,)."""

    images: NDArray[np.uint8]
    speed_mps: NDArray[np.float32]
    steering_angle_rad: NDArray[np.float32]
    acceleration_mps2: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)


def concatenate(parts: list[Samples]) -> Samples:
    """All frames of several sets, in order."""
    return Samples(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.speed_mps for part in parts]),
        np.concatenate([part.steering_angle_rad for part in parts]),
        np.concatenate([part.acceleration_mps2 for part in parts]),
    )


def scattered_frames(scenario: Scenario, count: int) -> Samples:
    """Frames from poses strewn over the scenario's road and time: off-centre, askew, too fast, too close."""
    rng = np.random.default_rng([scenario.seed, 0x5CA7])
    world, expert = World(scenario), Expert()
    renderer = Renderer(world, scenario.camera)
    frames = _Frames()
    while len(frames) < count:
        t_s = float(rng.uniform(0.0, 30.0))
        placed = _scattered_car(world, rng, t_s)
        if placed is None:
            continue
        car, s_m = placed
        pose = world.road.project(car.x_m, car.y_m, car.yaw_rad, s_m)
        picture = renderer.render(car.x_m, car.y_m, car.yaw_rad, pose.s_m, t_s)
        frames.add(picture, car.speed_mps, expert.control(world, car, pose, t_s))
    return frames.samples()


def visited_frames(scenario: Scenario, policy: OnnxPolicy, keep_every: int) -> Samples:
    """The policy drives, nudged now and then; every `keep_every`-th frame with what the expert would have done."""
    rng = np.random.default_rng([scenario.seed, 0xDA66])
    started = replace(
        scenario,
        start_s_m=float(rng.uniform(10.0, 800.0)),
        start_lateral_offset_m=float(rng.uniform(-0.9, 0.9)),
        start_heading_error_rad=float(rng.uniform(-0.08, 0.08)),
        start_speed_mps=float(rng.uniform(6.0, 15.0)),
        ends=replace(scenario.ends, departed_s=2.5, collided_s=0.0),
    )
    simulation = Simulation(started)
    frames = _Frames()
    period = max(1, round(_NUDGE_EVERY_S * scenario.frame_rate_hz))
    length = round(_NUDGE_S * scenario.frame_rate_hz)
    nudge_rad = 0.0
    while simulation.end is None:
        picture, speed = simulation.picture_at(simulation.car), simulation.car.speed_mps
        if simulation.sequence % keep_every == 0:
            frames.add(picture, speed, simulation.expert_control())
        control = policy.control(picture, speed)
        phase = simulation.sequence % period
        if phase == 0:
            nudge_rad = float(rng.normal(0.0, _NUDGE_RAD))
        steering = control.steering_angle_rad + (nudge_rad if phase < length else 0.0)
        simulation.step(Control(steering, control.acceleration_mps2))
    return frames.samples()


class _Frames:
    def __init__(self) -> None:
        self._spec = image_input()
        self._rows: list[tuple[NDArray[np.uint8], float, Control]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, picture: Picture, speed_mps: float, expert: Control) -> None:
        self._rows.append((np.asarray(preprocess(picture, self._spec))[0], speed_mps, expert))

    def samples(self) -> Samples:
        return Samples(
            np.stack([row[0] for row in self._rows]),
            np.array([row[1] for row in self._rows], np.float32),
            np.array([row[2].steering_angle_rad for row in self._rows], np.float32),
            np.array([row[2].acceleration_mps2 for row in self._rows], np.float32),
        )


def _scattered_car(world: World, rng: np.random.Generator, t_s: float) -> tuple[CarState, float] | None:
    """A car somewhere on the road, or somewhere behind the lead; None where that lies before the road's beginning."""
    model = world.scenario.car
    lead = world.lead_box(t_s)
    speed = float(rng.uniform(0.0, 17.0))
    s_m = float(rng.uniform(0.0, _FARTHEST_S_M))
    if lead is not None:
        gap = math.exp(float(rng.uniform(math.log(2.0), math.log(110.0))))
        s_m = lead.s_m - model.wheelbase_m - model.front_overhang_m - gap
        # Faster than this nobody comes who has braked at all: such frames would teach panic, not driving.
        speed = min(speed, math.sqrt(lead.state.speed_mps**2 + 2 * 5.0 * gap) + 2.0)
    if s_m < 0.0:
        return None
    wide = rng.random() < 0.4
    offset = float(rng.uniform(-1.7, 1.7) if wide else rng.normal(0.0, 0.35))
    askew = float(rng.uniform(-0.25, 0.25) if wide else rng.normal(0.0, 0.05))
    at = world.road.points(np.array([s_m]))
    x, y = world.road.place(np.array([s_m]), np.array([offset]))[0]
    along_road = math.atan(model.wheelbase_m * float(at.curvature_per_m[0]))
    steering = along_road + float(rng.normal(0.0, 0.02))
    return CarState(float(x), float(y), float(at.heading_rad[0]) + askew, speed, steering), s_m
