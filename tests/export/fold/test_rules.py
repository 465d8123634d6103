"""Each rule alone: the same answers, fewer or other nodes, nothing left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.fold import affine, dense, elementwise, sharing, small_maps, sums, transposed, views
from export.fold.fold import fold
from export.fold.wiring import Rule, apply
from export.session import Session
from tests.export.fold.graphs import Small, answers, assert_same, counts, folded_by


def _conv(g: Small, x: str, channels: int = 4, pads: Sequence[int] = (0, 0, 0, 0), group: int = 1) -> str:
    weight = g.drawn(channels, g.value(x).shape[1] // group, 3, 3)
    return g.emit("Conv", x, weight, g.drawn(channels), pads=list(pads), group=group)


def _normalised(g: Small, x: str) -> str:
    c = g.value(x).shape[1]
    variance = g.constant(np.abs(g.rng.normal(size=c)).astype(np.float32) + 0.3)
    return g.emit("BatchNormalization", x, g.drawn(c), g.drawn(c), g.drawn(c), variance)


def _per_channel(g: Small, op: str, x: str) -> str:
    return g.emit(op, x, g.drawn(g.value(x).shape[1], 1, 1))


def _behind_conv(op: str) -> Callable[[Small], str]:
    return lambda g: _per_channel(g, op, _conv(g, g.fed(1, 3, 6, 7)))


def _before_conv(g: Small) -> str:
    x = g.emit("Div", g.fed(1, 4, 6, 7), g.number(127.5))
    return _conv(g, g.emit("Sub", x, g.drawn(4, 1, 1)), group=2)


def _before_padded(g: Small) -> str:
    x = g.emit("Sub", g.emit("Div", g.fed(1, 3, 6, 7), g.number(127.5)), g.number(1.0))
    return _conv(g, x, pads=(1, 1, 1, 1))


def _around_gemm(g: Small) -> str:
    x = g.emit("Add", g.emit("Mul", g.fed(1, 5), g.drawn(5)), g.drawn(5))
    return g.emit("Mul", g.emit("Gemm", x, g.drawn(3, 5), g.drawn(3), transB=1), g.drawn(1, 3))


def _around_column(g: Small) -> str:
    x = g.emit("Mul", g.drawn(5, 1), g.fed(5, 1))
    return g.emit("Mul", g.emit("Gemm", g.drawn(5, 3), x, g.drawn(3, 1), transA=1), g.drawn(3, 1))


def _joined(g: Small) -> str:
    whole = g.emit("Gemm", g.fed(1, 5), g.drawn(3, 5), g.drawn(3), transB=1)
    return g.emit("Add", whole, g.emit("MatMul", g.fed(1, 1, name="speed"), g.drawn(1, 3)))


def _cut(g: Small) -> str:
    both = g.emit("Gemm", g.fed(1, 5), g.drawn(4, 5), g.drawn(4), transB=1)
    first = g.emit("Slice", both, g.ints(0), g.ints(1), g.ints(1))
    last = g.emit("Slice", both, g.ints(-2), g.ints(9), g.ints(-1))
    return g.emit("Concat", first, last, axis=1)


def _transposed(g: Small) -> str:
    return g.emit("ConvTranspose", g.fed(1, 4, 2, 6), g.drawn(4, 3, 3, 2), g.drawn(6), group=2, pads=[1, 0, 0, 1])


def _window(g: Small) -> str:
    return g.emit("Conv", g.fed(1, 1, 5, 9), g.drawn(1, 1, 3, 3), g.drawn(1), strides=[2, 2], pads=[1, 1, 0, 0])


def _windows_back(g: Small) -> str:
    return g.emit("ConvTranspose", g.fed(1, 1, 3, 4), g.drawn(1, 1, 3, 3), strides=[2, 2])


def _sum_behind_conv(g: Small) -> str:
    x = g.emit("Relu", _conv(g, g.fed(1, 3, 6, 7)))
    return g.emit("ReduceSum", g.emit("Mul", x, x), g.ints(0, 1), keepdims=0)


def _sum_elsewhere(g: Small) -> str:
    return g.emit("ReduceSum", g.emit("Exp", g.fed(1, 8, 3, 4)), g.ints(1), keepdims=1)


def _chain(g: Small) -> str:
    x = g.emit("Flatten", g.emit("Transpose", g.fed(1, 6, 1, 1), perm=[0, 2, 1, 3]))
    x = g.emit("Unsqueeze", g.emit("Squeeze", x, g.ints(0)), g.ints(0))
    return g.emit("Relu", g.emit("Identity", g.emit("Reshape", x, g.ints(2, -1))))


def _orders(g: Small) -> str:
    x = g.emit("Transpose", g.fed(2, 3, 4), perm=[2, 0, 1])
    return g.emit("Relu", g.emit("Transpose", x, perm=[0, 2, 1]))


def _views_of_operands(g: Small) -> str:
    x, y = g.fed(1, 6), g.fed(1, 6, name="other")
    first, second = (g.emit("Reshape", each, g.ints(1, 2, 3)) for each in (x, y))
    return g.emit("Flatten", g.emit("Mul", first, g.emit("Sub", second, g.drawn(1, 2, 3))))


def _nothing(g: Small) -> str:
    x = g.emit("Mul", g.emit("Add", g.fed(1, 5), g.number(0.0)), g.number(1.0))
    return g.emit("Neg", g.emit("Neg", g.emit("Exp", g.emit("Div", x, g.number(1.0)))))


def _masks(g: Small) -> str:
    x = g.fed(1, 50)
    one = g.emit("Sign", g.emit("Relu", x))
    other = g.emit("Where", g.emit("Greater", x, g.number(0.0)), g.number(1.0), g.number(0.0))
    return g.emit("Add", one, other)


def _of_constants(g: Small) -> str:
    return g.emit("Add", g.fed(1, 3), g.emit("Mul", g.drawn(3), g.number(2.0)))


# Rules, graph, what is gone, what is there instead.
CASES: dict[str, tuple[Sequence[Rule], Callable[[Small], str], set[str], dict[str, int]]] = {
    "a factor behind a convolution": (affine.RULES, _behind_conv("Mul"), {"Mul"}, {"Conv": 1}),
    "a divisor behind a convolution": (affine.RULES, _behind_conv("Div"), {"Div"}, {"Conv": 1}),
    "an offset behind a convolution": (affine.RULES, _behind_conv("Add"), {"Add"}, {"Conv": 1}),
    "a subtraction behind a convolution": (affine.RULES, _behind_conv("Sub"), {"Sub"}, {"Conv": 1}),
    "batch norm behind a convolution": (
        affine.RULES, lambda g: _normalised(g, _conv(g, g.fed(1, 3, 6, 7))), {"BatchNormalization"}, {"Conv": 1},
    ),
    "batch norm, then a gain": (
        affine.RULES,
        lambda g: _per_channel(g, "Add", _per_channel(g, "Mul", _normalised(g, g.fed(1, 3, 6, 7)))),
        {"Mul", "Add"},
        {"BatchNormalization": 1},
    ),
    "normalisation before a grouped convolution": (affine.RULES, _before_conv, {"Div", "Sub"}, {"Conv": 1}),
    "normalisation before a padded convolution": (affine.RULES, _before_padded, {"Div", "Sub"}, {"Add": 1, "Conv": 1}),
    "factors around a product": (affine.RULES, _around_gemm, {"Mul", "Add"}, {"Gemm": 1}),
    "factors around a product of a column": (affine.RULES, _around_column, {"Mul"}, {"Gemm": 1}),
    "a product joined to another": (dense.RULES, _joined, {"Add", "MatMul"}, {"Gemm": 2}),
    "outputs that are cut out": (dense.RULES, _cut, {"Slice"}, {"Gemm": 2}),
    "a transposed convolution of stride 1": (transposed.RULES, _transposed, {"ConvTranspose"}, {"Conv": 1}),
    "windows over a small map": (small_maps.RULES, _window, {"Conv"}, {"Gemm": 1}),
    "windows back onto a small map": (small_maps.RULES, _windows_back, {"ConvTranspose"}, {"MatMul": 1}),
    "a sum over a convolution's channels": (sums.RULES, _sum_behind_conv, {"ReduceSum"}, {"Conv": 2}),
    "a sum over other channels": (sums.RULES, _sum_elsewhere, {"ReduceSum"}, {"MatMul": 1}),
    "a chain of shapes": (views.RULES, _chain, {"Flatten", "Squeeze", "Transpose", "Identity"}, {"Reshape": 1}),
    "two orders": (views.RULES, _orders, set(), {"Transpose": 1}),
    "views of operands": (views.RULES, _views_of_operands, {"Flatten"}, {}),
    "neutral operators": (elementwise.RULES, _nothing, {"Mul", "Add", "Div", "Neg"}, {"Exp": 1}),
    "masks": (elementwise.RULES, _masks, {"Sign", "Where", "Greater"}, {"HardSigmoid": 2}),
    "operators on constants": (sharing.RULES, _of_constants, {"Mul"}, {"Add": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_rule_leaves_the_answers_and_takes_what_it_is_for(case: str) -> None:
    rules, write, gone, there = CASES[case]
    graph = Small()
    graph.out(write(graph))
    folded = folded_by(graph, rules)
    assert not gone & set(counts(folded))
    assert {op: counts(folded)[op] for op in there} == there
    views_added = 2 if "sum" in case or "windows" in case else 0  # these cost less than what they stand around
    assert len(folded.nodes) <= len(graph.nodes) + views_added


@pytest.mark.parametrize(
    "write",
    [
        lambda g: g.emit("Mul", _conv(g, g.fed(1, 3, 6, 7)), g.drawn(4, 4, 5)),  # differs from place to place
        lambda g: g.emit("Add", x := _conv(g, g.fed(1, 3, 6, 7)), g.emit("Mul", x, g.number(2.0))),  # read twice
        lambda g: _conv(g, g.emit("Add", g.fed(1, 3, 6, 7), g.drawn(3, 1, 1)), pads=(1, 1, 1, 1)),  # padding is not x
        lambda g: g.emit("Mul", g.emit("MatMul", g.fed(1, 4, 5), g.emit("Exp", g.fed(5, 3, name="w"))), g.number(2.0)),
    ],
    ids=["per place", "read twice", "an offset alone before padding", "weights that flow"],
)
def test_what_cannot_be_folded_exactly_is_left_alone(write: Callable[[Small], str]) -> None:
    graph = Small()
    graph.out(write(graph))
    assert not apply(graph, affine.RULES)


def test_a_sign_that_may_be_negative_is_no_mask() -> None:
    graph = Small()
    graph.out(graph.emit("Sign", graph.fed(1, 50)))
    assert not apply(graph, elementwise.RULES)


def test_a_mask_is_one_for_every_normal_number_and_zero_for_zero() -> None:
    graph = Small()
    graph.constants["tiny"] = np.array([[0.0, np.finfo(np.float32).tiny, 1e-30, 1.0, 3e38]], np.float32)
    graph.out(graph.emit("Sign", graph.emit("Relu", graph.emit("Mul", graph.fed(1, 1), "tiny"))))
    apply(graph, elementwise.RULES)
    found = Session(graph.to_bytes()).run({"x": np.ones((1, 1), np.float32)})["y"]
    np.testing.assert_array_equal(found, [[0, 1, 1, 1, 1]])


def test_windows_over_a_large_map_stay_a_convolution() -> None:
    graph = Small()
    graph.out(graph.emit("Conv", graph.fed(1, 1, 20, 20), graph.drawn(1, 1, 3, 3)))
    assert not apply(graph, small_maps.RULES)


def test_a_transposed_convolution_with_a_stride_stays() -> None:
    graph = Small()
    graph.out(graph.emit("ConvTranspose", graph.fed(1, 2, 3, 3), graph.drawn(2, 2, 3, 3), strides=[2, 2]))
    assert not apply(graph, transposed.RULES)


def test_of_two_nodes_that_do_the_same_one_stays() -> None:
    graph = Small()
    x = graph.fed(1, 5)
    graph.out(graph.emit("Add", graph.emit("Exp", x), graph.emit("Mul", graph.emit("Exp", x), graph.number(2.0))))
    whole = graph.copy()
    assert sharing.share(graph)
    assert counts(graph)["Exp"] == 1
    assert_same(whole, graph)
    assert not sharing.share(graph)


def _both_ways(*, stored_twice: bool) -> Small:
    graph = Small()
    weight = graph.rng.normal(size=(200, 100)).astype(np.float32)
    name = graph.constant(weight, "weight")
    hidden = graph.emit("Relu", graph.emit("Gemm", graph.fed(1, 100), name, graph.drawn(200), transB=1))
    if stored_twice:
        back = graph.emit("Gemm", hidden, graph.constant(weight.T.copy(), "crossed"), transB=1)
    else:
        back = graph.emit("MatMul", hidden, name)
    return graph.out(back)


@pytest.mark.parametrize("stored_twice", [False, True])
def test_a_large_matrix_that_is_read_both_ways_is_stored_once_and_read_as_columns(stored_twice: bool) -> None:
    graph = _both_ways(stored_twice=stored_twice)
    whole = graph.copy()
    fold(graph)
    assert_same(whole, graph, 1e-5)
    large = [array for array in graph.constants.values() if array.size == 20_000]
    products = [node for node in graph.nodes if node.op == "Gemm"]
    assert len(large) == 1
    assert {node.inputs[0] for node in products} <= set(graph.constants)
    assert sorted(node.attributes["transA"] for node in products) == [0, 1]
    again = graph.copy()
    fold(again)
    assert again.to_bytes() == graph.to_bytes()
    assert answers(graph)["y"].shape == (1, 100)
