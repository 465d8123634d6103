"""Networks that forget from the output on."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

import msgspec  # noqa: E402

from export.graph.graph import Graph  # noqa: E402
from export.worth.randomisation import stage_sizes  # noqa: E402
from export.worth.redraw import Cascade, Layer, cascade, redrawn  # noqa: E402
from export.worth.subject import Subject  # noqa: E402
from tests.export.worth import networks  # noqa: E402

PLAIN = networks.plain_network()


def graph() -> Graph:
    return Graph.load(PLAIN, "known")


def order(layer: str) -> Cascade:
    subject = Subject(networks.exactly(PLAIN))
    return cascade(graph(), subject.manifest, msgspec.structs.replace(subject.attribution, layer=layer))


def weights(data: bytes) -> dict[str, np.ndarray]:
    model = onnx.load_from_string(data)
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_layers_come_from_the_output_on_with_their_weights_and_biases() -> None:
    found = order("features")
    assert [layer.name for layer in found.layers] == ["parts", "seen"]
    assert [set(layer.constants) for layer in found.layers] == [{"head", "head_bias"}, {"kernel", "bias"}]
    assert found.head == 1


def test_everything_weighted_behind_the_layer_is_the_head() -> None:
    assert order("pixels").head == 2


@pytest.mark.parametrize("layer", ["parts", "nowhere"])
def test_the_last_layer_is_the_head_where_nothing_weighted_stands_behind_the_map_s_own(layer: str) -> None:
    assert order(layer).head == 1


def test_only_the_named_layers_are_drawn_anew_at_their_own_scale() -> None:
    before = weights(graph().to_bytes())
    found = weights(redrawn(graph(), order("features").layers[1:], seed=1))
    assert np.array_equal(found["head"], before["head"])
    assert not np.array_equal(found["kernel"], before["kernel"])

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))

    assert rms(found["kernel"]) == pytest.approx(rms(before["kernel"]), rel=0.1)
    assert found["kernel"].dtype == before["kernel"].dtype


def test_a_longer_cascade_keeps_what_a_shorter_one_drew_and_seeds_differ() -> None:
    layers = order("features").layers
    short, long = weights(redrawn(graph(), layers[:1], seed=1)), weights(redrawn(graph(), layers, seed=1))
    assert np.array_equal(short["head"], long["head"])
    assert not np.array_equal(short["head"], weights(redrawn(graph(), layers[:1], seed=2))["head"])


def test_a_bias_that_stands_behind_a_product_is_drawn_with_it_and_a_product_of_activations_is_no_layer() -> None:
    from onnx import TensorProto, helper

    from tests.models import build

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["biased"]),
        helper.make_node("Transpose", ["biased"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["turned", "biased"], ["squared"]),
        helper.make_node("ReduceSum", ["squared"], ["steering"], keepdims=1),
    ]
    constants = {"w": np.ones((3, 4), np.float32), "b": np.ones(4, np.float32)}
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("steering", TensorProto.FLOAT, [1, 1])
    subject = Subject(networks.exactly(PLAIN))
    found = cascade(Graph.load(build(nodes, [x], [y], constants, None), "net"), subject.manifest, subject.attribution)
    assert [set(layer.constants) for layer in found.layers] == [{"w", "b"}]


@pytest.mark.parametrize(("layers", "head"), [(3, 1), (8, 3), (53, 4), (200, 199)])
def test_stages_are_few_and_hold_the_last_layer_the_head_and_all(layers: int, head: int) -> None:
    found = stage_sizes(Cascade(tuple(Layer(str(i), ()) for i in range(layers)), head))
    assert len(found) <= 8
    assert {1, head, layers} <= set(found)
    assert list(found) == sorted(set(found))
