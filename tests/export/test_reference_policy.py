"""The committed reference policies, as the vehicle runs them: no torch here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from export.closed_loop import drive, judge
from export.config import load_model_config
from export.curriculum import TRAINING_SEEDS
from export.policy import OnnxPolicy
from export.session import Session
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation
from runtime.contracts.errors import UsageError
from runtime.contracts.model import read_manifest
from runtime.preprocess import preprocess

CONFIGS = Path(__file__).parents[2] / "configs"
MODELS = [CONFIGS / f"{name}.onnx" for name in ("pilotnet", "concepts", "vit")]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)


@every_model
def test_its_manifest_is_the_one_that_its_configuration_says(model: Path) -> None:
    found = read_manifest(model)
    config = load_model_config(CONFIGS / "models" / f"{model.stem}.yaml")
    assert msgspec.structs.replace(found, graph_sha256="") == config.manifest(found.attribution)


@every_model
def test_it_is_under_a_megabyte_and_a_half(model: Path) -> None:
    assert model.stat().st_size < 1_500_000


@every_model
def test_decision_and_map_come_from_one_run_with_the_declared_shapes(model: Path) -> None:
    declared = read_manifest(model)
    assert declared.attribution is not None
    blank: dict[str, np.ndarray] = {
        "image": np.zeros((1, 66, 200, 3), np.uint8),
        "speed_mps": np.zeros((1, 1), np.float32),
    }
    found = Session(model.read_bytes()).run(blank)
    assert found["steering_angle_rad"].shape == found["acceleration_mps2"].shape == (1, 1)
    grid = (declared.attribution.rows, declared.attribution.columns)
    assert found["attribution"].shape[-2:] == grid
    assert found["attribution"].size == grid[0] * grid[1]


@every_model
def test_it_steers_back_to_the_middle_from_either_side(model: Path) -> None:
    policy = OnnxPolicy(model)
    simulation = Simulation(scenario_by_name("solid-lines", seed=3))
    answers = []
    for offset_m in (-0.9, 0.0, 0.9):
        car = simulation.car_at(20.0, offset_m, 0.0, speed_mps=12.0)
        answers.append(policy.control(simulation.picture_at(car), 12.0).steering_angle_rad)
    right_of_centre, centred, left_of_centre = answers
    assert right_of_centre > centred + 0.01
    assert left_of_centre < centred - 0.01


@every_model
def test_its_map_is_signed_and_pulls_the_way_it_steers(model: Path) -> None:
    image = read_manifest(model).images[0]
    session = Session(model.read_bytes())
    simulation = Simulation(scenario_by_name("solid-lines", seed=3))
    totals = {}
    for offset_m in (-1.2, 1.2):
        picture = simulation.picture_at(simulation.car_at(20.0, offset_m, 0.0, speed_mps=12.0))
        feed: dict[str, np.ndarray] = {"image": preprocess(picture, image), "speed_mps": np.array([[12.0]], np.float32)}
        attribution = session.run(feed)["attribution"]
        assert attribution.min() < 0 < attribution.max()
        totals[offset_m] = float(attribution.sum())
    assert totals[-1.2] > 0 > totals[1.2]


@every_model
def test_it_keeps_its_lane_on_a_road_that_it_never_saw(model: Path) -> None:
    result = drive(replace(scenario_by_name("lane", seed=21), duration_s=15.0), OnnxPolicy(model))
    assert result.end == "duration"
    assert result.departures == 0
    assert result.largest_lateral_offset_m < 0.8
    assert result.mean_speed_mps > 9.0


@every_model
def test_it_stops_behind_a_stopped_car_without_touching_it(model: Path) -> None:
    result = drive(scenario_by_name("stopped-lead", seed=21), OnnxPolicy(model))
    assert not result.collided
    assert result.gap_at_stop_m is not None
    assert 1.0 < result.gap_at_stop_m < 15.0


def test_the_bottleneck_reads_numbers_that_a_person_can_check() -> None:
    manifest = read_manifest(CONFIGS / "concepts.onnx")
    session = Session((CONFIGS / "concepts.onnx").read_bytes())
    simulation = Simulation(scenario_by_name("solid-lines", seed=3))
    for offset_m, askew_rad in ((0.6, 0.0), (-0.6, 0.0), (0.0, 0.06), (0.0, -0.06)):
        picture = simulation.picture_at(simulation.car_at(20.0, offset_m, askew_rad, speed_mps=12.0))
        feed: dict[str, np.ndarray] = {
            "image": preprocess(picture, manifest.images[0]),
            "speed_mps": np.array([[12.0]], np.float32),
        }
        found = session.run(feed)
        read = {c.name: float(found[c.output].reshape(-1)[c.index]) * c.scale for c in manifest.concepts}
        assert read["lateral_offset"] == pytest.approx(offset_m, abs=0.3)
        assert read["heading_error"] == pytest.approx(askew_rad, abs=0.03)
        assert read["curvature"] == pytest.approx(0.0, abs=0.004)
        assert read["gap"] > 60.0
        assert read["visibility"] > 0.6


def test_a_seed_that_it_was_trained_on_is_no_judge() -> None:
    with pytest.raises(UsageError, match="training range"):
        judge(MODELS[0], 0.1, lane_seeds=(TRAINING_SEEDS.start,), stop_seeds=())
