"""What another precision changes is measured on frames, and refused beyond the gates with the figures."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from export.config import DriftGates
from export.frames import Frames
from export.precision.change import Read, decision_change, explanation_change
from export.precision.drift import Drift, drift, refused
from export.precision.half import to_fp16
from export.precision.int8 import to_int8
from export.precision.speed import speed
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import Concept
from tests.export.precision import networks

STEERING = Read("steering_angle_rad", "rad", "steering", 0, 1.0, 1.4)
NAMES = ("first", "second")


@pytest.fixture(scope="module")
def plain() -> bytes:
    return networks.residual_policy()


@pytest.fixture(scope="module")
def frames(plain: bytes) -> Frames:
    return networks.frames(plain, networks.OTHER_ROAD, 5)


@pytest.fixture(scope="module")
def found(plain: bytes, frames: Frames) -> Drift:
    return drift(plain, to_int8(plain, networks.frames(plain)), frames)


def test_it_measures_size_decisions_and_explanations_on_named_frames(
    plain: bytes, frames: Frames, found: Drift
) -> None:
    candidate = to_int8(plain, networks.frames(plain))
    assert (found.source, found.frames_sha256, found.frames) == (networks.OTHER_ROAD, frames.sha256, 5)
    assert (found.reference_bytes, found.candidate_bytes) == (len(plain), len(candidate))
    steering, acceleration = found.decisions
    moved = [
        abs(
            float(Session(plain).run(inputs)["steering"][0, 0])
            - float(Session(candidate).run(inputs)["steering"][0, 0])
        )
        for inputs in frames.inputs
    ]
    assert (steering.name, steering.unit) == ("steering_angle_rad", "rad")
    assert [steering.range, steering.mean, steering.max] == pytest.approx([1.4, np.mean(moved), max(moved)])
    assert found.worst_frame == steering.worst_frame == int(np.argmax(moved))
    assert (acceleration.name, acceleration.unit) == ("acceleration_mps2", "m/s²")
    (explained,) = found.explanations
    assert 0.98 < explained.min <= explained.p5 <= explained.median < 1.0


def test_the_same_network_does_not_drift(plain: bytes, frames: Frames) -> None:
    same = drift(plain, plain, frames)
    assert [(each.mean, each.max) for each in same.decisions] == [(0.0, 0.0)] * 2
    assert [same.explanations[0].median, same.explanations[0].min] == pytest.approx([1.0, 1.0])
    assert refused(same, DriftGates()) == []
    assert same.speed.remark == ""


def test_the_time_of_float16_on_a_cpu_carries_a_remark(plain: bytes, frames: Frames) -> None:
    assert "says nothing of a GPU's" in drift(plain, to_fp16(plain), frames).speed.remark


def test_so_does_the_time_of_int8_that_is_laid_out_for_another_engine(plain: bytes, frames: Frames) -> None:
    assert "laid out for TensorRT" in drift(plain, to_int8(plain, frames, "tensorrt"), frames).speed.remark
    assert drift(plain, to_int8(plain, frames, "onnxruntime"), frames).speed.remark == ""


def test_concepts_and_their_maps_are_measured_too(plain: bytes, frames: Frames) -> None:
    concept = Concept(name="offset", unit="m", output="acceleration", scale=2.0, map="attribution")
    named = networks.with_manifest(plain, concepts=(concept,))
    found = drift(named, to_int8(named, frames), frames)
    assert [each.name for each in found.decisions] == ["steering_angle_rad", "acceleration_mps2", "offset"]
    assert (found.decisions[2].unit, found.decisions[2].range) == ("m", None)
    assert found.decisions[2].mean == pytest.approx(2.0 * found.decisions[1].mean)
    assert [each.name for each in found.explanations] == ["attribution", "concept offset"]


def test_a_drift_within_the_gates_passes(found: Drift) -> None:
    assert refused(found, DriftGates()) == []


def test_a_drift_beyond_a_gate_is_refused_with_figure_limit_and_frame(found: Drift) -> None:
    tight = DriftGates(decision_mean=1e-5, decision_p99=1.0, explanation_median=-1.0, explanation_p5=1.0)
    first, second, third = refused(found, tight)
    steering = found.decisions[0]
    assert first == (
        f"steering_angle_rad moves by {steering.mean:.4g} rad in the mean, more than the 1.4e-05 rad allowed (1e-05 of "
        f"its range); worst on frame {steering.worst_frame}, by {steering.max:.4g} rad"
    )
    assert second.startswith("acceleration_mps2 moves by ")
    explained = found.explanations[0]
    assert third == (
        f"the map 'attribution' agrees with float32 by a rank correlation of {explained.p5:.3f} (5th percentile), less "
        f"than the 1 asked for; worst on frame {explained.worst_frame}, {explained.min:.3f}"
    )


def test_the_gate_closes_at_the_limit_and_not_beyond(found: Drift) -> None:
    steering = found.decisions[0]
    open_gates = {"decision_mean": 1.0, "decision_p99": 1.0, "explanation_median": -1.0, "explanation_p5": -1.0}
    for key, value in (("decision_mean", steering.mean), ("decision_p99", steering.p99)):
        share = value / 1.4
        above, below = (refused(found, DriftGates(**open_gates | {key: share * by})) for by in (1.01, 0.99))
        assert [reason for reason in above if reason.startswith("steering")] == []
        assert len([reason for reason in below if reason.startswith("steering")]) == 1
    explained = found.explanations[0]
    for key, agreement in (("explanation_median", explained.median), ("explanation_p5", explained.p5)):
        assert refused(found, DriftGates(**open_gates | {key: agreement - 1e-6})) == []
        assert len(refused(found, DriftGates(**open_gates | {key: agreement + 1e-6}))) == 1


def test_a_drift_is_read_back_from_json_as_it_was(found: Drift) -> None:
    assert msgspec.json.decode(msgspec.json.encode(found), type=Drift) == found


def test_a_candidate_that_overflows_is_named_with_output_and_frame() -> None:
    plain = networks.residual_policy(gain=60_000.0)
    frames = networks.frames(plain, count=2)
    with pytest.raises(ModelError, match=r"candidate of model residual: steering_angle_rad holds what is no finite"):
        drift(plain, to_fp16(plain), frames)


def test_no_frame_at_all_is_refused(plain: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be measured on no frame at all"):
        drift(plain, plain, Frames("drives/none", "0" * 64, ()))


def test_mean_p99_and_worst_frame_are_of_the_absolute_change() -> None:
    change = decision_change(STEERING, [0.0] * 100, [0.01] * 60 + [-0.5] + [0.01] * 39, NAMES)
    assert change.mean == pytest.approx(0.0149)
    assert change.max == pytest.approx(0.5)
    assert 0.01 < change.p99 < 0.5
    assert change.worst_frame == 60


def test_median_5th_percentile_and_worst_frame_are_of_the_frames_agreements() -> None:
    ramp = np.arange(8.0)
    change = explanation_change("attribution", [ramp] * 40, [ramp] * 37 + [-ramp] + [ramp] * 2, NAMES)
    assert [change.median, change.min] == pytest.approx([1.0, -1.0])
    assert change.worst_frame == 37
    swapped = explanation_change("attribution", [ramp] * 40, [ramp] * 30 + [-ramp] * 10, NAMES)
    assert [swapped.median, swapped.p5] == pytest.approx([1.0, -1.0])


def test_a_map_without_ranks_agrees_only_with_another_such() -> None:
    ramp, flat = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    change = explanation_change("attribution", [ramp, flat, flat], [ramp * 3.0, flat, ramp], NAMES)
    assert change.median == pytest.approx(1.0)
    assert (change.min, change.worst_frame, change.constant) == (0.0, 2, 2)


def test_speed_is_the_median_ratio_of_neighbours_whatever_the_machine_does_meanwhile(
    plain: bytes, frames: Frames
) -> None:
    def clock() -> Iterator[int]:
        """Every pass of the second takes half as long as its neighbour's, while the machine slows down by and by."""
        now, pace = 0, 10_000_000
        order = [0, 1] * 3
        for pair in range(10_000):
            order += [0, 1] if pair % 2 == 0 else [1, 0]
        for which in order:
            yield now
            now += pace if which == 0 else pace // 2
            yield now
            pace += 1000

    ticks = clock()
    found = speed(Session(plain), Session(plain), frames, "", lambda: next(ticks))
    assert found.ratio == pytest.approx(0.5, abs=0.001)
    assert found.ratio_low <= found.ratio <= found.ratio_high
    assert found.ratio_high - found.ratio_low < 0.01
    assert found.pairs == 266
    assert found.engine.startswith("ONNX Runtime ")
