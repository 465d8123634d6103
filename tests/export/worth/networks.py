"""A network whose reasons are known, plain and explained in several ways, and pictures for it.

Every 4 x 4 patch is read by eight detectors of colours, of which the head uses two: yellow things pull the target up,
cyan things down. The decision is the sum over patches, so each patch's part is the exact explanation. Other colours
and black-and-white texture, full of edges, are there to be marked by maps that know no better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.frames import Frames
from runtime.contracts.model import AttributionOutput, ImageInput, Manifest, Output, attach_manifest
from tests.models import build

HEIGHT, WIDTH, PATCH = 48, 96, 4
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
YELLOW, CYAN = np.array([0, 200, 200]), np.array([200, 200, 0])  # blue, green, red
OTHERS = (np.array([200, 0, 200]), np.array([230, 30, 30]), np.array([30, 30, 230]), np.array([30, 230, 30]))

Explain = Callable[[bytes], bytes]


def plain_network() -> bytes:
    """Image to steering (1, 1); the tensor `features` holds what the detectors see, `parts` what each patch adds."""
    colours = np.array([YELLOW, CYAN, *OTHERS, [255, 255, 255], [0, 0, 0]], np.float64)
    directions = colours - colours.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(directions, axis=1)
    directions[lengths > 0] /= lengths[lengths > 0, np.newaxis]
    directions[6], directions[7] = np.full(3, 1 / np.sqrt(3)), np.full(3, -1 / np.sqrt(3))
    kernel = np.broadcast_to(directions[:, :, np.newaxis, np.newaxis], (8, 3, PATCH, PATCH)) / PATCH**2 / 100.0
    bias = np.array([-0.6] * 6 + [-2.0, 1.0])
    head = np.array([0.06, -0.06, 0, 0, 0, 0, 0, 0]).reshape(1, 8, 1, 1)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["pixels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["seen"], strides=[PATCH, PATCH]),
        helper.make_node("Relu", ["seen"], ["features"]),
        helper.make_node("Conv", ["features", "head", "head_bias"], ["parts"]),
        helper.make_node("ReduceSum", ["parts", "places"], ["sum"], keepdims=0),
        helper.make_node("Reshape", ["sum", "scalar"], ["steering"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "kernel": np.ascontiguousarray(kernel, np.float32),
        "bias": bias.astype(np.float32),
        "head": head.astype(np.float32),
        "head_bias": np.array([0.0], np.float32),
        "places": np.array([1, 2, 3], np.int64),
        "scalar": np.array([1, 1], np.int64),
    }
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])
    steering = helper.make_tensor_value_info("steering", TensorProto.FLOAT, [1, 1])
    return build(nodes, [image], [steering], constants, None)


def exactly(plain: bytes) -> bytes:
    """What each patch adds to the decision."""
    return _explained(plain, [], "parts", "parts of the sum")


def blindly(plain: bytes) -> bytes:
    """What the detectors see, whatever the head makes of it: blind to the head, as VisualBackProp is."""
    mean = helper.make_node("Conv", ["features", "equal"], ["map"])
    return _explained(plain, [mean], "map", "mean of the features", equal=np.full((1, 8, 1, 1), 0.125, np.float32))


def by_edges(plain: bytes) -> bytes:
    """How much each patch differs from itself moved by a pixel: an edge detector."""
    sobel = np.zeros((1, 3, 3, 3), np.float32)
    sobel[0, :] = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    nodes = [
        helper.make_node("Conv", ["pixels", "sobel"], ["edges"], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["edges"], ["strength"]),
        helper.make_node("AveragePool", ["strength"], ["map"], kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH]),
    ]
    return _explained(plain, nodes, "map", "edges", sobel=sobel)


def at_random(plain: bytes) -> bytes:
    """Numbers that have nothing to do with anything; with the weights they change as well."""
    noise = np.random.default_rng(9).normal(size=(27, ROWS * COLUMNS)).astype(np.float32)
    # Hashed from the picture, so that frames differ, and from the head, so that it is not caught by being constant.
    probe = np.random.default_rng(5).integers(0, HEIGHT * WIDTH * 3, 27)
    nodes = [
        helper.make_node("Reshape", ["float", "flat"], ["row"]),
        helper.make_node("Gather", ["row", "probe"], ["probed"], axis=1),
        helper.make_node("ReduceMean", ["head"], ["mean_head"], keepdims=0),
        helper.make_node("Mul", ["mean_head", "far"], ["phase"]),
        helper.make_node("Add", ["probed", "phase"], ["moved"]),
        helper.make_node("Sin", ["moved"], ["hashed"]),
        helper.make_node("MatMul", ["hashed", "noise"], ["map"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "flat": np.array([1, -1], np.int64),
        "probe": probe,
        "far": np.array([1e5], np.float32),
        "noise": noise,
    }
    return _explained(plain, nodes, "map", "random", **constants)


def backwards(plain: bytes) -> bytes:
    """The exact map with its signs the wrong way round."""
    return _explained(plain, [helper.make_node("Neg", ["parts"], ["map"])], "map", "parts of the sum, negated")


def frames(count: int, seed: int = 0, source: str = "coloured things on texture") -> Frames:
    """Pictures of grey ground, patches of strong black-and-white texture, and coloured things of all kinds."""
    rng = np.random.default_rng(seed)
    return Frames(source, f"{seed:064x}", tuple({"image": _picture(rng)[np.newaxis]} for _ in range(count)))


def _picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    picture = np.full((HEIGHT, WIDTH, 3), 110.0)
    for _ in range(6):
        y, x = int(rng.integers(0, HEIGHT - 12)), int(rng.integers(0, WIDTH - 12))
        picture[y : y + 12, x : x + 12] = rng.choice([40.0, 200.0], (12, 12, 1))
    for colour in (YELLOW, CYAN, *OTHERS, *OTHERS):
        for _ in range(int(rng.integers(0, 3))):
            y, x = int(rng.integers(0, HEIGHT - 6)), int(rng.integers(0, WIDTH - 6))
            picture[y : y + 6, x : x + 6] = colour
    return (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)


def _explained(plain: bytes, nodes: list[Any], output: str, method: str, **constants: NDArray[Any]) -> bytes:
    model = onnx.load_from_string(plain)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.output.append(onnx.ValueInfoProto(name=output))
    manifest = Manifest(
        name="known",
        graph_sha256="",
        images=(ImageInput(name="image", width=WIDTH, height=HEIGHT),),
        outputs=(Output(name="steering", quantity="steering_angle_rad", minimum=-3.0, maximum=3.0),),
        attribution=AttributionOutput(
            output=output,
            method=method,
            layer="features",
            target="steering_angle_rad",
            image="image",
            rows=ROWS,
            columns=COLUMNS,
            origin_y_px=(PATCH - 1) / 2,
            origin_x_px=(PATCH - 1) / 2,
            stride_y_px=PATCH,
            stride_x_px=PATCH,
            field_y_px=PATCH,
            field_x_px=PATCH,
        ),
    )
    return attach_manifest(model.SerializeToString(), manifest)
