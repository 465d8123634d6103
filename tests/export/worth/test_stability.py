"""What small changes of the picture, and of the weights, do to a map."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

from export.graph.graph import Graph
from export.worth.randomisation import randomisation
from export.worth.stability import BRIGHTER, DARKER, DRAWS, NOISE, stability
from export.worth.subject import Subject
from export.worth.verdict import Disturbance, Stability
from tests.export.worth import networks

PLAIN = networks.plain_network()
FRAMES = networks.frames(8).inputs


def of(found: Stability, name: str) -> Disturbance:
    return next(each for each in found.disturbances if each.name == name)


@pytest.fixture(scope="module")
def exact() -> Stability:
    return stability(Subject(networks.exactly(PLAIN)), FRAMES, target_spread=0.1, seed=1)


def test_noise_and_light_move_the_map_a_little_and_noise_decides(exact: Stability) -> None:
    assert exact.draws == DRAWS
    assert [(each.name, each.gated) for each in exact.disturbances] == [
        (NOISE, True),
        (BRIGHTER, False),
        (DARKER, False),
    ]
    for each in exact.disturbances:
        assert each.rank_correlation_p5 is not None and each.rank_correlation_median is not None
        assert each.rank_correlation_p5 <= each.rank_correlation_median <= 1.0
    noise = of(exact, NOISE)
    assert noise.rank_correlation_median is not None and 0.5 < noise.rank_correlation_median < 0.999
    assert noise.map_change_median is not None and 0.001 < noise.map_change_median < 0.2
    assert noise.decision_change_median is not None and 0.0 < noise.decision_change_median < 0.2


def test_more_light_moves_nothing_where_the_network_reads_colours_less_their_mean(exact: Stability) -> None:
    """The two detectors that the head uses sum to nothing over the channels. (Darker, black cannot follow.)"""
    brighter, darker = of(exact, BRIGHTER).map_change_median, of(exact, DARKER).map_change_median
    assert brighter is not None and darker is not None
    assert brighter < 0.01 < darker


def test_a_map_that_shakes_more_than_the_decision_has_a_ratio_far_above_one(exact: Stability) -> None:
    random = stability(Subject(networks.at_random(PLAIN)), FRAMES, target_spread=0.1, seed=1)
    shaky, calm = of(random, NOISE).ratio, of(exact, NOISE).ratio
    assert shaky is not None and calm is not None and shaky > 10 * calm


def test_where_the_decision_never_moves_there_is_no_ratio() -> None:
    still = stability(Subject(networks.exactly(PLAIN)), FRAMES, target_spread=0.0, seed=1)
    assert all(each.decision_change_median is None and each.ratio is None for each in still.disturbances)


def test_a_map_that_only_changes_its_sign_with_the_head_is_told_by_its_absolute_value() -> None:
    """A head of one weight: redrawn, it turns the map round or leaves it. The signed correlations of seeds that turn it
    both ways have a mean near nothing; that must not pass for a map that changed."""

    def single(plain: bytes) -> bytes:
        import onnx

        model = onnx.load_from_string(plain)
        for tensor in model.graph.initializer:
            if tensor.name == "head":
                sign = float(np.sign(onnx.numpy_helper.to_array(tensor).ravel()[0]))
                only = np.array([sign, 0, 0, 0, 0, 0, 0, 0], np.float32).reshape(1, 8, 1, 1)
                tensor.CopyFrom(onnx.numpy_helper.from_array(only, "head"))
        return networks.exactly(model.SerializeToString())

    subject = Subject(single(PLAIN))
    found = randomisation(Graph.load(PLAIN, "known"), single, subject, FRAMES, seeds=(1, 2, 3, 4, 5, 6))
    head = found.stages[0]
    assert {round(value) for value in head.by_seed if value is not None} == {-1, 1}
    assert head.signed == pytest.approx(1.0)
    assert head.absolute == pytest.approx(1.0)


def test_signed_and_absolute_maps_are_compared_apart() -> None:
    """Negated, a map of one sign keeps its absolute order and loses its own."""

    def turned(plain: bytes) -> bytes:
        return networks.backwards(plain) if plain != PLAIN else networks.exactly(plain)

    frames = networks.frames(3).inputs
    subject = Subject(networks.exactly(PLAIN))
    found = randomisation(Graph.load(PLAIN, "known"), turned, subject, frames, seeds=(1,))
    assert found.stages[0].signed != found.stages[0].absolute


def test_constant_maps_are_counted_out_and_none_is_no_pass() -> None:
    from export.worth.judge import judge

    def nothing(plain: bytes) -> bytes:
        import onnx

        model = onnx.load_from_string(plain)
        for tensor in model.graph.initializer:
            if tensor.name in {"head", "head_bias"}:
                zeros = np.zeros_like(onnx.numpy_helper.to_array(tensor))
                tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
        return networks.exactly(model.SerializeToString())

    found = judge(PLAIN, nothing, networks.frames(8))
    assert found.randomisation is not None
    assert [(stage.signed, stage.compared) for stage in found.randomisation.stages] == [(None, 0), (None, 0)]
    assert found.verdict == "not worth showing"
    assert "constant" in found.reasons[0]
    assert "none" in found.reasons[-1]
