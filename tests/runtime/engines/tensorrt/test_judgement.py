"""What parity and latency refuse."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.engines.tensorrt.judgement import Parity, compare, latency_of

JUDGED = frozenset({"steering", "map"})


def outputs(steering: float, cell: float = 0.5, extra: float = 0.0) -> dict[str, NDArray[Any]]:
    return {
        "steering": np.array([[steering]], np.float32),
        "map": np.array([[cell, -1.0]], np.float32),
        "extra": np.array([extra], np.float32),
    }


def judged(*pairs: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]) -> Parity:
    return compare([(f"input {i}", one, other) for i, (one, other) in enumerate(pairs)], None, JUDGED)


def test_the_worst_input_of_every_output_is_named() -> None:
    parity = judged((outputs(0.1), outputs(0.1)), (outputs(0.1), outputs(0.3)), (outputs(0.1), outputs(0.2, 0.25)))
    steering, attribution, _ = parity.outputs
    assert (steering.worst_input, attribution.worst_input) == ("input 1", "input 2")
    assert float(steering.max_abs) == pytest.approx(0.2)
    assert attribution.cosine < 1.0
    refusal = parity.refusal(1e-4)
    assert "'steering' is off by 0.2 (input 'input 1'), allowed is 0.0001" in refusal
    assert "'map' is off by 0.25" in refusal
    assert parity.refusal(0.3) == ""


def test_the_map_counts_as_the_decision_does_and_what_nobody_reads_does_not() -> None:
    assert "'map'" in judged((outputs(0.1), outputs(0.1, 0.9))).refusal(1e-4)
    assert judged((outputs(0.1), outputs(0.1, extra=9.0))).refusal(1e-4) == ""


@pytest.mark.parametrize(
    ("expected", "found", "refused"),
    [
        (np.nan, np.nan, False),
        (np.inf, np.inf, False),
        (np.nan, 0.0, True),
        (0.0, np.nan, True),
        (np.inf, -np.inf, True),
        (0.0, np.inf, True),
    ],
)
def test_what_is_not_finite_must_be_the_same(expected: float, found: float, refused: bool) -> None:
    parity = judged((outputs(expected), outputs(found)))
    assert bool(parity.refusal(1e30)) == refused
    assert parity.outputs[0].cosine == (0.0 if refused else 1.0)
    assert msgspec.json.decode(msgspec.json.encode(parity), type=Parity) == parity


def test_another_shape_is_infinitely_far() -> None:
    other = {**outputs(0.1), "map": np.zeros((2, 2), np.float32)}
    assert "'map' is off by inf" in judged((outputs(0.1), other)).refusal(1e30)


def test_a_tolerance_that_was_asked_for_stands_whatever_the_manifest_says() -> None:
    by_hand = compare([("x", outputs(0.1), outputs(0.2))], 0.5, JUDGED)
    assert by_hand.refusal(1e-9) == ""


def test_a_slow_plan_and_one_slower_than_the_plan_in_use_are_refused() -> None:
    times = [1000.0] * 98 + [9000.0] * 2
    assert latency_of(times, 10_000.0).refusal() == ""
    assert latency_of(times, 5000.0).refusal() == "p99 is 9.00 ms, allowed is 5.00 ms"
    assert latency_of(times, 10_000.0, [900.0]).refusal() == ""
    assert "p50 is 1.00 ms, the plan in use takes 0.70 ms" in latency_of(times, 10_000.0, [700.0]).refusal()
