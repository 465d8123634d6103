"""A decision is a pure function of tensors, vehicle state and memory, and says why."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.contracts.config import Config, DecisionConfig, EnvelopeConfig
from runtime.contracts.engine import Engine, EngineRequest
from runtime.contracts.errors import ModelError, SourceError
from runtime.contracts.messages import EnvelopeState, ValidityState
from runtime.contracts.model import Manifest, Output, Recurrent, attach_manifest, manifest_of, read_manifest
from runtime.contracts.topics import ATTRIBUTION, DECISION
from runtime.contracts.vehicle import Control, Reading, VehicleState
from runtime.decision.policy import Memory, Policy
from runtime.engines.onnx import open_engine
from tests import models

STATE = VehicleState(0, speed_mps=Reading(12.0, 0))
FRAME_NS = 50_000_000
Opener = Callable[[bytes], tuple[Manifest, Engine]]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    def open_model(onnx: bytes) -> tuple[Manifest, Engine]:
        path = tmp_path / "model.onnx"
        path.write_bytes(onnx)
        return read_manifest(path), open_engine(EngineRequest(path, ("CPUExecutionProvider",), 1, "all"))

    return open_model


def pictures(manifest: Manifest, seed: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        image.name: random.integers(0, 256, (1, image.height, image.width, 3), dtype=np.uint8)
        for image in manifest.images
    }


def drive(policy: Policy, manifest: Manifest, frames: int, memory: Memory) -> list[tuple[bytes, bytes, Memory]]:
    """Encoded decisions and maps of some frames, each on the memory of the one before."""
    said = []
    for sequence in range(frames):
        inputs = policy.network_inputs(pictures(manifest, sequence), STATE, memory)
        outcome = policy.decide(sequence, sequence * FRAME_NS, inputs, STATE, memory)
        memory = outcome.memory
        told = b"" if outcome.attribution is None else ATTRIBUTION.encode(outcome.attribution)
        said.append((DECISION.encode(outcome.decision), told, memory))
    return said


def test_the_same_frames_give_the_same_bytes(opened: Opener) -> None:
    manifest, engine = opened(models.tiny_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    first = drive(policy, manifest, 5, policy.initial_memory())
    second = drive(policy, manifest, 5, policy.initial_memory())
    assert [frame[:2] for frame in first] == [frame[:2] for frame in second]
    assert len({frame[0] for frame in first}) == 5


def test_the_control_is_the_last_steps_and_the_steps_hang_together(opened: Opener) -> None:
    manifest, engine = opened(models.tiny_policy(gain=30.0))
    policy = Policy(manifest, engine, Config(), "20261123T211500Z-9f3a01c4", "shadow")
    memory = policy.initial_memory()
    for sequence in range(4):
        inputs = policy.network_inputs(pictures(manifest, sequence), STATE, memory)
        outcome = policy.decide(sequence, sequence * FRAME_NS, inputs, STATE, memory)
        decision = outcome.decision
        assert decision.decision_id == f"20261123T211500Z-9f3a01c4/{sequence}"
        assert decision.mode == "shadow"
        assert [step.step for step in decision.steps] == ["validity", "envelope"]
        assert [step.state for step in decision.steps] == list(memory.chain)
        first, last = decision.steps
        assert first.input == decision.proposal
        assert (last.input.steering_angle_rad, last.input.acceleration_mps2) == (
            first.output.steering_angle_rad,
            first.output.acceleration_mps2,
        )
        assert decision.control == last.output
        memory = outcome.memory
        assert memory.chain[1] == EnvelopeState(decision.control, sequence * FRAME_NS)


def test_the_map_of_a_completely_additive_network_sums_to_its_steering(opened: Opener) -> None:
    manifest, engine = opened(models.tiny_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    outcome = policy.decide(0, 0, policy.network_inputs(pictures(manifest, 1), STATE, memory), STATE, memory)
    assert outcome.attribution is not None
    total = sum(float(value) for row in outcome.attribution.values for value in row)
    assert total == pytest.approx(float(outcome.decision.proposal.steering_angle_rad), abs=1e-5)


def test_the_reason_says_what_pulled_and_what_the_chain_changed(opened: Opener) -> None:
    manifest, engine = opened(models.tiny_policy())
    narrow = Config(decision=DecisionConfig(envelope=EnvelopeConfig(max_steering_angle_rad=1e-6)))
    policy = Policy(manifest, engine, narrow, "d", "closed-loop")
    memory = policy.initial_memory()
    outcome = policy.decide(0, 0, policy.network_inputs(pictures(manifest, 1), STATE, memory), STATE, memory)
    assert "pulled " in outcome.decision.reason
    assert "envelope: steering angle" in outcome.decision.reason
    assert "limited to" in outcome.decision.reason


def test_a_network_that_decides_through_concepts_says_them_as_numbers(opened: Opener) -> None:
    manifest, engine = opened(models.concept_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    outcome = policy.decide(0, 0, policy.network_inputs(pictures(manifest, 1), STATE, memory), STATE, memory)
    offset, gap = outcome.outputs["concepts"][0].tolist()
    told = [(concept.name, concept.unit, concept.value) for concept in outcome.decision.concepts]
    assert told == [("lane_offset_m", "m", offset), ("gap_m", "m", gap * 10.0)]
    assert f"seen: lane offset {offset:+.2g} m, gap {gap * 10.0:+.2g} m" in outcome.decision.reason


def test_a_network_that_does_not_steer_is_refused_with_what_it_gives(opened: Opener) -> None:
    onnx = models.tiny_policy()
    score = Output(name="steering", quantity="score", minimum=-1.0, maximum=1.0)
    bare = msgspec.structs.replace(manifest_of(onnx, "tiny"), outputs=(score,), attribution=None)
    manifest, engine = opened(attach_manifest(onnx, bare))
    with pytest.raises(ModelError, match=r"no steering_angle_rad.*it gives steering\[0\] \(score\)"):
        Policy(manifest, engine, Config(), "d", "closed-loop")


def test_manifest_scale_and_index_turn_the_networks_unit_into_radians(opened: Opener) -> None:
    onnx = models.tiny_policy()
    manifest = manifest_of(onnx, "tiny")
    mirrored = msgspec.structs.replace(
        manifest,
        outputs=tuple(
            msgspec.structs.replace(output, scale=-1.0, minimum=-9.0, maximum=9.0) for output in manifest.outputs
        ),
    )
    asked = []
    for data in (onnx, attach_manifest(onnx, mirrored)):
        read, engine = opened(data)
        policy = Policy(read, engine, Config(), "d", "closed-loop")
        memory = policy.initial_memory()
        inputs = policy.network_inputs(pictures(read, 1), STATE, memory)
        asked.append(policy.decide(0, 0, inputs, STATE, memory).decision.proposal)
    assert float(asked[0].steering_angle_rad) == -float(asked[1].steering_angle_rad) != 0.0


def test_a_network_without_acceleration_asks_for_none(opened: Opener) -> None:
    onnx = models.tiny_policy()
    manifest = manifest_of(onnx, "tiny")
    read, engine = opened(attach_manifest(onnx, msgspec.structs.replace(manifest, outputs=manifest.outputs[:1])))
    policy = Policy(read, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    outcome = policy.decide(0, 0, policy.network_inputs(pictures(read, 1), STATE, memory), STATE, memory)
    assert outcome.decision.control.acceleration_mps2 == 0.0


def test_nan_in_the_network_holds_the_steering_and_is_recorded_as_it_is(opened: Opener) -> None:
    manifest, engine = opened(models.recurrent_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    last = Control(0.02, 0.5)
    memory = Memory({"h": np.full((1, 4), math.nan, np.float32)}, (ValidityState(last, 0), EnvelopeState(last, 0)))
    inputs = policy.network_inputs(pictures(manifest, 1), STATE, memory)
    outcome = policy.decide(1, FRAME_NS, inputs, STATE, memory)
    assert outcome.decision.proposal.steering_angle_rad == "NaN"
    assert outcome.decision.control.steering_angle_rad == 0.02
    assert outcome.decision.control.acceleration_mps2 < 0.5
    assert "steering_angle_rad is nan" in outcome.decision.reason
    assert DECISION.decode(DECISION.encode(outcome.decision)) == outcome.decision


def test_a_hidden_state_goes_on_from_frame_to_frame_and_starts_again_after_a_gap(opened: Opener) -> None:
    manifest, engine = opened(models.recurrent_policy(initial=0.25))
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    start = policy.initial_memory()
    assert start.hidden["h"].tolist() == [[0.25] * 4]
    after = drive(policy, manifest, 3, start)[-1][2]
    assert after.hidden["h"].tolist() != start.hidden["h"].tolist()
    again = policy.after_gap(after)
    assert again.hidden["h"].tolist() == start.hidden["h"].tolist()
    assert again.chain == after.chain


def test_a_hidden_state_that_resets_only_with_the_drive_outlives_a_gap(opened: Opener) -> None:
    onnx = models.recurrent_policy()
    kept = (Recurrent(input="h", output="h_next", reset="drive-start"),)
    manifest, engine = opened(attach_manifest(onnx, msgspec.structs.replace(manifest_of(onnx, "r"), recurrent=kept)))
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    after = drive(policy, manifest, 3, policy.initial_memory())[-1][2]
    assert policy.after_gap(after).hidden["h"].tolist() == after.hidden["h"].tolist()


def test_a_late_decision_moves_the_network_on_and_not_the_chain(opened: Opener) -> None:
    manifest, engine = opened(models.recurrent_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    before = drive(policy, manifest, 1, policy.initial_memory())[-1][2]
    after = drive(policy, manifest, 1, before)[-1][2]
    unused = before.unused(after)
    assert unused.hidden is after.hidden
    assert unused.chain == before.chain


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (VehicleState(0), "speed_mps is not told"),
        (VehicleState(0, speed_mps=Reading(math.nan, 0)), "speed_mps is no finite number"),
        (VehicleState(0, speed_mps=Reading(math.inf, 0)).sampled_at(0), "speed_mps is no finite number"),
    ],
)
def test_a_vehicle_that_does_not_tell_what_the_network_needs_is_named(
    opened: Opener, state: VehicleState, words: str
) -> None:
    manifest, engine = opened(models.tiny_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    assert policy.lacks(STATE) == ""
    assert words in policy.lacks(state)
    with pytest.raises(SourceError, match=words):
        policy.network_inputs(pictures(manifest, 0), state, policy.initial_memory())


def test_several_cameras_go_in_by_name(opened: Opener) -> None:
    manifest, engine = opened(models.two_camera_policy())
    policy = Policy(manifest, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    dark, bright = np.zeros((1, 66, 200, 3), np.uint8), np.full((1, 66, 200, 3), 255, np.uint8)
    inputs = policy.network_inputs({"image_right": dark, "image_left": bright}, STATE, memory)
    outcome = policy.decide(0, 0, inputs, STATE, memory)
    assert outcome.decision.control.steering_angle_rad > 0.0
    assert outcome.attribution is None


def test_a_quantity_is_read_at_its_index_and_a_state_goes_in_scaled(opened: Opener) -> None:
    onnx = models.tiny_policy()
    manifest = manifest_of(onnx, "tiny")
    changed = msgspec.structs.replace(
        manifest,
        outputs=(Output(name="attribution", quantity="steering_angle_rad", minimum=-9.0, maximum=9.0, index=23),),
        states=tuple(msgspec.structs.replace(state, scale=0.5) for state in manifest.states),
    )
    read, engine = opened(attach_manifest(onnx, changed))
    policy = Policy(read, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    inputs = policy.network_inputs(pictures(read, 1), STATE, memory)
    assert inputs["speed_mps"].tolist() == [[6.0]]
    outcome = policy.decide(0, 0, inputs, STATE, memory)
    assert outcome.attribution is not None
    assert outcome.decision.proposal.steering_angle_rad == outcome.attribution.values[1][3] != 0.0


@pytest.mark.parametrize(("sign", "joint"), [(1.0, ": pulled"), (-1.0, ", although pulled")])
def test_a_map_that_pulls_against_the_decision_is_joined_by_although(opened: Opener, sign: float, joint: str) -> None:
    onnx = models.tiny_policy()
    manifest = manifest_of(onnx, "tiny")
    assert manifest.attribution is not None
    turned = msgspec.structs.replace(manifest.attribution, scale=sign)
    read, engine = opened(attach_manifest(onnx, msgspec.structs.replace(manifest, attribution=turned)))
    policy = Policy(read, engine, Config(), "d", "closed-loop")
    memory = policy.initial_memory()
    outcome = policy.decide(0, 0, policy.network_inputs(pictures(read, 1), STATE, memory), STATE, memory)
    assert joint in outcome.decision.reason
