"""What is no number, or outside the manifest's range, never reaches the vehicle."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.messages import Proposal, ValidityState, recordable
from runtime.contracts.model import Output
from runtime.contracts.vehicle import Control
from runtime.decision.validity import step

OUTPUTS = (
    Output(name="s", quantity="steering_angle_rad", minimum=-0.5, maximum=0.5),
    Output(name="a", quantity="acceleration_mps2", minimum=-8.0, maximum=3.0),
)
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


def proposal(steering: float, acceleration: float) -> Proposal:
    return Proposal(recordable(steering), recordable(acceleration))


@given(st.floats(-0.5, 0.5), st.floats(-8.0, 3.0))
def test_a_valid_proposal_passes_bit_for_bit(steering: float, acceleration: float) -> None:
    after, record = step(ValidityState(None, 7), proposal(steering, acceleration), OUTPUTS, 1.5)
    assert not record.acted
    assert (record.output.steering_angle_rad.hex(), record.output.acceleration_mps2.hex()) == (
        steering.hex(),
        acceleration.hex(),
    )
    assert after == ValidityState(record.output, 0)


@given(st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), min_size=1, max_size=20))
def test_whatever_comes_the_control_is_finite_and_within_the_manifest(proposals: list[tuple[float, float]]) -> None:
    state = ValidityState()
    for steering, acceleration in proposals:
        state, record = step(state, proposal(steering, acceleration), OUTPUTS, 1.5)
        assert -0.5 <= record.output.steering_angle_rad <= 0.5
        assert -8.0 <= record.output.acceleration_mps2 <= 3.0
        valid = -0.5 <= steering <= 0.5 and -8.0 <= acceleration <= 3.0
        assert record.acted is not valid


@pytest.mark.parametrize(
    ("steering", "acceleration", "named"),
    [
        (math.nan, 0.0, "steering_angle_rad is nan"),
        (math.inf, 0.0, "steering_angle_rad is inf"),
        (-math.inf, 0.0, "steering_angle_rad is -inf"),
        (0.75, 0.0, "steering_angle_rad is 0.75, outside -0.5 to 0.5"),
        (0.0, math.nan, "acceleration_mps2 is nan"),
        (0.0, -9.0, "acceleration_mps2 is -9, outside -8 to 3"),
    ],
)
def test_an_invalid_proposal_holds_the_last_valid_steering_and_slows_down(
    steering: float, acceleration: float, named: str
) -> None:
    last = Control(0.125, 1.0)
    after, record = step(ValidityState(last, 2), proposal(steering, acceleration), OUTPUTS, 1.5)
    assert record.output == Control(0.125, -1.5)
    assert record.acted
    assert named in record.reason
    assert after == ValidityState(last, 3)


def test_before_anything_was_valid_it_steers_straight() -> None:
    after, record = step(ValidityState(), proposal(math.nan, math.nan), OUTPUTS, 1.5)
    assert record.output == Control(0.0, -1.5)
    assert "steering_angle_rad is nan; acceleration_mps2 is nan" in record.reason
    assert after == ValidityState(None, 1)


def test_both_faults_of_one_proposal_are_named() -> None:
    _, record = step(ValidityState(), proposal(9.0, math.inf), OUTPUTS, 1.5)
    assert "steering_angle_rad is 9" in record.reason
    assert "acceleration_mps2 is inf" in record.reason
