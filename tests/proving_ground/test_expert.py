"""The expert keeps its lane, comes back to it, and stops where a good driver would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proving_ground.catalogue import scenario_by_name
from proving_ground.scenario import Scenario
from proving_ground.simulation import Simulation
from runtime.contracts.messages import GroundTruth


def _drive(scenario: Scenario) -> list[GroundTruth]:
    simulation = Simulation(scenario)
    truths = []
    while simulation.end is None:
        truths.append(simulation.truth_of(simulation.car))
        simulation.step(simulation.expert_control())
    return truths


@pytest.mark.parametrize("seed", [0, 3, 21, 404])
def test_it_keeps_its_lane_for_a_minute(seed: int) -> None:
    truths = _drive(scenario_by_name("lane", seed))
    assert len(truths) == 1200
    assert max(abs(truth.lateral_offset_m) for truth in truths) < 0.15
    assert not any(truth.departed for truth in truths)
    assert truths[-1].s_m > 600.0


@pytest.mark.parametrize(
    ("offset", "heading"), [(1.2, 0.0), (-1.2, 0.0), (0.0, 0.2), (0.0, -0.2), (1.5, 0.15), (-3.0, 0.0)]
)
def test_it_comes_back_from_off_the_centre_without_swinging_over(offset: float, heading: float) -> None:
    start = replace(scenario_by_name("lane", 5), start_lateral_offset_m=offset, start_heading_error_rad=heading)
    truths = _drive(replace(start, duration_s=8.0))
    assert abs(truths[-1].lateral_offset_m) < 0.05
    if heading == 0.0:
        overshoot = min(truth.lateral_offset_m * (1 if offset > 0 else -1) for truth in truths)
        assert overshoot > -0.1


@pytest.mark.parametrize("seed", [1, 2, 30])
@pytest.mark.parametrize("name", ["stopped-lead", "braking-lead"])
def test_it_stops_four_to_six_metres_behind_a_lead_that_stands(name: str, seed: int) -> None:
    truths = _drive(scenario_by_name(name, seed))
    assert not any(truth.collided for truth in truths)
    assert truths[-1].speed_mps == 0.0
    assert truths[-1].gap_m is not None
    assert 4.0 <= truths[-1].gap_m <= 6.0


def test_it_follows_a_lead_that_drives_and_never_touches_it() -> None:
    truths = _drive(scenario_by_name("driving-lead", 6))
    gaps = [truth.gap_m for truth in truths if truth.gap_m is not None]
    assert min(gaps) > 8.0
    assert max(gaps[400:]) < 60.0


def test_it_slows_down_for_a_curve() -> None:
    simulation = Simulation(replace(scenario_by_name("lane", 2), target_speed_mps=25.0, duration_s=90.0))
    worst = 0.0
    while simulation.end is None:
        truth = simulation.truth_of(simulation.car)
        worst = max(worst, truth.speed_mps**2 * abs(truth.curvature_per_m))
        simulation.step(simulation.expert_control())
    assert worst < 3.3
