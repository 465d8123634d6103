"""The map that is added to a graph: autograd's gradient x activation, in the same run as the decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.agreement import relative_error
from export.attribution.add import add_attribution
from export.attribution.target import Target
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import AttributionOutput
from tests.export.attribution import oracle
from tests.export.attribution.networks import (
    PICTURE,
    Network,
    pilot_like,
    residual_like,
    transformer_like,
)

RELATIVE = 1e-5


@dataclass(frozen=True)
class Wanted:
    method: str = "gradient-x-activation"
    layer: str = "auto"
    finer_layer: str = "auto"
    baseline: str = "none"


def picture(net: Network, seed: int) -> np.ndarray:
    shape = net.graph.inputs[PICTURE].shape
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def run(net: Network, seed: int) -> dict[str, np.ndarray]:
    return Session(net.graph.to_bytes()).run({PICTURE: picture(net, seed)})


def _expected(net: Network, contract: AttributionOutput, index: int | str, seed: int, first: int = 0) -> np.ndarray:
    product = oracle.gradient_times(net.graph, {PICTURE: picture(net, seed)}, "steering", index, contract.layer)
    count = contract.rows * contract.columns
    if product.shape[-2:] == (contract.rows, contract.columns):
        product = product.sum(axis=(0, 1))
        return np.asarray(product)
    token_axis = product.shape.index(first + count)
    cells: np.ndarray = product.sum(axis=tuple(axis for axis in range(product.ndim) if axis != token_axis))
    return cells[first:].reshape(contract.rows, contract.columns)


@pytest.mark.parametrize("index", [0, 1, "argmax"])
@pytest.mark.parametrize("kind", ["plain", "residual", "class-token", "mean-of-tokens", "norm-of-tokens"])
def test_the_map_is_autograds_gradient_times_activation(kind: str, index: int | str) -> None:
    nets = {
        "plain": lambda: pilot_like(3),
        "residual": lambda: residual_like(4),
        "class-token": lambda: transformer_like(5, class_token=True)[0],
        "mean-of-tokens": lambda: transformer_like(6, class_token=False)[0],
        "norm-of-tokens": lambda: transformer_like(7, class_token=False)[0],
    }
    net = nets[kind]()
    plain = net.graph.copy()
    layer = "norm" if kind == "norm-of-tokens" else "auto"
    contract = add_attribution(net.graph, Wanted(layer=layer), Target("steering", index), net.image)  # type: ignore[arg-type]
    explained, net.graph = net.graph, plain
    session = Session(explained.to_bytes())
    for seed in range(4):
        answer = session.run({PICTURE: picture(net, seed)})
        expected = _expected(net, contract, index, seed, first=int(kind == "class-token"))
        assert answer["attribution"].shape == (contract.rows, contract.columns)
        assert relative_error(answer["attribution"], expected) < RELATIVE
        decided = Session(plain.to_bytes()).run({PICTURE: picture(net, seed)})["steering"]
        assert relative_error(answer["steering"], decided) < 1e-6


def test_a_transformer_is_asked_for_gradient_x_attention_of_its_first_block() -> None:
    net, names = transformer_like(5, class_token=True)
    plain = net.graph.copy()
    contract = add_attribution(net.graph, Wanted(), Target("steering"), net.image)
    assert "gradient x attention" in contract.method
    assert "past this layer" not in contract.method
    found = run(net, 2)["attribution"]
    product = oracle.gradient_times(plain, {PICTURE: picture(net, 2)}, "steering", 0, names[0])
    assert relative_error(found, product.sum(axis=(0, 1, 2))[1:].reshape(3, 5)) < RELATIVE


def test_a_transformer_behind_convolutions_is_asked_at_the_last_map_before_its_tokens() -> None:
    net = Network(48, 80, 9)
    net.conv(6, 3, 2, pad=1)
    stem = net.relu()
    net.patches(4, 16, class_token=False)
    net.attention(heads=2)
    net.layer_norm()
    net.at = net.graph.emit("ReduceMean", net.at, net.graph.constant(np.array([1], np.int64)), keepdims=0)
    net.dense(1)
    net.done()
    contract = add_attribution(net.graph, Wanted(), Target("steering"), net.image)
    assert (contract.layer, contract.rows, contract.columns) == (stem, 24, 40)


def test_the_contract_names_layer_target_and_places() -> None:
    net = pilot_like(3)
    contract = add_attribution(net.graph, Wanted(), Target("steering", 1, -0.5), net.image, "why")
    assert net.graph.outputs == ["steering", "why"]
    assert (contract.output, contract.target_tensor, contract.target_index, contract.scale) == ("why", "", 1, -0.5)
    assert (contract.rows, contract.columns, contract.layer) == (5, 13, "relu_16")
    assert (contract.origin_y_px, contract.stride_y_px, contract.field_y_px) == (10.0, 4.0, 21.0)
    assert contract.method == "gradient x activation (HiResCAM)"


def test_a_score_behind_a_softmax_is_asked_before_it() -> None:
    net = pilot_like(3)
    net.graph.outputs.clear()
    net.at, logit = "steering", "steering"
    net.op("Softmax", axis=-1)
    net.done("probabilities")
    plain = net.graph.copy()
    contract = add_attribution(net.graph, Wanted(), Target("probabilities", "argmax", 1.0, "score"), net.image)
    assert (contract.target_tensor, contract.target_index) == (logit, "argmax")
    assert contract.method == "gradient x activation (HiResCAM) of the logit before the softmax"
    found = run(net, 1)["attribution"]
    net.graph = plain
    assert relative_error(found, _expected(net, contract, "argmax", 1)) < RELATIVE


def test_a_steering_behind_a_sigmoid_is_asked_as_it_comes_out() -> None:
    net = pilot_like(3)
    net.graph.outputs.clear()
    net.at = "steering"
    net.op("Sigmoid")
    net.done("angle")
    contract = add_attribution(net.graph, Wanted(), Target("angle"), net.image)
    assert contract.target_tensor == ""


@pytest.mark.parametrize(
    ("wanted", "target", "message"),
    [
        (Wanted(), Target("throttle"), "'throttle' is no output; the network gives steering"),
        (Wanted(), Target("steering", 2), "element 2 of 'steering', which has 2"),
        (Wanted(layer="conv9"), Target("steering"), r"no layer 'conv9'.*relu_16 \(cells: 5 x 13\)"),
        (Wanted(method="grad-cam"), Target("steering"), "no method 'grad-cam'"),
    ],
)
def test_what_cannot_be_explained_is_refused_and_the_graph_stays_as_it_was(
    wanted: Wanted, target: Target, message: str
) -> None:
    net = pilot_like(3)
    before, count = net.graph.to_bytes(), len(net.graph.nodes)
    with pytest.raises(ModelError, match=message):
        add_attribution(net.graph, wanted, target, net.image)
    assert (net.graph.to_bytes(), len(net.graph.nodes)) == (before, count)


def test_an_operator_that_no_gradient_passes_leaves_the_graph_as_it_was() -> None:
    net = Network(32, 48, 1)
    net.conv(4, 3, 2)
    net.op("MaxRoiPool", np.array([[0, 0, 0, 8, 8]], np.float32), pooled_shape=[2, 2])
    net.flatten()
    net.dense(1)
    net.done()
    before = net.graph.to_bytes()
    with pytest.raises(ModelError, match="MaxRoiPool"):
        add_attribution(net.graph, Wanted(layer="conv_7"), Target("steering"), net.image)
    assert net.graph.to_bytes() == before


def test_a_network_that_does_not_look_at_the_picture_cannot_be_explained_by_it() -> None:
    net = pilot_like(3)
    speed = net.graph.add_input("speed", np.float32, (1, 1))
    net.graph.rename(net.graph.emit("Relu", speed), "throttle")
    net.graph.outputs.append("throttle")
    with pytest.raises(ModelError, match="'throttle' does not depend on the picture"):
        add_attribution(net.graph, Wanted(), Target("throttle"), net.image)
