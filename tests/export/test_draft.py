"""A configuration drafted from a graph: enough to export and explain, and it says what a person has to add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

onnx = pytest.importorskip("onnx", reason="networks are built with onnx (extra: dev)")

from export.config import TensorTarget, parse_model_config  # noqa: E402
from export.draft import draft  # noqa: E402
from runtime.contracts import onnx_file  # noqa: E402
from runtime.contracts.errors import ConfigError  # noqa: E402
from runtime.contracts.model import manifest_of  # noqa: E402
from tests.models import recurrent_policy, tiny_policy, two_camera_policy  # noqa: E402

FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def network(*inputs: tuple[str, int, list[Any]], last: str = "Softmax") -> bytes:
    """The inputs' means, one after the other, through `last`."""
    oh = onnx.helper
    nodes, means = [], []
    for name, _, _ in inputs:
        nodes.append(oh.make_node("Cast", [name], [f"{name}_float"], to=FLOAT))
        nodes.append(oh.make_node("ReduceMean", [f"{name}_float"], [f"{name}_mean"], keepdims=0))
        nodes.append(oh.make_node("Unsqueeze", [f"{name}_mean", "axes"], [f"{name}_one"]))
        means += [f"{name}_one", f"{name}_one"]
    nodes.append(oh.make_node("Concat", means, ["all"], axis=1))
    nodes.append(oh.make_node(last, ["all"], ["scores"]))
    axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [0, 1])
    graph = oh.make_graph(
        nodes,
        "g",
        [oh.make_tensor_value_info(*each) for each in inputs],
        [oh.make_tensor_value_info("scores", FLOAT, [1, 2 * len(inputs)])],
        [axes],
    )
    return bytes(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 20)], ir_version=9).SerializeToString())


def test_a_classifier_is_drafted_as_scores_of_which_the_largest_is_explained() -> None:
    text = draft(network(("data/0", FLOAT, ["N", 3, 24, 32])), "classifier")
    config = parse_model_config(text, "draft")
    [image], [output] = config.images, config.outputs
    assert (image.name, image.width, image.height) == ("data/0", 32, 24)
    assert image.normalise is not None
    assert image.normalise.layout == "NCHW"
    assert (output.quantity, output.minimum, output.maximum) == ("score", 0.0, 1.0)
    assert config.attribution.target == TensorTarget("scores", "argmax")
    assert text.count("FILL IN") >= 5


@pytest.mark.parametrize("layout", [[1, 3, 24, 32], [1, 24, 32, 3]])
def test_a_uint8_picture_is_taken_as_it_is(layout: list[int]) -> None:
    [image] = parse_model_config(draft(network(("image", UINT8, layout), last="Relu"), "m"), "draft").images
    assert image.normalise is None
    assert (image.layout, image.width, image.height) == ("NCHW" if layout[1] == 3 else "NHWC", 32, 24)


def test_a_network_of_one_channel_is_drafted_as_grey() -> None:
    [image] = parse_model_config(draft(network(("digit", FLOAT, ["N", 1, 28, 28])), "m"), "draft").images
    assert image.normalise is not None
    assert image.normalise.grey


def test_several_pictures_and_a_speed_by_its_name_are_found() -> None:
    two = onnx_file.without_metadata(two_camera_policy())
    assert [image.name for image in parse_model_config(draft(two, "two"), "d").images] == ["image_left", "image_right"]
    [state] = parse_model_config(draft(onnx_file.without_metadata(tiny_policy()), "tiny"), "d").states
    assert (state.name, state.quantity) == ("speed_mps", "speed_mps")


@pytest.mark.parametrize("policy", [tiny_policy, two_camera_policy, recurrent_policy])
def test_a_file_with_a_manifest_is_what_the_manifest_says(policy: Callable[[], bytes]) -> None:
    manifest = manifest_of(policy(), "given")
    config = parse_model_config(draft(policy(), "given"), "draft")
    assert config.manifest(manifest.attribution) == msgspec.structs.replace(manifest, graph_sha256="")
    assert config.attribution.target == (manifest.attribution and "steering_angle_rad")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([("x", FLOAT, [1, 10])], ["none of its inputs (x float32 [1, 10]) is a picture", "--config"]),
        ([("image", FLOAT, [1, 3, 8, 8]), ("goal", FLOAT, [1, 2])], ["goal", "states, recurrent", "--config"]),
        ([("image", FLOAT, ["N", 3, "rows", 8])], ["'image' takes pictures of any size", "width, height"]),
        ([("image", FLOAT, [1, 12, 8, 8])], ["'image' of shape [1, 12, 8, 8]", "no colour picture"]),
    ],
)
def test_what_a_graph_does_not_tell_is_asked_of_a_person(
    inputs: list[tuple[str, int, list[Any]]], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        draft(network(*inputs), "m")
    for words in said:
        assert words in str(raised.value)
