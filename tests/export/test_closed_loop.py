"""The judge: what it counts, what it answers to the shell, and whom it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from export.closed_loop import drive, judge, main, table
from export.policy import OnnxPolicy
from proving_ground.catalogue import scenario_by_name
from proving_ground.road import RoadElement
from proving_ground.scenario import Scenario
from runtime.contracts.errors import ModelError
from tests.models import recurrent_policy, tiny_policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def straight_on(tmp_path: Path) -> Path:
    """A real network that never steers and wants 15 m/s."""
    path = tmp_path / "straight-on.onnx"
    path.write_bytes(tiny_policy(gain=0.0))
    return path


def _bend() -> Scenario:
    lane = scenario_by_name("lane", seed=5)
    opening = (RoadElement(30.0, 0.0), RoadElement(20.0, 1 / 80), RoadElement(300.0, 1 / 80))
    return replace(lane, road=replace(lane.road, opening=opening), duration_s=20.0)


def test_leaving_the_lane_is_a_departure_and_ends_the_drive(straight_on: Path) -> None:
    result = drive(_bend(), OnnxPolicy(straight_on))
    assert result.departures == 1
    assert result.end == "departed"
    assert result.largest_lateral_offset_m > 2.0
    assert result.simulated_s < 20.0


def test_running_into_a_stopped_car_is_a_collision_and_no_stop(straight_on: Path) -> None:
    lead = scenario_by_name("stopped-lead", seed=5)
    script = lead.lead
    assert script is not None
    on_a_straight = replace(
        lead,
        road=replace(lead.road, opening=(RoadElement(400.0, 0.0),)),
        lead=replace(script, start_gap_m=30.0),
        duration_s=8.0,
    )
    result = drive(on_a_straight, OnnxPolicy(straight_on))
    assert result.collided
    assert result.departures == 0
    assert result.end == "collided"


def test_a_policy_that_does_not_hold_is_told_so_with_exit_code_1(
    straight_on: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--model", str(straight_on), "--minutes", "0.5", "--seeds", "1", "--stop-seeds", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 1
    assert answer["held"] is False
    assert answer["lanes"][0]["seed"] == 1
    assert answer["lanes"][0]["departures"] >= 1
    assert answer["stops"] == []


def test_the_table_names_every_drive(straight_on: Path) -> None:
    verdict = judge(straight_on, 0.02, lane_seeds=(3, 4), stop_seeds=())
    text = table(verdict)
    assert verdict.held
    assert text.count("lane") == 2
    assert "held: yes" in text


def test_a_file_that_is_not_there_is_exit_code_2_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--model", str(tmp_path / "none.onnx"), "--minutes", "0.1", "--seeds", "1", "--stop-seeds"])
    assert code == 2
    assert "none.onnx" in capsys.readouterr().err


def test_a_policy_with_a_memory_is_refused_with_the_way_to_drive_it(tmp_path: Path) -> None:
    path = tmp_path / "recurrent.onnx"
    path.write_bytes(recurrent_policy())
    with pytest.raises(ModelError, match="sightline run"):
        OnnxPolicy(path)
