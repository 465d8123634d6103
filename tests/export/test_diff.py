"""Two model files are compared field by field, and on the same moments."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from export.diff import FieldChange, ModelDiff, diff
from export.precision.int8 import to_int8
from export.session import Session
from runtime.contracts.errors import ModelError, SourceError
from runtime.contracts.model import Crop, attach_manifest, manifest_of
from tests import models
from tests.export.precision import networks

ROAD = networks.OTHER_ROAD


def coarser(seed: int = 1) -> bytes:
    """The residual policy with the map averaged, 2 x 5 cells into one."""
    import onnx

    rows, columns = networks.ROWS // 2, networks.COLUMNS // 5
    model = onnx.load_model_from_string(networks.residual_policy(seed))
    (last,) = [node for node in model.graph.node if "attribution" in node.output]
    last.output[0] = "fine"
    make = onnx.helper.make_node
    shape = onnx.numpy_helper.from_array(np.array([rows, 2, columns, 5], np.int64), "blocks")
    axes = onnx.numpy_helper.from_array(np.array([1, 3], np.int64), "within")
    model.graph.initializer.extend([shape, axes])
    model.graph.node.append(make("Reshape", ["fine", "blocks"], ["blocked"]))
    model.graph.node.append(make("ReduceMean", ["blocked", "within"], ["attribution"], keepdims=0))
    model.opset_import[0].version = 18
    out = next(each for each in model.graph.output if each.name == "attribution")
    out.CopyFrom(onnx.helper.make_tensor_value_info("attribution", 1, [rows, columns]))
    manifest = manifest_of(networks.residual_policy(seed), "test")
    grid = msgspec.structs.replace(
        networks.MAP,
        rows=rows,
        columns=columns,
        origin_y_px=8.0,
        origin_x_px=20.0,
        stride_y_px=16.0,
        stride_x_px=40.0,
    )
    return attach_manifest(model.SerializeToString(), msgspec.structs.replace(manifest, attribution=grid))


def test_a_file_does_not_differ_from_itself() -> None:
    onnx = networks.residual_policy()
    found = diff(onnx, onnx, ROAD, 4)
    assert (found.manifest, found.operators, found.not_compared) == ((), (), ())
    assert found.first_sha256 == found.second_sha256
    assert [change.max for change in found.decisions] == [0.0, 0.0]
    assert [change.min for change in found.explanations] == pytest.approx([1.0])
    assert (found.source, found.frames) == (ROAD, 4)


def test_fields_of_the_manifest_that_differ_are_named_with_both_values() -> None:
    first = networks.residual_policy()
    outputs = (msgspec.structs.replace(networks.CONTROLS[0], maximum=0.5), networks.CONTROLS[1])
    second = networks.with_manifest(first, outputs=outputs, states=manifest_of(first, "").states, description="new")
    assert diff(first, second, ROAD, 1).manifest == (
        FieldChange("outputs[0].maximum", "0.7", "0.5"),
        FieldChange("description", '""', '"new"'),
    )


def test_a_quantised_file_differs_in_operators_decisions_and_explanations() -> None:
    first = networks.residual_policy()
    second = to_int8(first, networks.frames(first))
    found = diff(first, second, ROAD, 4)
    assert {each.operator: (each.first, each.second) for each in found.operators} == {
        "Add": (1, 2),
        "DequantizeLinear": (0, 7),
        "QuantizeLinear": (0, 3),
    }
    steering = found.decisions[0]
    assert (steering.name, steering.unit) == ("steering_angle_rad", "rad")
    assert 0.0 < steering.mean < 0.01
    assert 0.98 < found.explanations[0].median < 1.0
    assert found.first_bytes == len(first)
    assert found.second_bytes == len(second)


def test_a_decision_is_compared_in_its_unit_whatever_the_scale_of_the_tensor() -> None:
    first = networks.residual_policy()
    outputs = (msgspec.structs.replace(networks.CONTROLS[0], scale=-2.0), networks.CONTROLS[1])
    found = diff(first, networks.with_manifest(first, outputs=outputs), ROAD, 2)
    frames = networks.frames(first, ROAD, 2)
    steering = [float(Session(first).run(inputs)["steering"][0, 0]) for inputs in frames.inputs]
    assert found.decisions[0].max == pytest.approx(3.0 * max(np.abs(steering)))


def test_maps_of_two_grids_are_compared_on_the_coarser_one() -> None:
    fine, coarse = networks.residual_policy(), coarser()
    for found in (diff(fine, coarse, ROAD, 3), diff(coarse, fine, ROAD, 3)):
        assert found.not_compared == ()
        assert found.explanations[0].min == pytest.approx(1.0)
    assert diff(fine, coarser(seed=2), ROAD, 3).explanations[0].median < 0.9


def test_networks_that_see_other_parts_of_the_picture_are_each_fed_their_own() -> None:
    first = networks.residual_policy()
    image = msgspec.structs.replace(manifest_of(first, "").images[0], crop=Crop(top=0.4))
    found = diff(first, networks.with_manifest(first, images=(image,)), ROAD, 2)
    assert found.decisions[0].max > 0.0
    assert found.explanations == ()
    (why,) = found.not_compared
    assert why.startswith("the map 'attribution': they lie over other pictures (crop Crop(top=0.0")


def test_what_only_one_of_them_has_is_said() -> None:
    first, second = networks.residual_policy(), models.recurrent_policy()
    found = diff(first, second, ROAD, 2)
    assert found.not_compared == ("the map 'attribution': only the first has it",)
    assert [change.name for change in found.decisions] == ["steering_angle_rad", "acceleration_mps2"]
    assert FieldChange("recurrent[0].input", "", '"h"') in found.manifest


def test_a_network_that_gives_no_number_is_named() -> None:
    first = networks.residual_policy()
    with pytest.raises(ModelError, match=r"worse.onnx: steering_angle_rad holds what is no finite number on frame 0"):
        diff(first, networks.residual_policy(gain=float("nan")), ROAD, 1, ("better.onnx", "worse.onnx"))


def test_frames_that_cannot_be_had_are_refused() -> None:
    onnx = networks.residual_policy()
    with pytest.raises(SourceError, match="ask for 1 at least"):
        diff(onnx, onnx, ROAD, 0)


def test_the_difference_is_read_back_from_json_as_it_was() -> None:
    found = diff(networks.residual_policy(), networks.residual_policy(seed=2), ROAD, 2)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ModelDiff) == found
