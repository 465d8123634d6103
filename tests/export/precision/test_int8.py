"""INT8 is written into the graph, calibrated on frames, and explained as it decides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from export.agreement import rank_correlation, relative_error
from export.frames import Frames
from export.graph.graph import Graph
from export.precision.branch import decision_nodes
from export.precision.grid import Engine, grids
from export.precision.int8 import to_int8
from export.precision.stepwise import Stepwise
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of
from tests import models
from tests.export.precision import networks
from tests.review.drives import record_drive

PILOTNET = Path(__file__).parents[3] / "configs" / "pilotnet.onnx"


@pytest.fixture(scope="module")
def plain() -> bytes:
    return networks.residual_policy()


@pytest.fixture(scope="module")
def frames(plain: bytes) -> Frames:
    return networks.frames(plain)


@pytest.fixture(scope="module")
def int8(plain: bytes, frames: Frames) -> bytes:
    return to_int8(plain, frames)


def test_large_products_read_int8_and_small_ones_and_the_explanation_read_float32(int8: bytes) -> None:
    graph = Graph.load(int8, "test")
    deciding = decision_nodes(graph, manifest_of(int8, "test"))
    read = {}
    for node in graph.nodes:
        if node.op in ("Conv", "Gemm", "MatMul"):
            sources = [graph.producer(name) for name in node.inputs[:2]]
            read[node.outputs[0]] = [source.op if source is not None else "constant" for source in sources]
    assert read["z1"] == read["z2"] == ["DequantizeLinear", "DequantizeLinear"]
    (hidden,) = [reads for name, reads in read.items() if name.startswith("z3")]
    assert hidden == ["Reshape", "DequantizeLinear"]
    assert read["steering"] == read["acceleration"] == ["Relu", "constant"]
    assert read["from_speed"] == ["constant", "constant"]
    assert read["g_flat"] == ["Mul", "constant"]
    assert {graph.value(n).dtype for node in graph.nodes if node not in deciding for n in node.outputs} == {
        np.dtype(np.float32)
    }


def test_weights_have_a_step_for_each_channel_and_activations_one_and_all_are_symmetric(int8: bytes) -> None:
    graph = Graph.load(int8, "test")
    sizes = set()
    for node in graph.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            steps, zero = graph.constants[node.inputs[1]], graph.constants[node.inputs[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
            assert (steps > 0).all()
            if node.inputs[0] in graph.constants:
                weight = graph.constants[node.inputs[0]]
                assert steps.shape == (weight.shape[node.attributes["axis"]],)
                assert np.abs(weight).max() == 127
                sizes.add(steps.size)
            else:
                assert steps.shape == ()
    assert sizes == {networks.CHANNELS, networks.HIDDEN}


def test_the_explanation_explains_the_quantised_decision(int8: bytes, frames: Frames) -> None:
    """Its layer is the dequantised sum, its masks are those of the quantised pass, its weights those that decide."""
    graph = Graph.load(int8, "test")
    (product,) = [node for node in graph.nodes if node.outputs == ("product",)]
    layer = graph.producer(product.inputs[0])
    assert layer is not None
    assert layer.op == "DequantizeLinear"
    graph.outputs = [*graph.outputs, product.inputs[0], "r3"]
    seen = Session(graph.to_bytes()).run(frames.inputs[0])
    (weights,) = [n for n in graph.nodes if n.op == "DequantizeLinear" and "w1" in n.outputs[0]]
    w1 = graph.constants[weights.inputs[0]] * graph.constants[weights.inputs[1]][:, np.newaxis]
    gradient = ((seen["r3"] > 0) * graph.constants["head"]) @ w1
    shape = (networks.CHANNELS, networks.ROWS, networks.COLUMNS)
    expected = (seen[product.inputs[0]].reshape(shape) * gradient.reshape(shape)).sum(axis=0)
    assert relative_error(seen["attribution"], expected) < 1e-5


def test_only_the_explanation_has_its_own_dequantised_form_of_what_both_read(int8: bytes) -> None:
    graph = Graph.load(int8, "test")
    deciding = decision_nodes(graph, manifest_of(int8, "test"))
    quantised = [node for node in graph.nodes if node.op == "QuantizeLinear"]
    assert len(quantised) == 3
    for node in quantised:
        readers = graph.consumers(node.outputs[0])
        assert sum(reader in deciding for reader in readers) == 1
        assert sum(reader not in deciding for reader in readers) <= 1


def test_for_onnx_runtime_convolutions_read_and_give_uint8_and_nothing_is_lost_below_zero(
    plain: bytes, frames: Frames
) -> None:
    graph = Graph.load(to_int8(plain, frames, "onnxruntime"), "test")
    quantised = {
        n.inputs[0]: [graph.constants[x] for x in n.inputs[1:]] for n in graph.nodes if n.op == "QuantizeLinear"
    }
    assert set(quantised) == {"scaled", "r1", "r2", "sum"}
    for step, zero in quantised.values():
        assert step.shape == zero.shape == ()
        assert zero.dtype == np.uint8
        assert zero == 0
    largest = max(float(inputs["image"].max()) for inputs in frames.inputs)
    assert float(quantised["scaled"][0]) == pytest.approx(largest / 255.0 / 255.0)


def test_a_signed_tensor_reaches_from_its_least_to_its_largest_on_uint8() -> None:
    graph = Graph()
    graph.add_input("x", np.float32, (2,))
    graph.outputs = [graph.emit("Relu", "x")]
    seen = Frames("made", "0" * 64, tuple({"x": np.array(x, np.float32)} for x in ([-5.0, 0.5], [2.0, 4.1])))
    (grid,) = grids(graph, ["x"], seen, "onnxruntime", "test").values()
    assert (grid.zero - 0) * -grid.step == pytest.approx(-5.0, abs=float(grid.step) / 2)
    assert (255 - int(grid.zero)) * grid.step == pytest.approx(4.1, abs=float(grid.step) / 2)
    (symmetric,) = grids(graph, ["x"], seen, "tensorrt", "test").values()
    assert (symmetric.zero, symmetric.step) == (np.int8(0), np.float32(5.0) / np.float32(127))


def test_the_rest_of_the_decision_may_be_float16_and_the_explanation_is_float32_then_too(
    plain: bytes, frames: Frames, int8: bytes
) -> None:
    mixed = to_int8(plain, frames, rest="float16")
    graph = Graph.load(mixed, "test")
    deciding = decision_nodes(graph, manifest_of(mixed, "test"))
    types: dict[bool, set[str]] = {True: set(), False: set()}
    for node in graph.nodes:
        if node.op != "Cast":
            types[node in deciding] |= {str(graph.value(name).dtype) for name in node.outputs}
    assert types == {True: {"float16", "int8"}, False: {"float32"}}
    assert manifest_of(mixed, "test").description.endswith(
        "explanation in float32] [the rest of the decision in float16, explanation in float32]"
    )
    one, other = Stepwise(int8, "int8"), Stepwise(mixed, "mixed")
    for inputs in frames.inputs:
        a, b = one.run(inputs), other.run(inputs)
        assert abs(float(a["steering"][0, 0] - b["steering"][0, 0])) < 0.01
        assert rank_correlation(a["attribution"], b["attribution"]) > 0.98


def test_a_product_whose_steps_float16_has_no_digits_for_stays_in_float32_whole() -> None:
    faint = networks.residual_policy(gain=1e-4)
    mixed = to_int8(faint, networks.frames(faint), rest="float16")
    kept = manifest_of(mixed, "test").description.partition("range: ")[2].rstrip("]").split(", ")
    graph = Graph.load(mixed, "test")
    convolutions = [node for node in graph.nodes if node.op == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:
        makers = [graph.producer(name) for name in node.inputs[:2]]
        assert [maker.op for maker in makers if maker is not None] == ["DequantizeLinear", "DequantizeLinear"]
        assert {graph.value(name).dtype for name in node.inputs} == {np.dtype(np.float32)}
        assert node.inputs[0] in kept
    (hidden,) = [
        n for n in graph.nodes if n.op == "Gemm" and (source := graph.producer(n.inputs[0])) and source.op == "Reshape"
    ]
    assert {graph.value(name).dtype for name in hidden.inputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize("engine", ["tensorrt", "onnxruntime"])
def test_decision_and_explanation_stay_near_those_of_float32(plain: bytes, frames: Frames, engine: Engine) -> None:
    before, after = Session(plain), Session(to_int8(plain, frames, engine))
    for inputs in networks.frames(plain, networks.OTHER_ROAD).inputs:
        a, b = before.run(inputs), after.run(inputs)
        assert abs(float(a["steering"][0, 0] - b["steering"][0, 0])) < 0.014
        assert rank_correlation(a["attribution"], b["attribution"]) > 0.98
        assert not np.array_equal(a["attribution"], b["attribution"])


def test_pilotnet_keeps_its_explanation() -> None:
    policy = PILOTNET.read_bytes()
    quantised = to_int8(policy, networks.frames(policy, count=12))
    before, after = Session(policy), Session(quantised)
    agreement = [
        rank_correlation(before.run(inputs)["attribution"], after.run(inputs)["attribution"])
        for inputs in networks.frames(policy, networks.OTHER_ROAD, 12).inputs
    ]
    assert np.median(agreement) >= 0.95


def test_it_is_strict_onnx_that_old_runtimes_read_and_the_same_bytes_each_time(
    plain: bytes, frames: Frames, int8: bytes
) -> None:
    assert int8 == to_int8(plain, frames)
    model = onnx.load_model_from_string(int8)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert model.ir_version <= 9
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    assert list(model.graph.output) == list(onnx.load_model_from_string(plain).graph.output)


def test_its_manifest_says_what_it_was_calibrated_on_and_no_path(plain: bytes, frames: Frames, int8: bytes) -> None:
    manifest = manifest_of(int8, "int8")
    assert manifest.description == (
        f"[3 products of the decision in INT8, calibrated on 6 frames (SHA-256 {frames.sha256[:12]}), "
        "explanation in float32]"
    )
    assert manifest.graph_sha256 != manifest_of(plain, "plain").graph_sha256
    assert b"proving-ground" not in int8


def test_it_is_calibrated_on_a_recorded_drive_and_on_a_folder_of_images(tmp_path: Path, plain: bytes) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 6)
    tiny = models.tiny_policy()
    on_drive = networks.frames(tiny, str(drive), 4)
    assert len(on_drive) == 4
    assert "1 products" in manifest_of(to_int8(tiny, on_drive), "int8").description
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (90, 160, 3), np.uint8))
    dark, bright = networks.frames(plain, str(folder), 4), networks.frames(plain, networks.ROAD, 4)
    assert to_int8(plain, dark) != to_int8(plain, bright)


def test_no_frames_to_calibrate_on_is_refused_with_the_mend(plain: bytes) -> None:
    with pytest.raises(ModelError, match=r"calibrated on frames, and 'drives/none' gave none; name a drive"):
        to_int8(plain, Frames("drives/none", "0" * 64, ()))


def test_a_network_with_nothing_to_quantise_is_refused_with_the_mend() -> None:
    policy = models.recurrent_policy()
    with pytest.raises(ModelError, match=r"no convolution and no matrix product .* leave precision.int8 out"):
        to_int8(policy, networks.frames(policy, count=1))


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "'speed_mps' holds NaN on frame 1"), (np.inf, "is infinite on frame 1 of 'odd'")]
)
def test_what_is_no_finite_number_in_the_calibration_is_named(value: float, said: str) -> None:
    policy = networks.wide_state_policy()
    good = networks.frames(policy, count=2)
    bad = {**good.inputs[1], "speed_mps": np.array([[value]], np.float32)}
    with pytest.raises(ModelError, match=said):
        to_int8(policy, Frames("odd", "0" * 64, (good.inputs[0], bad)))
