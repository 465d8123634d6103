"""Rules of pooling, judged by torch's autograd."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree, on


def _through_a_mean(c: Case) -> str:
    x = c.emit("Relu", c.emit("Conv", c.input(1, 2, 6, 6), c.weights(4, 2, 3, 3)))
    pooled = c.emit("GlobalAveragePool", c.emit("Conv", x, c.weights(5, 4, 1, 1)))
    return c.emit("Gemm", c.emit("Flatten", pooled), c.weights(5, 3))


CASES: dict[str, Build] = {
    "MaxPool": on("MaxPool", 1, 3, 8, 8, kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool overlapping": on("MaxPool", 2, 3, 9, 9, kernel_shape=[3, 3], strides=[2, 2]),
    "MaxPool padded": on("MaxPool", 1, 3, 9, 8, high=-0.5, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool with ties": on("MaxPool", 1, 4, 9, 9, ties=True, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool dilated": on("MaxPool", 1, 2, 9, 9, kernel_shape=[3, 2], dilations=[2, 3]),
    "MaxPool ceil_mode": on("MaxPool", 1, 2, 8, 8, ties=True, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "MaxPool 1d": on("MaxPool", 1, 2, 9, ties=True, kernel_shape=[3], strides=[1]),
    "MaxPool 3d": on("MaxPool", 1, 2, 4, 5, 6, ties=True, kernel_shape=[2, 2, 3], strides=[2, 1, 2]),
    "AveragePool": on("AveragePool", 1, 3, 8, 8, kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool overlapping": on("AveragePool", 1, 3, 8, 9, kernel_shape=[3, 3], strides=[1, 2]),
    "AveragePool padded": on("AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
    "AveragePool askew": on("AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1]),
    "AveragePool counting its padding": on(
        "AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "AveragePool ceil_mode": on("AveragePool", 1, 2, 8, 8, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "AveragePool ceil_mode counting its padding": on(
        "AveragePool",
        1,
        2,
        9,
        8,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
        count_include_pad=1,
    ),
    "AveragePool of everything": on("AveragePool", 1, 3, 5, 7, kernel_shape=[5, 7]),
    "AveragePool 1d": on("AveragePool", 1, 3, 9, kernel_shape=[3], strides=[2]),
    "GlobalAveragePool": on("GlobalAveragePool", 2, 3, 4, 5),
    "GlobalMaxPool": on("GlobalMaxPool", 2, 3, 4, 5, ties=True),
    "LpPool": on("LpPool", 1, 2, 6, 6, low=0.1, kernel_shape=[2, 2], strides=[2, 2], p=2),
    "LpPool 3": on("LpPool", 1, 2, 6, 6, low=0.1, kernel_shape=[3, 3], strides=[1, 1], p=3),
    "a mean in front of a head": _through_a_mean,
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
