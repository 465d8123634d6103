"""A graph that breaks its manifest is refused, and the refusal names the field that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.contracts.engine import Engine, EngineRequest
from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import (
    AttributionOutput,
    ImageInput,
    Manifest,
    Output,
    Recurrent,
    StateInput,
    attach_manifest,
    manifest_of,
)
from runtime.engines.onnx import open_engine
from tests.models import build, recurrent_policy, tiny_policy


def opened(tmp_path: Path, data: bytes) -> Engine:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return open_engine(EngineRequest(path, ("CPUExecutionProvider",), 1, "all"))


def refused(tmp_path: Path, data: bytes, match: str, **changes: Any) -> None:
    manifest = msgspec.structs.replace(manifest_of(data, "test"), **changes)
    with pytest.raises(ModelError, match=match):
        opened(tmp_path, attach_manifest(data, manifest))


def image(**changes: Any) -> tuple[ImageInput, ...]:
    return (msgspec.structs.replace(ImageInput(name="image", width=200, height=66), **changes),)


STEERING = Output(name="steering", quantity="steering_angle_rad", minimum=-0.7, maximum=0.7)


def test_an_image_that_is_no_input_is_named(tmp_path: Path) -> None:
    manifest = manifest_of(tiny_policy(), "test")
    assert manifest.attribution is not None
    attribution = msgspec.structs.replace(manifest.attribution, image="picture")
    names = r"images\[0\].name names 'picture'.*there are: image, speed_mps"
    refused(tmp_path, tiny_policy(), names, images=image(name="picture"), attribution=attribution)


@pytest.mark.parametrize("wrong", [{"width": 201}, {"height": 65}, {"layout": "NCHW"}])
def test_an_image_of_another_shape_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    refused(tmp_path, tiny_policy(), r"images\[0\] \(width, height, layout\)", images=image(**wrong))


def test_a_state_that_is_no_input_is_named(tmp_path: Path) -> None:
    states = (StateInput(name="velocity", quantity="speed_mps"),)
    refused(tmp_path, tiny_policy(), r"states\[0\].name names 'velocity'", states=states)


def test_an_input_that_the_manifest_does_not_name_is_named(tmp_path: Path) -> None:
    refused(tmp_path, tiny_policy(), "does not name: speed_mps", states=())


def test_an_output_that_the_graph_lacks_is_named(tmp_path: Path) -> None:
    outputs = (msgspec.structs.replace(STEERING, name="angle"),)
    refused(tmp_path, tiny_policy(), r"outputs\[0\].name is 'angle'.*there are: steering", outputs=outputs)


def test_an_index_out_of_range_is_named(tmp_path: Path) -> None:
    outputs = (msgspec.structs.replace(STEERING, index=1),)
    refused(tmp_path, tiny_policy(), r"outputs\[0\].index is 1, but 'steering' has 1 element", outputs=outputs)


@pytest.mark.parametrize("wrong", [{"rows": 20, "columns": 3}, {"columns": 19}, {"output": "steering"}])
def test_an_attribution_of_another_grid_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    attribution = manifest_of(tiny_policy(), "test").attribution
    assert isinstance(attribution, AttributionOutput)
    changed = msgspec.structs.replace(attribution, **wrong)
    refused(tmp_path, tiny_policy(), "attribution.rows and columns", attribution=changed)


def test_a_hidden_state_that_cannot_go_back_in_is_named(tmp_path: Path) -> None:
    recurrent = (Recurrent(input="h", output="steering"),)
    refused(tmp_path, recurrent_policy(), r"recurrent\[0\].output 'steering' has shape \[1, 1\]", recurrent=recurrent)
    absent = (Recurrent(input="hidden", output="h_next"),)
    refused(tmp_path, recurrent_policy(), r"recurrent\[0\].input names 'hidden'", recurrent=absent)


def float_image(shape: list[Any], dtype: str = "FLOAT") -> bytes:
    """A network that takes one image of any type and shape and always steers straight."""
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    oh, proto = onnx.helper, onnx.TensorProto
    nodes = [
        oh.make_node("Cast", ["image"], ["float"], to=proto.FLOAT),
        oh.make_node("ReduceMean", ["float"], ["mean"], keepdims=0),
        oh.make_node("Reshape", ["mean", "one"], ["steering"]),
    ]
    inputs = [oh.make_tensor_value_info("image", getattr(proto, dtype), shape)]
    outputs = [oh.make_tensor_value_info("steering", proto.FLOAT, [1])]
    constants: dict[str, NDArray[Any]] = {"one": np.array([1], np.int64)}
    manifest = Manifest(name="mean", graph_sha256="", images=image(), outputs=(STEERING,))
    return build(nodes, inputs, outputs, constants, manifest)


def test_an_image_that_is_not_uint8_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"images\[0\].name: 'image' is float32, and must be uint8"):
        opened(tmp_path, float_image([1, 66, 200, 3]))


@pytest.mark.parametrize("shape", [["batch", 66, 200, 3], ["n", "h", "w", "c"], [None, 66, 200, 3]])
def test_dynamic_sizes_are_settled(tmp_path: Path, shape: list[Any]) -> None:
    engine = opened(tmp_path, float_image(shape, "UINT8"))
    assert engine.inputs["image"].shape == (1, 66, 200, 3)
    assert engine.run({"image": np.full((1, 66, 200, 3), 9, np.uint8)})["steering"].tolist() == [9.0]


def test_a_batch_that_is_fixed_at_more_than_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"images\[0\].*takes \[2, 66, 200, 3\]"):
        opened(tmp_path, float_image([2, 66, 200, 3], "UINT8"))


def test_an_output_of_text_is_refused_as_such(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    oh, proto = onnx.helper, onnx.TensorProto
    nodes = [
        oh.make_node("Cast", ["image"], ["float"], to=proto.FLOAT),
        oh.make_node("ReduceMean", ["float"], ["steering"], keepdims=0),
        oh.make_node("Constant", [], ["words"], value=oh.make_tensor("words", proto.STRING, [1], [b"left"])),
    ]
    inputs = [oh.make_tensor_value_info("image", proto.UINT8, [1, 66, 200, 3])]
    outputs = [oh.make_tensor_value_info("steering", proto.FLOAT, []), oh.make_tensor_value_info("words", 8, [1])]
    manifest = Manifest(name="words", graph_sha256="", images=image(), outputs=(STEERING,))
    with pytest.raises(ModelError, match="output 'words' is text"):
        opened(tmp_path, build(nodes, inputs, outputs, {}, manifest))


def test_a_random_operator_is_refused_since_nothing_could_be_replayed(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    oh, proto = onnx.helper, onnx.TensorProto
    nodes = [
        oh.make_node("Cast", ["image"], ["float"], to=proto.FLOAT),
        oh.make_node("RandomNormalLike", ["float"], ["noise"]),
        oh.make_node("ReduceMean", ["noise"], ["steering"], keepdims=0),
    ]
    inputs = [oh.make_tensor_value_info("image", proto.UINT8, [1, 66, 200, 3])]
    outputs = [oh.make_tensor_value_info("steering", proto.FLOAT, [])]
    manifest = Manifest(name="dice", graph_sha256="", images=image(), outputs=(STEERING,))
    with pytest.raises(ModelError, match="two passes over the same input gave different 'steering'"):
        opened(tmp_path, build(nodes, inputs, outputs, {}, manifest))


def changed_graph(change: Any) -> bytes:
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    model = onnx.load_from_string(tiny_policy())
    manifest = manifest_of(tiny_policy(), "test")
    change(model)
    return attach_manifest(model.SerializeToString(), manifest)


def test_an_opset_of_the_future_is_an_engine_error_with_the_mend(tmp_path: Path) -> None:
    def future(model: Any) -> None:
        model.opset_import[0].version = 99

    with pytest.raises(EngineError, match=r"model\.onnx.*cannot load it.*export it with an opset"):
        opened(tmp_path, changed_graph(future))


def test_an_operator_that_nobody_knows_is_a_clear_error(tmp_path: Path) -> None:
    def unknown(model: Any) -> None:
        model.graph.node[0].op_type = "Clairvoyance"

    with pytest.raises(ModelError, match="Clairvoyance"):
        opened(tmp_path, changed_graph(unknown))
