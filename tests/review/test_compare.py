"""Same bits or not, and how far apart: NaN, infinities and the sign of zero included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from review.compare import message_difference, tensor_differences
from runtime.contracts.messages import Proposal


def floats(*values: float) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {"x": np.array(values, np.float32)}


def test_equal_bits_are_no_difference_even_where_they_are_nan() -> None:
    assert tensor_differences("output", floats(1.0, math.nan, -0.0), floats(1.0, math.nan, -0.0)) == []


@pytest.mark.parametrize(
    ("before", "after", "distance"),
    [
        (floats(1.0, 2.0), floats(1.0, 2.5), 0.5),
        (floats(1.0, 0.0), floats(1.0, -0.0), 0.0),
        (floats(1.0, math.nan), floats(1.0, 3.0), math.inf),
        (floats(1.0, math.inf), floats(1.0, -math.inf), math.inf),
        (floats(1.0, math.inf), floats(1.0, 5.0), math.inf),
    ],
)
def test_the_first_element_that_counts_is_named_with_its_distance(
    before: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]],
    after: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]],
    distance: float,
) -> None:
    [found] = tensor_differences("output", before, after)
    assert (found.field, found.distance) == ("output x[1]", distance)


def test_the_payload_of_a_nan_is_bits_and_not_a_distance() -> None:
    other = np.array([0x7FC00001], np.uint32).view(np.float32)
    [found] = tensor_differences("output", {"x": other}, floats(math.nan))
    assert found.distance == 0.0


def test_a_missing_tensor_another_shape_and_another_type_are_named() -> None:
    [missing] = tensor_differences("output", floats(1.0), {})
    assert (missing.recorded, missing.replayed) == ("float32 [1]", "nothing")
    [shape] = tensor_differences("output", floats(1.0), floats(1.0, 2.0))
    assert (shape.recorded, shape.replayed, shape.distance) == ("float32 [1]", "float32 [2]", math.inf)
    [dtype] = tensor_differences("input", floats(1.0), {"x": np.array([1.0])})
    assert (dtype.field, dtype.replayed) == ("input x", "float64 [1]")


def test_the_first_field_of_two_messages_that_differs_is_named() -> None:
    found = message_difference("proposal", Proposal(0.5, 1.0), Proposal(0.5, "NaN"))
    assert (found.field, found.recorded, found.replayed) == ("proposal.acceleration_mps2", "1.0", "NaN")
    assert message_difference("proposal", Proposal(0.0, 1.0), Proposal(-0.0, 1.0)).field.endswith("angle_rad")
