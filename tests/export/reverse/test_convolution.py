"""Rules of convolutions, judged by torch's autograd."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="its autograd is the judge")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from tests.export.reverse.cases import Build, Case, agree


def _conv(x: tuple[int, ...], w: tuple[int, ...], op: str = "Conv", *, bias: bool = False, **attributes: Any) -> Build:
    def build(c: Case) -> str:
        channels = w[1] * attributes.get("group", 1) if op == "ConvTranspose" else w[0]
        biases = [c.weights(channels)] if bias else []
        return c.emit(op, c.input(*x), c.weights(*w), *biases, **attributes)

    return build


CASES: dict[str, Build] = {
    "Conv 1d": _conv((1, 3, 9), (4, 3, 3), pads=[1, 2], strides=[2]),
    "Conv": _conv((2, 3, 7, 8), (4, 3, 3, 3), bias=True),
    "Conv 1x1": _conv((1, 3, 4, 5), (6, 3, 1, 1)),
    "Conv 1x1 in groups": _conv((1, 4, 3, 3), (6, 2, 1, 1), group=2),
    "Conv 1x1 padded": _conv((1, 3, 4, 5), (6, 3, 1, 1), pads=[1, 0, 0, 1]),
    "Conv 1x1 strided": _conv((1, 3, 6, 5), (6, 3, 1, 1), strides=[2, 2]),
    "Conv padded": _conv((1, 3, 7, 8), (4, 3, 3, 5), pads=[1, 2, 0, 1]),
    "Conv padded beyond its kernel": _conv((1, 2, 5, 5), (3, 2, 3, 3), pads=[4, 3, 0, 3]),
    "Conv strided": _conv((1, 3, 10, 11), (4, 3, 5, 5), strides=[2, 3], pads=[1, 2, 2, 1]),
    "Conv that leaves an end unread": _conv((1, 2, 8, 10), (3, 2, 3, 3), strides=[4, 3]),
    "Conv dilated": _conv((1, 3, 12, 12), (4, 3, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]),
    "Conv dilated and strided": _conv((1, 3, 12, 13), (4, 3, 3, 3), dilations=[2, 3], strides=[2, 2]),
    "Conv in groups": _conv((1, 6, 7, 7), (4, 3, 3, 3), group=2, pads=[1, 1, 1, 1]),
    "Conv of each channel": _conv((1, 6, 9, 9), (6, 1, 3, 3), group=6, strides=[2, 2], pads=[1, 1, 1, 1]),
    "Conv 3d": _conv((1, 2, 5, 6, 7), (3, 2, 3, 2, 3), strides=[1, 2, 2], pads=[1, 0, 1, 1, 1, 1]),
    "Conv SAME_UPPER": _conv((1, 2, 7, 8), (3, 2, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv SAME_LOWER": _conv((1, 2, 7, 8), (3, 2, 4, 3), auto_pad="SAME_LOWER", strides=[2, 3]),
    "Conv VALID": _conv((1, 2, 7, 8), (3, 2, 3, 3), auto_pad="VALID"),
    "ConvTranspose": _conv((1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", bias=True),
    "ConvTranspose strided": _conv((1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", strides=[2, 3], pads=[1, 0, 1, 2]),
    "ConvTranspose made longer": _conv(
        (1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "ConvTranspose SAME_UPPER": _conv(
        (1, 3, 4, 5), (3, 4, 4, 5), "ConvTranspose", auto_pad="SAME_UPPER", strides=[3, 2]
    ),
    "ConvTranspose SAME_LOWER": _conv(
        (1, 3, 4, 5), (3, 4, 4, 5), "ConvTranspose", auto_pad="SAME_LOWER", strides=[3, 2]
    ),
    "ConvTranspose to a shape": _conv((1, 3, 4, 5), (3, 4, 4, 4), "ConvTranspose", output_shape=[9, 9], strides=[2, 2]),
    "ConvTranspose to a longer shape": _conv(
        (1, 3, 4, 5), (3, 4, 4, 4), "ConvTranspose", output_shape=[10, 10], strides=[2, 2], output_padding=[1, 0]
    ),
    "ConvTranspose in groups": _conv((1, 4, 4, 5), (4, 3, 3, 3), "ConvTranspose", group=2, dilations=[2, 1]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    agree(CASES[name], seed=len(name))  # another one for most
