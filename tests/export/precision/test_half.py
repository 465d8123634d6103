"""Float16 is written into the graph: for what decides, and for nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.frames import Frames
from export.graph.graph import Graph
from export.precision.branch import decision_nodes
from export.precision.half import to_fp16
from export.precision.stepwise import Stepwise
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of
from tests import models
from tests.export.precision import networks

SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


def parts(onnx_bytes: bytes) -> tuple[Graph, list[str], list[str]]:
    """The graph, and the float tensors that are made in its deciding and in its explaining part, borders left out."""
    graph = Graph.load(onnx_bytes, "test")
    deciding = decision_nodes(graph, manifest_of(onnx_bytes, "test"))
    made = [(name, node in deciding) for node in graph.nodes for name in node.outputs if node.op != "Cast"]
    floats = [(name, decides) for name, decides in made if graph.value(name).dtype in (SINGLE, HALF)]
    return graph, [n for n, decides in floats if decides], [n for n, decides in floats if not decides]


def test_the_decision_is_computed_in_float16_and_the_explanation_in_float32() -> None:
    graph, deciding, explaining = parts(to_fp16(networks.residual_policy()))
    assert {graph.value(name).dtype for name in deciding} == {HALF}
    assert {graph.value(name).dtype for name in explaining} == {SINGLE}
    assert len(deciding) == 13
    assert len(explaining) == 6
    for node in graph.nodes:
        if node.outputs[0] in explaining:
            assert HALF not in {graph.value(name).dtype for name in node.inputs}


def test_what_the_explanation_reads_of_the_decision_is_cast_once() -> None:
    graph = Graph.load(to_fp16(networks.residual_policy()), "test")
    casts = [node.inputs[0] for node in graph.nodes if node.op == "Cast"]
    assert len(casts) == len(set(casts)) == 6  # image, speed, two decisions, the mask's source, the explained layer


def test_inputs_and_outputs_keep_their_names_types_shapes_and_order() -> None:
    plain = networks.residual_policy()
    before, after = (onnx.load_model_from_string(each).graph for each in (plain, to_fp16(plain)))
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_it_is_strict_onnx_that_old_runtimes_read_and_the_same_bytes_each_time() -> None:
    plain = networks.residual_policy()
    half = to_fp16(plain)
    assert half == to_fp16(plain)
    model = onnx.load_model_from_string(half)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert model.ir_version <= 9
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]


def test_its_manifest_is_bound_to_the_new_graph_and_says_the_precision() -> None:
    plain = networks.residual_policy()
    before, after = manifest_of(plain, "plain"), manifest_of(to_fp16(plain), "half")
    assert after.graph_sha256 != before.graph_sha256
    assert after.description == "[decision in float16, explanation in float32]"
    assert after.attribution == before.attribution


@pytest.mark.parametrize("network", [networks.residual_policy, networks.medley, models.tiny_policy])
def test_its_numbers_are_those_of_float32_but_for_rounding(network: object) -> None:
    assert callable(network)
    plain = network()
    half = to_fp16(plain)
    assert HALF in {array.dtype for array in Graph.load(half, "test").constants.values()}
    before, after = Session(plain), Stepwise(half, "test")
    for inputs in networks.frames(plain).inputs:
        a, b = before.run(inputs), after.run(inputs)
        for name in a:
            assert b[name].dtype == np.float32
            np.testing.assert_allclose(b[name], a[name], rtol=0.02, atol=0.004)


def test_operators_keep_float32_where_they_take_nothing_else() -> None:
    graph = Graph.load(to_fp16(networks.medley()), "test")
    (resize,) = [node for node in graph.nodes if node.op == "Resize"]
    assert [graph.value(name).dtype for name in resize.inputs if name] == [HALF, SINGLE]


def test_a_tensor_beyond_float16_stays_in_float32_and_is_named() -> None:
    plain = networks.residual_policy(gain=60_000.0)
    frames = networks.frames(plain)
    graph = Graph.load(to_fp16(plain, frames), "test")
    half = to_fp16(plain, frames)
    kept = manifest_of(half, "half").description.partition("range: ")[2].rstrip("]").split(", ")
    assert {"z1", "r1", "sum"} <= set(kept)
    assert graph.value("z1").dtype == SINGLE
    for inputs in frames.inputs:
        steering, wanted = Stepwise(half, "test").run(inputs)["steering"], Session(plain).run(inputs)["steering"]
        np.testing.assert_allclose(steering, wanted, atol=0.004)
    blind = Stepwise(to_fp16(plain), "test").run(frames.inputs[0])["steering"]
    assert not np.isfinite(blind).all()


def test_a_constant_beyond_float16_stays_in_float32_without_any_frame() -> None:
    plain = networks.residual_policy(gain=1e9)
    description = manifest_of(to_fp16(plain), "half").description
    assert "kept in float32 for their range" in description
    assert "per_level" in description


def test_a_constant_that_float16_would_round_away_stays_in_float32() -> None:
    plain = networks.residual_policy(gain=1e-6)
    assert "per_level" in manifest_of(to_fp16(plain), "half").description
    inputs = networks.frames(plain, count=1).inputs[0]
    wanted = Session(plain).run(inputs)["attribution"]
    assert wanted.any()
    assert not np.array_equal(Stepwise(to_fp16(plain), "test").run(inputs)["attribution"], np.zeros_like(wanted))


def test_a_tensor_that_is_no_number_is_named_with_its_frame() -> None:
    plain = networks.residual_policy()
    good = networks.frames(plain, count=3)
    bad = {**good.inputs[1], "speed_mps": np.array([[np.nan]], np.float32)}
    frames = Frames("drives/odd", "0" * 64, (good.inputs[0], bad, good.inputs[2]))
    with pytest.raises(ModelError, match=r"tensor 'speed_mps' holds NaN on frame 1 of 'drives/odd'"):
        to_fp16(plain, frames)
