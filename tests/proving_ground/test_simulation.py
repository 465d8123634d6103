"""The simulation keeps time, knows the truth, and ends when it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proving_ground.catalogue import scenario_by_name
from proving_ground.lead import LeadScript, SpeedPoint
from proving_ground.markings import LANE_WIDTH_M
from proving_ground.scenario import EndConditions, Scenario
from proving_ground.simulation import Simulation
from runtime.contracts.vehicle import Control

STRAIGHT_ON = Control(0.0, 0.0)


def test_frames_are_as_far_apart_as_the_frame_rate_says() -> None:
    simulation = Simulation(replace(scenario_by_name("lane", 1), frame_rate_hz=30.0, duration_s=2.0))
    times = []
    while simulation.end is None:
        times.append(simulation.t_source_ns)
        simulation.step(STRAIGHT_ON)
    assert len(times) == 60
    assert simulation.end == "duration"
    assert times[0] == 0
    assert np.abs(np.diff(times) - 1e9 / 30).max() <= 1


def test_the_start_is_where_the_scenario_puts_it() -> None:
    start = replace(scenario_by_name("lane", 1), start_lateral_offset_m=-0.4, start_heading_error_rad=0.07)
    truth = Simulation(replace(start, start_s_m=300.0, start_speed_mps=9.0)).observe().truth
    assert truth.s_m == pytest.approx(300.0)
    assert truth.lateral_offset_m == pytest.approx(-0.4)
    assert truth.heading_error_rad == pytest.approx(0.07)
    assert truth.speed_mps == 9.0
    assert truth.gap_m is None


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_wheel_over_the_lane_line_is_a_departure(side: float) -> None:
    scenario = scenario_by_name("lane", 1)
    margin = LANE_WIDTH_M / 2 - scenario.car.width_m / 2
    simulation = Simulation(scenario)
    assert not simulation.truth_of(simulation.car_at(10.0, side * (margin - 0.02))).departed
    assert simulation.truth_of(simulation.car_at(10.0, side * (margin + 0.02))).departed
    assert simulation.truth_of(simulation.car_at(10.0, side * (margin - 0.02), side * 0.05)).departed


def test_a_departure_ends_the_drive_only_after_the_allowed_time_out_of_the_lane() -> None:
    ends = EndConditions(departed_s=1.0)
    simulation = Simulation(replace(scenario_by_name("lane", 1), ends=ends, start_heading_error_rad=0.2))
    left_at = None
    while simulation.end is None:
        if left_at is None and simulation.truth_of(simulation.car).departed:
            left_at = simulation.t_source_ns
        simulation.step(STRAIGHT_ON)
    assert simulation.end == "departed"
    assert left_at is not None
    assert simulation.t_source_ns - left_at == pytest.approx(1e9, abs=1)


def test_a_car_that_comes_back_into_its_lane_in_time_drives_on() -> None:
    start = replace(scenario_by_name("lane", 1), start_lateral_offset_m=1.4, duration_s=6.0)
    simulation = Simulation(replace(start, ends=EndConditions(departed_s=2.0)))
    assert simulation.observe().truth.departed
    while simulation.end is None:
        simulation.step(simulation.expert_control())
    assert simulation.end == "duration"


def _blind(scenario: Scenario) -> Simulation:
    """Steers like the expert and never brakes."""
    simulation = Simulation(scenario)
    while simulation.end is None:
        simulation.step(Control(simulation.expert_control().steering_angle_rad, 0.0))
    return simulation


def test_who_does_not_brake_runs_into_the_stopped_lead_and_stays_there() -> None:
    simulation = _blind(scenario_by_name("stopped-lead", 1))
    assert simulation.end == "collided"
    assert simulation.collided
    assert simulation.car.speed_mps == 0.0
    truth = simulation.truth_of(simulation.car)
    assert truth.collided
    assert truth.gap_m is not None
    assert truth.gap_m <= 0.0


def test_passing_beside_the_lead_is_no_collision() -> None:
    lead_script = LeadScript(20.0, (SpeedPoint(0.0, 0.0),))
    simulation = Simulation(replace(scenario_by_name("lane", 1), lead=lead_script))
    lead = simulation.world.lead_box(0.0)
    assert lead is not None
    assert simulation.truth_of(simulation.car_at(lead.s_m)).collided
    assert not simulation.truth_of(simulation.car_at(lead.s_m, 2.2)).collided
    assert not simulation.truth_of(simulation.car_at(lead.s_m - 3.7)).collided
    assert simulation.truth_of(simulation.car_at(lead.s_m - 3.5)).collided


def test_the_gap_is_from_bumper_to_bumper_along_the_lane() -> None:
    scenario = scenario_by_name("driving-lead", 3)
    assert scenario.lead is not None
    truth = Simulation(scenario).observe().truth
    assert truth.gap_m == pytest.approx(scenario.lead.start_gap_m)


def test_the_same_controls_give_the_same_truth() -> None:
    def drive() -> list[object]:
        simulation = Simulation(scenario_by_name("lane", 12))
        out: list[object] = []
        for i in range(100):
            simulation.step(Control(0.02 * np.sin(i / 9), 0.1))
            out.append(simulation.truth_of(simulation.car))
        return out

    assert drive() == drive()
