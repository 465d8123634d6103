"""The graph of preprocessing as the bytes of an ONNX file: the vehicle does not carry the onnx package.

It holds no weights: those of the resize are inputs, so that one session serves whatever size the camera turns out to
have. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from runtime.contracts.model import ImageInput
from runtime.contracts.onnx_file import length_delimited, number

PICTURE, ROWS, COLUMNS, OUTPUT = "picture", "rows", "columns", "image"
_IR_VERSION, _OPSET = 8, 13  # old enough for every ONNX Runtime that the runtime supports
_FLOAT, _UINT8, _INT64 = 1, 2, 7  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType


def preprocessing_graph(image_input: ImageInput) -> bytes:
    """From the cropped picture to the model's input, as ONNX.

    Inputs: `picture` uint8, height x width x 3, blue-green-red; `rows` and `columns` float32, as `resize_weights` gives
    them. Output: `image` uint8, in the size, colour order and layout of `image_input`, rounded half to even as OpenCV
    does.
    """
    height, width = image_input.height, image_input.width
    planar = image_input.layout == "NCHW"
    shape = [1, 3, height, width] if planar else [1, height, width, 3]
    nodes = [
        _node("Cast", [PICTURE], "pixels", to=_FLOAT),
        _node("Reshape", ["pixels", "lines_shape"], "lines"),  # given height x (given width * 3)
        _node("MatMul", [ROWS, "lines"], "fewer_lines"),
        _node("Reshape", ["fewer_lines", "pixels_shape"], "fewer_rows"),  # height x given width x 3
        _node("Transpose", ["fewer_rows"], "planes", perm=[2, 0, 1]),
        _node("MatMul", ["planes", COLUMNS], "resized"),  # 3 x height x width
        _node("Gather", ["resized", "colours"], "coloured", axis=0),
        _node("Round", ["coloured"], "rounded"),
        _node("Transpose", ["rounded"], "laid_out", perm=[0, 1, 2] if planar else [1, 2, 0]),
        _node("Reshape", ["laid_out", "shape"], "whole"),
        _node("Cast", ["whole"], OUTPUT, to=_UINT8),
    ]
    constants = [
        _constant("lines_shape", [0, -1]),
        _constant("pixels_shape", [0, -1, 3]),
        _constant("colours", [2, 1, 0] if image_input.colour == "RGB" else [0, 1, 2]),
        _constant("shape", shape),
    ]
    inputs = [
        _value(PICTURE, _UINT8, ["given_height", "given_width", 3]),
        _value(ROWS, _FLOAT, [height, "given_height"]),
        _value(COLUMNS, _FLOAT, ["given_width", width]),
    ]
    graph = b"".join(
        [
            *(length_delimited(1, node) for node in nodes),
            length_delimited(2, b"preprocessing"),
            *(length_delimited(5, constant) for constant in constants),
            *(length_delimited(11, value) for value in inputs),
            length_delimited(12, _value(OUTPUT, _UINT8, shape)),
        ]
    )
    return number(1, _IR_VERSION) + length_delimited(7, graph) + length_delimited(8, number(2, _OPSET))


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    parts = [length_delimited(1, name.encode()) for name in inputs]
    parts += [length_delimited(field, text.encode()) for field, text in ((2, output), (3, output), (4, operator))]
    parts += [length_delimited(5, _attribute(name, value)) for name, value in attributes.items()]
    return b"".join(parts)


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    named = length_delimited(1, name.encode())
    if isinstance(value, int):
        return named + number(3, value) + number(20, _INT)
    return named + b"".join(number(8, one) for one in value) + number(20, _INTS)


def _constant(name: str, values: Sequence[int]) -> bytes:
    data = struct.pack(f"<{len(values)}q", *values)
    return number(1, len(values)) + number(2, _INT64) + length_delimited(8, name.encode()) + length_delimited(9, data)


def _value(name: str, element_type: int, shape: Sequence[int | str]) -> bytes:
    sizes = (number(1, size) if isinstance(size, int) else length_delimited(2, size.encode()) for size in shape)
    tensor = number(1, element_type) + length_delimited(2, b"".join(length_delimited(1, size) for size in sizes))
    return length_delimited(1, name.encode()) + length_delimited(2, length_delimited(1, tensor))
