"""The committed reference policy, as the vehicle runs it: no torch here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from export.closed_loop import drive, judge
from export.config import load_model_config
from export.curriculum import TRAINING_SEEDS
from export.policy import OnnxPolicy
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation
from runtime.contracts.errors import UsageError
from runtime.contracts.model import read_manifest
from runtime.preprocess import preprocess

MODEL = Path(__file__).parents[2] / "configs" / "pilotnet.onnx"


@pytest.fixture(scope="module")
def policy() -> OnnxPolicy:
    return OnnxPolicy(MODEL)


def test_its_manifest_is_the_one_that_this_code_writes() -> None:
    found = read_manifest(MODEL)
    config = load_model_config(MODEL.parent / "models" / "pilotnet.yaml")
    assert msgspec.structs.replace(found, graph_sha256="") == config.manifest(found.attribution)


def test_it_is_under_two_megabytes() -> None:
    assert MODEL.stat().st_size < 2_000_000


def test_decision_and_map_come_from_one_run_with_the_declared_shapes() -> None:
    declared = read_manifest(MODEL)
    assert declared.attribution is not None
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [
        "steering_angle_rad",
        "acceleration_mps2",
        "attribution",
    ]
    feed = {"image": np.zeros((1, 66, 200, 3), np.uint8), "speed_mps": np.zeros((1, 1), np.float32)}
    steering, acceleration, attribution = session.run(None, feed)
    assert steering.shape == acceleration.shape == (1, 1)
    assert attribution.shape == (declared.attribution.rows, declared.attribution.columns)


def test_it_steers_back_to_the_middle_from_either_side(policy: OnnxPolicy) -> None:
    simulation = Simulation(scenario_by_name("solid-lines", seed=3))
    answers = []
    for offset_m in (-0.9, 0.0, 0.9):
        car = simulation.car_at(20.0, offset_m, 0.0, speed_mps=12.0)
        answers.append(policy.control(simulation.picture_at(car), 12.0).steering_angle_rad)
    right_of_centre, centred, left_of_centre = answers
    assert right_of_centre > centred + 0.01
    assert left_of_centre < centred - 0.01


def test_its_map_is_signed_and_larger_where_it_steers_harder() -> None:
    image = read_manifest(MODEL).images[0]
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    simulation = Simulation(scenario_by_name("solid-lines", seed=3))
    totals = {}
    for offset_m in (-1.2, 1.2):
        picture = simulation.picture_at(simulation.car_at(20.0, offset_m, 0.0, speed_mps=12.0))
        feed = {"image": preprocess(picture, image), "speed_mps": np.array([[12.0]], np.float32)}
        attribution = session.run(["attribution"], feed)[0]
        assert attribution.min() < 0 < attribution.max()
        totals[offset_m] = float(attribution.sum())
    assert totals[-1.2] > 0 > totals[1.2]


def test_it_keeps_its_lane_on_a_road_that_it_never_saw(policy: OnnxPolicy) -> None:
    result = drive(replace(scenario_by_name("lane", seed=21), duration_s=30.0), policy)
    assert result.end == "duration"
    assert result.departures == 0
    assert result.largest_lateral_offset_m < 0.8
    assert result.mean_speed_mps > 9.0


def test_it_stops_behind_a_stopped_car_without_touching_it(policy: OnnxPolicy) -> None:
    result = drive(scenario_by_name("stopped-lead", seed=21), policy)
    assert not result.collided
    assert result.gap_at_stop_m is not None
    assert 1.0 < result.gap_at_stop_m < 15.0


def test_a_seed_that_it_was_trained_on_is_no_judge() -> None:
    with pytest.raises(UsageError, match="training range"):
        judge(MODEL, 0.1, lane_seeds=(TRAINING_SEEDS.start,), stop_seeds=())
