"""Networks as somebody else would bring them: float pictures, no manifest; and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.config import ModelConfig, parse_model_config
from tests.models import build

HEIGHT, WIDTH, HIDDEN = 24, 40, 4

CONFIG = f"""\
name: small
images:
  - name: pixels
    width: {WIDTH}
    height: {HEIGHT}
    normalise: {{scale: 0.0078125, mean: [1.0, 1.0, 1.0]}}
states:
  - {{name: speed, quantity: speed_mps, scale: 0.05}}
outputs:
  - {{name: control, quantity: steering_angle_rad, minimum: -0.8, maximum: 0.8, scale: 0.25}}
  - {{name: control, quantity: acceleration_mps2, index: 1, minimum: -9.0, maximum: 5.0}}
"""
FRAMES = 'frames: {source: "proving-ground://lane?seed=5&duration_s=4&width=160&height=90", count: 10}\n'


def network(seed: int = 0, *, impassable: bool = False) -> bytes:
    """Pixels (1, 3, 24, 40) and speed (1, 1) to `control` (1, 2), through two convolutions and a hidden layer;
    `spare` comes out as well. `impassable`: a determinant lies in between, which no gradient is written for.
    """
    from onnx import TensorProto, helper

    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return np.asarray(rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])), np.float32)

    flat = 8 * 6 * 10
    nodes = [
        helper.make_node("Conv", ["pixels", "w1", "b1"], ["seen"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["first"]),
        helper.make_node("Conv", ["first", "w2", "b2"], ["again"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["again"], ["second"]),
        helper.make_node("Flatten", ["second"], ["flat"]),
        helper.make_node("Concat", ["flat", "speed"], ["all"], axis=1),
    ]
    constants: dict[str, NDArray[Any]] = {
        "w1": drawn(6, 3, 3, 3),
        "b1": drawn(6),
        "w2": drawn(8, 6, 3, 3),
        "b2": drawn(8),
        "head": drawn(2, HIDDEN),
    }
    nodes += [
        helper.make_node("Gemm", ["all", "w3"], ["before"], transB=1),
        helper.make_node("Relu", ["before"], ["active"]),
    ]
    constants["w3"] = drawn(HIDDEN, flat + 1)
    if impassable:
        nodes += [
            helper.make_node("Reshape", ["active", "matrices"], ["square"]),
            helper.make_node("Det", ["square"], ["determinant"]),
            helper.make_node("Mul", ["active", "determinant"], ["hidden"]),
        ]
        constants["matrices"] = np.array([1, 2, 2], np.int64)
    else:
        nodes.append(helper.make_node("Identity", ["active"], ["hidden"]))
    nodes += [
        helper.make_node("Gemm", ["hidden", "head"], ["control"], transB=1),
        helper.make_node("Tanh", ["hidden"], ["spare"]),
    ]
    inputs = [
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, ["batch", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("control", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("spare", TensorProto.FLOAT, None),
    ]
    return build(nodes, inputs, outputs, constants, None)


def config(more: str = "") -> ModelConfig:
    """What is said of `network`, and more of it."""
    return parse_model_config(CONFIG + more, "small.yaml")


def written(folder: Path, onnx: bytes, more: str = "") -> tuple[Path, Path]:
    """The network and its configuration as files."""
    model, said = folder / "given.onnx", folder / "small.yaml"
    model.write_bytes(onnx)
    said.write_text(CONFIG + more, encoding="utf-8")
    return model, said
