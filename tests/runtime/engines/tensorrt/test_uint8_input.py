"""The Cast in front of what moves bytes: another graph, the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of
from runtime.engines.tensorrt.onnx_nodes import read_nodes, rewrite_nodes
from runtime.engines.tensorrt.uint8_input import casts_first
from tests.docs.pages import ROOT
from tests.models import tiny_policy

onnx = pytest.importorskip("onnx", reason="graphs are made with the onnx package")


def graph(*nodes: tuple[str, str, str, dict[str, Any]]) -> bytes:
    """A graph from `image` (1 x 4 x 6 x 3, uint8) to `end` through nodes of one input and one output."""
    oh = onnx.helper
    made = [
        oh.make_node(op, [take, "shape"] if op == "Reshape" else [take], [give], name=f"node_{give}", **attributes)
        for op, take, give, attributes in nodes
    ]
    whole = oh.make_graph(
        made,
        "graph",
        [oh.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 4, 6, 3])],
        [oh.make_tensor_value_info("end", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([1, 3, 24], np.int64), "shape")],
    )
    model = oh.make_model(whole, opset_imports=[oh.make_opsetid("", 17)], ir_version=9)
    data: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return data


TO_FLOAT = {"to": 1}
MOVED = graph(
    ("Transpose", "image", "planes", {"perm": [0, 3, 1, 2]}),
    ("Reshape", "planes", "rows", {}),
    ("Cast", "rows", "floats", TO_FLOAT),
    ("Sqrt", "floats", "end", {}),
)


def run(data: bytes) -> bytes:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(3).integers(0, 256, (1, 4, 6, 3), dtype=np.uint8)
    [answer] = session.run(["end"], {"image": picture})
    return bytes(answer.tobytes())


def test_a_picture_that_is_moved_before_it_is_cast_is_cast_first_with_the_same_bits() -> None:
    changed = casts_first(MOVED, ("image",), "a model")
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    assert [node.op for node in read_nodes(changed)] == ["Cast", "Transpose", "Reshape", "Sqrt"]
    assert read_nodes(changed)[0].inputs == ("image",)
    assert run(changed) == run(MOVED)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.onnx")), ids=lambda path: path.name)
def test_every_packaged_model_can_be_given_to_tensorrt(path: Any) -> None:
    data = path.read_bytes()
    images = tuple(image.name for image in manifest_of(data, path.name).images)
    nodes = read_nodes(casts_first(data, images, path.name))
    assert {node.op for node in nodes if set(images) & set(node.inputs)} == {"Cast"}


def test_a_picture_that_is_cast_at_once_is_left_alone() -> None:
    several = graph(("Cast", "image", "floats", TO_FLOAT), ("Sqrt", "floats", "end", {}))
    assert casts_first(several, ("image",), "a model") is several


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (
            graph(("MaxPool", "image", "pooled", {"kernel_shape": [1, 1]}), ("Cast", "pooled", "end", TO_FLOAT)),
            "MaxPool",
        ),
        (
            graph(
                ("Transpose", "image", "planes", {"perm": [0, 3, 1, 2]}),
                ("Cast", "planes", "floats", TO_FLOAT),
                ("Cast", "planes", "end", TO_FLOAT),
            ),
            "Cast 'node_floats', Cast 'node_end'",
        ),
        (graph(("Transpose", "image", "end", {})), "nothing"),
    ],
)
def test_what_tensorrt_could_not_take_is_refused_by_its_node(data: bytes, where: str) -> None:
    with pytest.raises(ModelError, match="TensorRT takes uint8 into a Cast only") as refused:
        casts_first(data, ("image",), "model.onnx")
    assert where in str(refused.value)


def test_rewriting_nothing_changes_no_byte() -> None:
    for data in (MOVED, tiny_policy()):
        assert rewrite_nodes(data, read_nodes(data), ()) == data
