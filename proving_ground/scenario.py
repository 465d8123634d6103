"""A scenario: everything that decides what happens in one simulated drive, composed of frozen parts.

A new kind of condition (weather, traffic, a camera fault) is a new part with a default that leaves pictures as they
are; nothing else here changes for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proving_ground.camera import Camera
from proving_ground.car import CarModel
from proving_ground.light import Light, noon
from proving_ground.markings import MarkingMix, MarkingSection
from proving_ground.road import RoadShape
from proving_ground.scenery import Scenery

if TYPE_CHECKING:
    from proving_ground.lead import LeadScript


@dataclass(frozen=True)
class EndConditions:
    """What ends a drive besides its duration: seconds out of the lane, seconds after a collision; None: never."""

    departed_s: float | None = 5.0
    collided_s: float | None = 1.0


@dataclass(frozen=True)
class Scenario:
    """One drive. Two equal scenarios render the same bits; `seed` decides all that the parts leave open."""

    name: str
    seed: int
    road: RoadShape = field(default_factory=RoadShape)
    markings: tuple[MarkingSection, ...] | MarkingMix = field(default_factory=MarkingMix)
    scenery: Scenery = field(default_factory=Scenery)
    light: Light = field(default_factory=noon)
    lead: LeadScript | None = None
    car: CarModel = field(default_factory=CarModel)
    camera: Camera = field(default_factory=Camera)
    start_s_m: float = 10.0
    start_lateral_offset_m: float = 0.0
    start_heading_error_rad: float = 0.0
    start_speed_mps: float = 13.0
    target_speed_mps: float = 15.0
    duration_s: float = 60.0
    frame_rate_hz: float = 20.0
    ends: EndConditions = field(default_factory=EndConditions)
