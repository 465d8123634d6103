"""uint8 pictures at the front of a float network: the graph normalises as the configuration says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="networks are built with onnx (extra: dev)")

from export.config import ModelConfig, parse_model_config  # noqa: E402
from export.front import add_front, as_network_takes, neutral_pictures, open_shapes  # noqa: E402
from export.graph.graph import Graph  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import ConfigError  # noqa: E402

HEIGHT, WIDTH = 6, 10
NORMALISE = "{scale: 0.0078125, mean: [0.5, 0.25, 0.75], std: [0.5, 0.25, 2.0], layout: %s}"


def network(
    layout: str, dtype: int = onnx.TensorProto.FLOAT, sizes: tuple[Any, ...] = (HEIGHT, WIDTH), channels: int = 3
) -> bytes:
    """What goes in comes out twice as large."""
    shape = ["batch", channels, *sizes] if layout == "NCHW" else ["batch", *sizes, channels]
    oh = onnx.helper
    graph = oh.make_graph(
        [oh.make_node("Identity", ["image"], ["same"]), oh.make_node("Add", ["same", "same"], ["seen"])],
        "g",
        [oh.make_tensor_value_info("image", dtype, shape)],
        [oh.make_tensor_value_info("seen", dtype, shape)],
    )
    return bytes(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 20)], ir_version=9).SerializeToString())


def config(normalise: str | None, layout: str = "NHWC", width: int = WIDTH) -> ModelConfig:
    lines = ["name: front", "images:", f"  - {{name: image, width: {width}, height: {HEIGHT}, layout: {layout}"]
    lines[-1] += "}" if normalise is None else f", normalise: {normalise}}}"
    lines += ["outputs: [{name: seen, quantity: score, minimum: -9, maximum: 9}]"]
    return parse_model_config("\n".join(lines), "f.yaml")


def fronted(plain: bytes, wanted: ModelConfig) -> Graph:
    graph = Graph.load(plain, "front", open_shapes(plain, wanted))
    add_front(graph, wanted)
    return graph


def picture(layout: str) -> NDArray[np.uint8]:
    shape = (1, 3, HEIGHT, WIDTH) if layout == "NCHW" else (1, HEIGHT, WIDTH, 3)
    return np.random.default_rng(4).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("taken", ["NCHW", "NHWC"])
@pytest.mark.parametrize("given", ["NCHW", "NHWC"])
def test_the_graph_normalises_as_the_configuration_says_in_whatever_layout(taken: str, given: str) -> None:
    wanted = config(NORMALISE % taken, given)
    graph = fronted(network(taken), wanted)
    assert graph.inputs["image"].dtype == np.uint8
    inputs = {"image": picture(given)}
    found = Session(graph.to_bytes()).run(inputs)["seen"] / 2
    np.testing.assert_allclose(found, as_network_takes(inputs, wanted)["image"], rtol=1e-6, atol=1e-6)
    first, channel = inputs["image"][0, 0, 0, 0], found[0, 0, 0, 0]
    assert channel == pytest.approx((first * 0.0078125 - 0.5) / 0.5, rel=1e-6)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("taken", ["NCHW", "NHWC"])
def test_a_network_of_one_channel_takes_the_luma(taken: str, colour: str) -> None:
    grey = f"{{mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], layout: {taken}, grey: true}}, colour: {colour}"
    wanted = config(grey)
    graph = fronted(network(taken, channels=1), wanted)
    inputs = {"image": picture("NHWC")}
    found = Session(graph.to_bytes()).run(inputs)["seen"] / 2
    np.testing.assert_allclose(found, as_network_takes(inputs, wanted)["image"], atol=1e-5)
    first, second, third = inputs["image"][0, 0, 0] / 255.0
    luma = 0.587 * second + (0.299 * first + 0.114 * third if colour == "RGB" else 0.114 * first + 0.299 * third)
    assert found.ravel()[0] == pytest.approx((luma - 0.5) / 0.25, abs=1e-5)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_neutral_picture_is_what_the_network_takes_for_zero(layout: str) -> None:
    wanted = config(NORMALISE % "NCHW", layout)
    picture = neutral_pictures(wanted)
    taken = as_network_takes(picture, wanted)["image"]
    assert picture["image"].dtype == np.uint8
    np.testing.assert_allclose(taken, 0.0, atol=0.5 * 0.0078125 / 0.25)
    bare = neutral_pictures(config(None, layout))["image"]
    np.testing.assert_array_equal(bare, np.full(picture["image"].shape, 128))


def test_raw_pixel_values_cost_a_cast_and_a_transpose_and_nothing_else() -> None:
    graph = fronted(network("NCHW"), config("{scale: 1.0}"))
    assert [node.op for node in graph.nodes] == ["Transpose", "Cast", "Add"]


def test_a_network_that_takes_uint8_itself_is_left_alone() -> None:
    graph = fronted(network("NHWC", onnx.TensorProto.UINT8), config(None))
    assert [node.op for node in graph.nodes] == ["Add"]


def test_sizes_that_the_file_leaves_open_are_the_configurations() -> None:
    plain = network("NCHW", sizes=("rows", "columns"))
    assert fronted(plain, config("{}")).value("seen").shape == (1, 3, HEIGHT, WIDTH)
    assert open_shapes(network("NCHW"), config("{}")) == {}


@pytest.mark.parametrize(
    ("plain", "wanted", "said"),
    [
        (network("NCHW"), config(None), ["images.0.normalise", "float32"]),
        (network("NHWC", onnx.TensorProto.UINT8), config("{}"), ["images.0.normalise", "take it out"]),
        (network("NCHW"), config("{}", width=12), ["[1, 3, 6, 12]", "[1, 3, 6, 10]"]),
        (network("NHWC"), config("{}"), ["layout of normalise", "[1, 6, 10, 3]"]),
        (network("NCHW", sizes=("rows", 11)), config("{}"), ["[1, 3, 6, 10]", "[1, 3, 6, 11]"]),
    ],
)
def test_a_picture_that_is_not_what_the_configuration_says_is_refused(
    plain: bytes, wanted: ModelConfig, said: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        fronted(plain, wanted)
    for words in said:
        assert words in str(raised.value)
