"""What a picture shows, in numbers: signs, where they end, and a visibility that the picture itself gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.concept_labels import CONCEPTS, FAR_GAP_M, FREE_SPEED_MPS, Shot, concept_labels
from proving_ground.catalogue import scenario_by_name
from proving_ground.lead import LeadScript, SpeedPoint
from proving_ground.road import RoadElement
from proving_ground.scenario import Scenario
from proving_ground.simulation import Simulation


def _labels(scenario: Scenario, s_m: float = 40.0, offset_m: float = 0.0, askew_rad: float = 0.0) -> dict[str, float]:
    simulation = Simulation(scenario)
    car = simulation.car_at(s_m, offset_m, askew_rad)
    shot = Shot(simulation.picture_at(car), car, simulation.world.road.project(car.x_m, car.y_m, car.yaw_rad, s_m), 0.0)
    found = concept_labels(simulation.world, scenario.camera, simulation.expert, shot)
    assert found.dtype == np.float32
    return dict(zip(CONCEPTS, map(float, found), strict=True))


def _curve(curvature_per_m: float) -> Scenario:
    scenario = scenario_by_name("solid-lines", seed=3)
    opening = (RoadElement(30.0, 0.0), RoadElement(20.0, curvature_per_m), RoadElement(300.0, curvature_per_m))
    return replace(scenario, road=replace(scenario.road, opening=opening))


def _behind(gap_m: float, speed_mps: float = 0.0) -> Scenario:
    scenario = scenario_by_name("solid-lines", seed=3)
    return replace(scenario, lead=LeadScript(gap_m, (SpeedPoint(0.0, speed_mps),)), start_s_m=40.0)


def test_left_is_positive() -> None:
    left, right = _labels(_curve(1 / 100), 70.0, 0.6, 0.05), _labels(_curve(-1 / 100), 70.0, -0.6, -0.05)
    assert left["lateral_offset_m"] == pytest.approx(0.6, abs=1e-3)
    assert left["heading_error_rad"] == pytest.approx(0.05, abs=1e-3)
    assert left["curvature_per_m"] == pytest.approx(0.01, abs=1e-4)
    for name in ("lateral_offset_m", "heading_error_rad", "curvature_per_m"):
        assert right[name] == pytest.approx(-left[name], abs=1e-3)


def test_a_sharp_curve_ahead_takes_speed_before_the_car_is_in_it() -> None:
    assert _labels(_curve(1 / 60), 40.0)["curve_speed_mps"] < _labels(_curve(1 / 60), 10.0)["curve_speed_mps"]
    assert _labels(_curve(1 / 60), 70.0)["curve_speed_mps"] == pytest.approx(12.0, abs=0.1)
    assert _labels(_curve(1 / 600), 70.0)["curve_speed_mps"] == FREE_SPEED_MPS


def test_the_gap_ends_where_a_lead_is_too_far_behind_or_out_of_the_picture() -> None:
    near = _labels(_behind(20.0, 7.0))
    assert near["gap_m"] == pytest.approx(20.0, abs=0.05)
    assert near["lead_speed_mps"] == pytest.approx(7.0)
    far, passed, beside = _labels(_behind(90.0)), _labels(_behind(20.0), s_m=80.0), _labels(_behind(9.0), askew_rad=0.9)
    for absent in (far, passed, beside):
        assert absent["gap_m"] == FAR_GAP_M
        assert absent["lead_speed_mps"] == FREE_SPEED_MPS


def test_visibility_is_what_the_lines_stand_out_in_the_picture() -> None:
    seen = {name: _labels(scenario_by_name(name, seed=3))["visibility_ratio"] for name in ("solid-lines", "low-sun")}
    seen |= {n: _labels(scenario_by_name(n, seed=3))["visibility_ratio"] for n in ("dashed-lines", "worn-lines")}
    seen["none"] = _labels(scenario_by_name("missing-lines", seed=3))["visibility_ratio"]
    assert seen["none"] < 0.02
    assert seen["none"] < seen["worn-lines"] < seen["dashed-lines"] <= seen["solid-lines"]
    assert seen["low-sun"] < 0.7 * seen["solid-lines"]
    assert seen["dashed-lines"] > 0.9
