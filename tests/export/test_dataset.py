"""What the policy learns from: seeded, labelled by the expert, and never the conditions that shall surprise it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from export.concept_labels import CONCEPTS
from export.curriculum import TRAINING_SEEDS, obscured_scenario, training_scenario
from export.dataset import scattered_frames, visited_frames
from export.policy import OnnxPolicy
from export.samples import concatenate
from proving_ground.catalogue import scenario_by_name
from proving_ground.markings import Line, MarkingMix
from runtime.contracts.model import read_manifest

MODEL = Path(__file__).parents[2] / "configs" / "pilotnet.onnx"
FIRST = TRAINING_SEEDS.start
IMAGE = read_manifest(MODEL).images[0]
VISIBILITY = CONCEPTS.index("visibility_ratio")


def test_the_same_scenario_gives_the_same_frames_and_another_seed_others() -> None:
    one, again = (scattered_frames(training_scenario(FIRST), IMAGE, 3) for _ in range(2))
    other = scattered_frames(training_scenario(FIRST + 1), IMAGE, 3)
    assert one.images.shape == (3, 66, 200, 3)
    assert one.images.dtype == np.uint8
    np.testing.assert_array_equal(one.images, again.images)
    np.testing.assert_array_equal(one.steering_angle_rad, again.steering_angle_rad)
    np.testing.assert_array_equal(one.concepts, again.concepts)
    assert one.concepts.shape == (3, len(CONCEPTS))
    assert not np.array_equal(one.images, other.images)
    assert not np.array_equal(one.speed_mps, other.speed_mps)


def test_scattered_frames_hold_both_hard_corrections_and_hard_braking() -> None:
    leads = [replace(scenario_by_name("stopped-lead", seed), duration_s=5.0) for seed in (FIRST, FIRST + 1)]
    frames = concatenate([scattered_frames(lead, IMAGE, 20) for lead in leads])
    assert frames.steering_angle_rad.min() < -0.05 < 0.05 < frames.steering_angle_rad.max()
    assert frames.acceleration_mps2.min() < -2.0
    assert len(frames) == 40


def test_the_driven_frames_carry_the_experts_answer_and_repeat_themselves() -> None:
    scenario = replace(scenario_by_name("lane", FIRST + 7), duration_s=1.5)
    policy = OnnxPolicy(MODEL)
    one, again = (visited_frames(scenario, policy, keep_every=5) for _ in range(2))
    assert len(one) == 6
    np.testing.assert_array_equal(one.images, again.images)
    np.testing.assert_array_equal(one.steering_angle_rad, again.steering_angle_rad)
    assert np.abs(one.steering_angle_rad).max() > 0.0


def test_no_training_road_lacks_its_lines_and_no_sun_blinds() -> None:
    scenarios = [training_scenario(seed) for seed in TRAINING_SEEDS[:400]]
    for scenario in scenarios:
        assert isinstance(scenario.markings, MarkingMix)
        weights = (*scenario.markings.left, *scenario.markings.right)
        assert all(line is not Line.MISSING for line, _ in weights)
        assert scenario.light.glare <= 0.6
    assert {s.name for s in scenarios} == {"lane", "stopped-lead", "braking-lead", "driving-lead"}


def test_obscured_roads_are_harder_to_see_than_any_that_driving_is_learnt_on() -> None:
    seeds = range(FIRST, FIRST + 6)
    obscured = concatenate([scattered_frames(obscured_scenario(seed), IMAGE, 6) for seed in seeds])
    ordinary = concatenate([scattered_frames(training_scenario(seed), IMAGE, 6) for seed in seeds])
    assert np.median(obscured.concepts[:, VISIBILITY]) < 0.4 < np.median(ordinary.concepts[:, VISIBILITY])
    assert obscured.concepts[:, VISIBILITY].min() < 0.1
