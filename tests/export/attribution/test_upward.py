"""A map that is carried up: it goes where the activation is, and nothing of it is lost or made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.attribution.add import add_attribution
from export.attribution.layers import Layers
from export.attribution.stages import Sliding
from export.attribution.target import Target
from export.attribution.upward import add_upward
from export.graph.graph import Graph
from export.session import Session
from runtime.contracts.errors import ModelError
from tests.export.attribution.networks import PICTURE, Network, pilot_like, residual_like, transformer_like
from tests.export.attribution.test_gradient_activation import Wanted, picture


def _windowed(add: Callable[[Network], str], activation: float | None, size: tuple[int, int] = (41, 61)) -> Network:
    """A finer map, alike everywhere where `activation` says so, then what `add` appends: the coarser layer."""
    net = Network(*size, seed=1)
    net.conv(3, 1)
    net.relu()
    if activation is not None:
        net.op("Mul", np.float32(0.0))
        net.op("Add", np.float32(activation))
        net.relu()
    add(net)
    net.pool_all()
    net.dense(1)
    net.done()
    return net


def _carried(net: Network, seed: np.ndarray, finer: str | None = None) -> np.ndarray:
    graph: Graph = net.graph.copy()
    layers = Layers(graph, net.image, "steering")
    layer = layers.default()
    made, _ = add_upward(graph, layers, layer, graph.constant(seed.astype(np.float32)[None, None]), finer)
    graph.outputs.append(made)
    fine: np.ndarray = Session(graph.to_bytes()).run({PICTURE: picture(net, 5)})[made][0, 0]
    return fine


def _cells(net: Network) -> tuple[int, int]:
    places = Layers(net.graph, net.image, "steering").default().places
    return places.rows, places.columns


def _conv(kernel: int, stride: int, pad: int = 0, dilation: int = 1) -> Callable[[Network], str]:
    return lambda net: net.conv(2, kernel, stride, pad=pad, dilation=dilation)


WINDOWS = {
    "kernel 3, stride 2": _conv(3, 2),
    "kernel 5, stride 2": _conv(5, 2),
    "kernel 3, stride 2, padded": _conv(3, 2, pad=1),
    "kernel 3, stride 1, dilated": _conv(3, 1, dilation=2),
    "kernel 4, stride 3": _conv(4, 3),
    "max pool 3, stride 2": lambda net: net.max_pool(3, 2, pad=1),
    "max pool 2": lambda net: net.max_pool(2, 2),
    "residual blocks": lambda net: (net.residual(4, 2), net.residual(4))[1],
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_constant_map_over_constant_activation_has_no_checkerboard(window: str) -> None:
    net = _windowed(WINDOWS[window], activation=0.7, size=(81, 81))
    fine = _carried(net, np.ones(_cells(net)))
    inner = fine[24:-24, 24:-24]
    assert inner.size > 500
    np.testing.assert_allclose(inner, inner[0, 0], rtol=1e-5)
    assert inner[0, 0] > 0


@pytest.mark.parametrize("window", WINDOWS)
def test_the_finer_map_sums_to_the_coarser_one(window: str) -> None:
    net = _windowed(WINDOWS[window], activation=None)
    seed = np.random.default_rng(3).normal(size=_cells(net))
    fine = _carried(net, seed)
    assert fine.shape == (41, 61)
    assert fine.sum(dtype=np.float64) == pytest.approx(seed.sum(), abs=1e-5 * np.abs(seed).sum())


@pytest.mark.parametrize("window", ["kernel 5, stride 2", "kernel 3, stride 1, dilated", "max pool 3, stride 2"])
def test_each_coarse_cell_gives_its_part_to_the_cells_that_it_sees_by_their_activation(window: str) -> None:
    kernel, stride, pad, dilation = {"k": (5, 2, 0, 1), "d": (3, 1, 0, 2), "m": (3, 2, 1, 1)}[
        "m" if "pool" in window else "d" if "dilated" in window else "k"
    ]
    net = _windowed(WINDOWS[window], activation=None)
    plain = net.graph.copy()
    finer = Layers(plain, net.image, "steering")
    seed = np.random.default_rng(4).normal(size=_cells(net))
    name = next(each.tensor for each in reversed(finer.gates()) if each.places.rows == 41 and "relu" in each.tensor)
    plain.outputs.append(name)
    activation = Session(plain.to_bytes()).run({PICTURE: picture(net, 5)})[name][0].sum(axis=0)

    def seen(j: int, size: int) -> list[int]:
        cells = [j * stride - pad + k * dilation for k in range(kernel)]
        return [cell for cell in cells if 0 <= cell < size]

    # How many windows would see a cell if there were no border.
    residues = [sum((k * dilation) % stride == phase for k in range(kernel)) for phase in range(stride)]
    down, across = (np.array([residues[(i + pad) % stride] for i in range(size)]) for size in activation.shape)
    weight = activation / np.outer(down, across)
    expected = np.zeros(activation.shape)
    for row in range(seed.shape[0]):
        for column in range(seed.shape[1]):
            window_cells = np.ix_(seen(row, 41), seen(column, 61))
            expected[window_cells] += seed[row, column] * weight[window_cells] / weight[window_cells].sum()
    np.testing.assert_allclose(_carried(net, seed), expected, atol=1e-4 * np.abs(expected).max())


def test_windows_over_windows_see_the_cells_that_both_let_through_as_often_as_there_are_ways() -> None:
    def matrix(window: Sliding, coarse: int, finer: int) -> np.ndarray:
        """coarse x finer: how often each coarse cell sees each finer one, whose axis goes on beyond both its ends."""
        found = np.zeros((coarse, finer))
        for cell in range(coarse):
            start = cell * window.stride - window.pad + finer // 2
            found[cell, start : start + len(window.taps)] += window.taps
        return found

    below, above = Sliding(np.array([1.0, 0.0, 1.0]), 2, 2), Sliding(np.array([1.0, 2.0, 1.0, 1.0]), 3, 1)
    both = above.over(below)
    # The middle map reaches from -40 to 39, the finer one from -100 to 99, counted in its own cells.
    middle = np.zeros((80, 200))
    for cell in range(80):
        start = (cell - 40) * below.stride - below.pad + 100
        middle[cell, start : start + len(below.taps)] += below.taps
    np.testing.assert_array_equal(matrix(both, 6, 200), matrix(above, 6, 80) @ middle)
    assert both.stride == 6


def test_parts_that_pull_apart_stay_apart() -> None:
    net = _windowed(WINDOWS["kernel 5, stride 2"], activation=None)
    rows, columns = _cells(net)
    left, right = np.zeros((rows, columns)), np.zeros((rows, columns))
    left[:, 3], right[:, -4] = 0.3, -0.3
    fine = _carried(net, left + right)
    assert fine[:, : fine.shape[1] // 2].min() >= 0
    assert fine[:, fine.shape[1] // 2 :].max() <= 0
    assert fine.max() > 0 > fine.min()
    np.testing.assert_allclose(fine, _carried(net, left) + _carried(net, right), atol=1e-7)


def test_where_nothing_is_active_zeros_stay_zeros_and_a_part_is_spread_evenly() -> None:
    net = _windowed(WINDOWS["kernel 3, stride 2"], activation=0.0)
    nothing = np.zeros(_cells(net))
    np.testing.assert_array_equal(_carried(net, nothing), np.zeros((41, 61)))
    one = nothing.copy()
    one[4, 6] = 2.0
    fine = _carried(net, one)
    assert np.isfinite(fine).all()
    assert fine.sum() == pytest.approx(2.0, rel=1e-5)
    rows, columns = np.nonzero(fine)
    assert (set(rows.tolist()), set(columns.tolist())) == ({8, 9, 10}, {12, 13, 14})


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_fine_map_in_the_graph_sums_to_the_exact_coarse_one(kind: str) -> None:
    made = {"plain": pilot_like, "residual": residual_like}[kind]
    fine, coarse = made(7), made(7)
    contract = add_attribution(fine.graph, Wanted("upward"), Target("steering", 1), fine.image)
    below = add_attribution(coarse.graph, Wanted(), Target("steering", 1), coarse.image)
    assert contract.rows * contract.columns > below.rows * below.columns
    assert contract.layer == below.layer
    assert contract.stride_y_px <= below.stride_y_px
    assert "VisualBackProp" in contract.method
    sessions = Session(fine.graph.to_bytes()), Session(coarse.graph.to_bytes())
    for seed in range(3):
        found, seeded = (each.run({PICTURE: picture(fine, seed)})["attribution"] for each in sessions)
        assert found.shape == (1, 1, contract.rows, contract.columns)
        total, size = float(seeded.sum(dtype=np.float64)), float(np.abs(seeded).sum())
        assert found.sum(dtype=np.float64) == pytest.approx(total, abs=1e-5 * size)


def test_a_finer_layer_that_is_named_is_reached_over_those_between() -> None:
    net = pilot_like(7)
    contract = add_attribution(net.graph, Wanted("upward", "auto", "relu_8"), Target("steering"), net.image)
    assert (contract.rows, contract.columns, contract.stride_y_px, contract.field_y_px) == (18, 34, 2.0, 5.0)


@pytest.mark.parametrize(
    ("layer", "finer", "message"),
    [
        ("auto", "conv_99", "no layer 'conv_99'"),
        ("relu_12", "relu_16", "'relu_16' is no map through which .* on its way to 'relu_12'"),
        ("mul_4", "auto", "no map with more cells"),
    ],
)
def test_a_finer_layer_that_is_none_is_refused_with_those_that_there_are(layer: str, finer: str, message: str) -> None:
    net = pilot_like(7)
    count, constants = len(net.graph.nodes), set(net.graph.constants)
    with pytest.raises(ModelError, match=message):
        add_attribution(net.graph, Wanted("upward", layer, finer), Target("steering"), net.image)
    assert (len(net.graph.nodes), set(net.graph.constants)) == (count, constants)


def test_tokens_are_not_carried_up() -> None:
    net, _ = transformer_like(7)
    with pytest.raises(ModelError, match=r"holds tokens.*attention-rollout"):
        add_attribution(net.graph, Wanted("upward"), Target("steering"), net.image)
