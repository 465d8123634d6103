"""Frames with the expert's answer: off-line poses that no lap visits, and the states that a policy drives itself into.

The second is DAgger (Ross, Gordon and Bagnell, arXiv 1011.0686): the policy drives, the expert labels. Both are pure
functions of the scenario, its seed, and the policy.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.concept_labels import Shot, concept_labels
from export.samples import Samples
from proving_ground.car import CarState
from proving_ground.expert import Expert
from proving_ground.render import Renderer
from proving_ground.simulation import Simulation
from proving_ground.world import World
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Control
from runtime.preprocess import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.policy import OnnxPolicy
    from proving_ground.camera import Camera
    from proving_ground.scenario import Scenario
    from runtime.contracts.model import ImageInput

_NUDGE_EVERY_S, _NUDGE_S, _NUDGE_RAD = 3.0, 0.35, 0.07
_FARTHEST_S_M = 4000.0


def scattered_frames(scenario: Scenario, image: ImageInput, count: int) -> Samples:
    """Frames, as `image` takes them, from poses strewn over the road: off-centre, askew, too fast, too close."""
    rng = np.random.default_rng([scenario.seed, 0x5CA7])
    world, expert = World(scenario), Expert()
    renderer = Renderer(world, scenario.camera)
    frames = _Frames(world, scenario.camera, expert, image)
    while len(frames) < count:
        t_s = float(rng.uniform(0.0, 30.0))
        placed = _scattered_car(world, rng, t_s)
        if placed is None:
            continue
        car, s_m = placed
        pose = world.road.project(car.x_m, car.y_m, car.yaw_rad, s_m)
        picture = renderer.render(car.x_m, car.y_m, car.yaw_rad, pose.s_m, t_s)
        frames.add(Shot(picture, car, pose, t_s))
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
    image = policy.manifest.images[0]
    frames = _Frames(simulation.world, started.camera, simulation.expert, image)
    period = max(1, round(_NUDGE_EVERY_S * scenario.frame_rate_hz))
    length = round(_NUDGE_S * scenario.frame_rate_hz)
    nudge_rad = 0.0
    while simulation.end is None:
        picture, speed = simulation.picture_at(simulation.car), simulation.car.speed_mps
        if simulation.sequence % keep_every == 0:
            car = simulation.car
            frames.add(Shot(picture, car, simulation.road_pose(car), simulation.t_source_ns / NS_PER_S))
        control = policy.control(picture, speed)
        phase = simulation.sequence % period
        if phase == 0:
            nudge_rad = float(rng.normal(0.0, _NUDGE_RAD))
        steering = control.steering_angle_rad + (nudge_rad if phase < length else 0.0)
        simulation.step(Control(steering, control.acceleration_mps2))
    return frames.samples()


class _Frames:
    def __init__(self, world: World, camera: Camera, expert: Expert, image: ImageInput) -> None:
        self._world, self._camera, self._expert, self._image = world, camera, expert, image
        self._images: list[NDArray[np.uint8]] = []
        self._told: list[tuple[float, float, float]] = []
        self._concepts: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, shot: Shot) -> None:
        control = self._expert.control(self._world, shot.car, shot.pose, shot.t_s)
        self._images.append(preprocess(shot.picture, self._image)[0])
        self._told.append((shot.car.speed_mps, control.steering_angle_rad, control.acceleration_mps2))
        self._concepts.append(concept_labels(self._world, self._camera, self._expert, shot))

    def samples(self) -> Samples:
        told = np.array(self._told, np.float32)
        return Samples(np.stack(self._images), told[:, 0], told[:, 1], told[:, 2], np.stack(self._concepts))


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
