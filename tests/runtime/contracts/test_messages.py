"""Messages keep their values through their topic's one encoding."""

from __future__ import annotations

import math

import msgspec
import pytest

from runtime.contracts import topics
from runtime.contracts.errors import RecordError
from runtime.contracts.identity import FrameId, new_drive_id
from runtime.contracts.messages import (
    Decision,
    Disposition,
    EnvelopeState,
    Proposal,
    StepRecord,
    TensorSet,
    ValidityState,
    VehicleSample,
)
from runtime.contracts.messages import Tensor as TensorMessage
from runtime.contracts.vehicle import Control, Reading, Vector3, VehicleState

DECISION = Decision(
    decision_id="d/3",
    sequence=3,
    t_source_ns=150_000_000,
    mode="closed-loop",
    proposal=Proposal("NaN", "-Infinity"),
    steps=(
        StepRecord(
            "validity", ValidityState(Control(0.1, 0.0), 2), Proposal("NaN", 0.3), Control(0.1, -1.5), True, "NaN"
        ),
        StepRecord("envelope", EnvelopeState(), Proposal(0.1, -1.5), Control(0.1, -1.5), False, ""),
    ),
    control=Control(0.1 + 0.2, 5e-324),
    reason="",
)


def test_a_decision_survives_its_encoding_bit_for_bit() -> None:
    assert topics.DECISION.decode(topics.DECISION.encode(DECISION)) == DECISION


def test_tensor_bytes_survive_their_encoding() -> None:
    tensors = TensorSet(3, 1, (TensorMessage("x", "float32", (2, 1), bytes(range(8))),))
    assert topics.MODEL_INPUT.decode(topics.MODEL_INPUT.encode(tensors)) == tensors


def test_a_field_that_a_newer_writer_added_is_passed_over() -> None:
    line = Disposition(FrameId("front", 1), 5, "decided")
    newer = msgspec.json.encode({**msgspec.to_builtins(line), "added_later": 1})
    assert topics.LEDGER.decode(newer) == line


@pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda topic: topic.name)
def test_bytes_that_are_no_message_are_refused_with_the_topic_named(topic: topics.Topic) -> None:
    for payload in (b"", b"\xff\xfe", b"[]", b"{"):
        with pytest.raises(RecordError, match=topic.schema_name):
            topic.decode(payload)


def test_topics_have_one_name_each() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert len(set(names)) == len(names)


def test_a_sampled_state_tells_every_readings_age() -> None:
    state = VehicleState(100, speed_mps=Reading(3.0, 90), collision=Reading(False, 130)).sampled_at(120)
    assert state.t_source_ns == 120
    assert state.speed_mps == Reading(3.0, 90, 30)
    assert state.collision == Reading(False, 130, -10)
    assert state.yaw_rate_radps is None


def test_a_reading_that_is_no_finite_number_is_left_out_and_named_so_that_the_record_decodes() -> None:
    state = VehicleState(
        0,
        speed_mps=Reading(math.nan, 0),
        yaw_rate_radps=Reading(0.1, 0),
        collision=Reading(False, 0),
        imu_acceleration_mps2=Reading(Vector3(0.0, math.inf, 9.8), 0),
    ).sampled_at(5)
    assert state.not_finite == ("speed_mps", "imu_acceleration_mps2")
    assert (state.speed_mps, state.imu_acceleration_mps2) == (None, None)
    sample = VehicleSample(0, 5, state)
    assert topics.VEHICLE.decode(topics.VEHICLE.encode(sample)) == sample
    assert state.yaw_rate_radps == Reading(0.1, 0, 5)


def test_a_drive_is_named_after_its_start_in_utc() -> None:
    assert new_drive_id(0).startswith("19700101T000000Z-")
    assert new_drive_id(0) != new_drive_id(0)


def test_json_has_no_way_to_smuggle_a_nan_into_a_control() -> None:
    encoded = topics.DECISION.encode(msgspec.structs.replace(DECISION, control=Control(math.nan, 0.0)))
    with pytest.raises(RecordError):
        topics.DECISION.decode(encoded)
