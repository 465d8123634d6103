"""Scenarios are found by name and URI, and what does not exist is refused with what does."""

from __future__ import annotations

import pytest

from proving_ground.catalogue import SCENARIOS, scenario_by_name, scenario_by_uri
from proving_ground.markings import Line
from proving_ground.simulation import Simulation
from runtime.contracts.errors import SourceError


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_scenario_bears_its_name_and_renders(name: str) -> None:
    scenario = scenario_by_name(name, 3)
    assert scenario.name == name
    assert scenario.seed == 3
    assert Simulation(scenario).observe().picture.std() > 10


def test_a_name_and_a_seed_are_always_the_same_scenario() -> None:
    assert scenario_by_name("lane", 4) == scenario_by_name("lane", 4) != scenario_by_name("lane", 5)


def test_a_uri_sets_what_it_names_and_leaves_the_rest() -> None:
    scenario = scenario_by_uri("proving-ground://lane?seed=7&duration_s=12.5&width=320&height=180&frame_rate_hz=10")
    assert (scenario.name, scenario.seed, scenario.duration_s, scenario.frame_rate_hz) == ("lane", 7, 12.5, 10.0)
    assert (scenario.camera.width, scenario.camera.height) == (320, 180)
    assert scenario.light == scenario_by_name("lane", 7).light
    assert scenario_by_uri("proving-ground://stopped-lead") == scenario_by_name("stopped-lead", 0)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("proving-ground://motorway", "lane"),
        ("proving-ground://lane?sead=7", "seed, duration_s"),
        ("proving-ground://lane?seed=x", "whole number"),
        ("proving-ground://lane?seed=-1", "from 0"),
        ("proving-ground://lane?seed=1.5", "whole number"),
        ("proving-ground://lane?seed=", "whole number"),
        ("proving-ground://lane?duration_s=0", "from 0.05"),
        ("proving-ground://lane?duration_s=nan", "a number"),
        ("proving-ground://lane?duration_s=inf", "a number"),
        ("proving-ground://lane?width=8", "from 64"),
        ("proving-ground://lane?seed=1&seed=2", "twice"),
        ("proving-ground://lane/extra", "not a proving-ground URI"),
        ("proving-ground://", "not a proving-ground URI"),
        ("file:///lane", "not a proving-ground URI"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(uri: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        scenario_by_uri(uri)


def test_the_demo_begins_on_clear_lines_and_turns_into_the_sun_without_any() -> None:
    simulation = Simulation(scenario_by_name("worn-into-sun"))
    sections = simulation.world.markings.sections(0.0, 400.0)
    assert [section.right for _, _, section in sections] == [Line.SOLID, Line.WORN, Line.MISSING]
    blind_s = sections[-1][0]
    while simulation.truth_of(simulation.car).s_m < blind_s + 100.0:
        simulation.step(simulation.expert_control())
    away = simulation.scenario.light.sun_azimuth_rad - simulation.car.yaw_rad
    assert abs(away) < simulation.scenario.camera.horizontal_fov_rad / 2
    assert simulation.truth_of(simulation.car).curvature_per_m > 1 / 120
