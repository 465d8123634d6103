"""Which roads, lights and leads the policy learns on: a pure function of the seed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from proving_ground.catalogue import scenario_by_name
from proving_ground.light import low_sun
from proving_ground.markings import Line, MarkingMix

if TYPE_CHECKING:
    from proving_ground.scenario import Scenario

TRAINING_SEEDS = range(1_000_000, 2_000_000)
"""Roads, lights and leads of these seeds are for training; everything else may be used to judge."""

_NAMES = ("lane", "stopped-lead", "braking-lead", "driving-lead")
_SHARES = (0.52, 0.18, 0.14, 0.16)
_WORN_MORE = MarkingMix(
    section_m=90.0,
    left=((Line.DASHED, 0.35), (Line.SOLID, 0.30), (Line.WORN, 0.35)),
    right=((Line.SOLID, 0.45), (Line.DASHED, 0.2), (Line.WORN, 0.35)),
)


def training_scenario(seed: int) -> Scenario:
    """A scenario to learn from: the catalogue's lanes and leads, with tighter bends, more wear and more glare for some.

    Never roads without lines and never a blinding sun: what the policy does there is not learnt but found out.
    """
    rng = np.random.default_rng([seed, 0xC0B])
    scenario = scenario_by_name(str(rng.choice(_NAMES, p=_SHARES)), seed)
    if rng.random() < 0.3:
        scenario = replace(scenario, markings=_WORN_MORE)
    if rng.random() < 0.35:
        shape = replace(
            scenario.road,
            max_abs_curvature_per_m=1 / rng.uniform(55.0, 110.0),
            min_abs_curvature_per_m=1 / rng.uniform(150.0, 600.0),
            straight_m=(20.0, rng.uniform(60.0, 250.0)),
        )
        scenario = replace(scenario, road=shape)
    if rng.random() < 0.12:
        light = low_sun(
            rng.uniform(-1.0, 1.0), glare=rng.uniform(0.3, 0.6), elevation_rad=math.radians(rng.uniform(6.0, 12.0))
        )
        scenario = replace(scenario, light=light)
    return replace(scenario, target_speed_mps=15.0, duration_s=min(scenario.duration_s, 24.0))


def obscured_scenario(seed: int) -> Scenario:
    """A scenario whose lines are worn, gone, or lost in the sun: only for telling how well lines can be seen."""
    rng = np.random.default_rng([seed, 0x0B5])
    scenario = scenario_by_name("lane", seed)
    kinds = (Line.MISSING, Line.WORN, Line.DASHED)
    if rng.random() < 0.7:
        shares = tuple(zip(kinds, (0.5, 0.35, 0.15), strict=True))
        scenario = replace(scenario, markings=MarkingMix(section_m=90.0, left=shares, right=shares))
    if rng.random() < 0.5:
        sun = low_sun(
            rng.uniform(-0.8, 0.8), glare=rng.uniform(0.4, 1.0), elevation_rad=math.radians(rng.uniform(4.0, 12.0))
        )
        scenario = replace(scenario, light=sun)
    return scenario
