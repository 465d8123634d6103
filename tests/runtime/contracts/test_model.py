"""A model is one ONNX file with its manifest inside, bound to its graph; what breaks that is refused with the mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.errors import ModelError
from runtime.contracts.model import (
    METADATA_KEY,
    Crop,
    Manifest,
    attach_manifest,
    manifest_json_schema,
    manifest_of,
    model_sha256,
    read_manifest,
)
from runtime.contracts.onnx_file import with_metadata, without_metadata
from tests.models import recurrent_policy, tiny_policy, two_camera_policy
from tests.runtime.contracts.test_onnx_file import externalised


def manifest_json(**changes: Any) -> bytes:
    """The tiny policy with single values of its manifest's JSON replaced; a dotted key goes inwards."""
    data = tiny_policy()
    values = json.loads(msgspec.json.encode(manifest_of(data, "test")))
    for dotted, value in changes.items():
        target = values
        *inwards, last = dotted.split("__")
        for key in inwards:
            target = target[int(key)] if key.isdigit() else target[key]
        target[last] = value
    return with_metadata(data, METADATA_KEY, json.dumps(values))


def test_a_manifest_is_read_back_as_it_was_attached(tmp_path: Path) -> None:
    for data in (tiny_policy(), recurrent_policy(), two_camera_policy()):
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        manifest = read_manifest(path)
        assert attach_manifest(without_metadata(data), manifest) == data
        assert manifest.graph_sha256 == model_sha256(data)


def test_the_identity_is_the_graphs_whatever_the_metadata_says() -> None:
    data = tiny_policy()
    assert model_sha256(with_metadata(data, "author", "somebody")) == model_sha256(data)
    assert model_sha256(tiny_policy(seed=1)) != model_sha256(data)


def test_a_manifest_cannot_be_moved_to_another_network() -> None:
    manifest = manifest_of(tiny_policy(seed=0), "test")
    text = msgspec.json.encode(manifest).decode()
    moved = with_metadata(tiny_policy(seed=1), METADATA_KEY, text)
    with pytest.raises(ModelError, match="belongs to another network"):
        manifest_of(moved, "moved")


def test_a_model_without_a_manifest_is_refused_with_the_way_to_add_one() -> None:
    with pytest.raises(ModelError, match=r"bare\.onnx has no manifest.*attach_manifest"):
        manifest_of(without_metadata(tiny_policy()), "bare.onnx")


def test_a_model_with_weights_elsewhere_is_refused_since_its_identity_does_not_cover_them() -> None:
    manifest = manifest_of(tiny_policy(), "test")
    with pytest.raises(ModelError, match=r"keeps the values of 'far' in another file.*external_data=False"):
        attach_manifest(externalised("initializer"), manifest)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": ""}, r"\$\.name"),
        ({"images": []}, r"\$\.images"),
        ({"images__0__width": 0}, r"\$\.images\[0\]\.width"),
        ({"images__0__layout": "HWC"}, r"layout"),
        ({"images__0__crop": {"top": 0.5, "bottom": 0.5}}, r"images.image.crop is empty"),
        ({"images__0__crop": {"top": 1.5}}, r"crop.top"),
        ({"images__0__camera": "Front Camera"}, "images.image.camera is 'Front Camera'"),
        ({"images__0__mean": 127}, "unknown field `mean`"),
        ({"states__0__quantity": "speed_kmh"}, r"quantity"),
        ({"states__0__name": "image"}, "input tensor 'image' is named twice"),
        ({"outputs": []}, r"\$\.outputs"),
        ({"outputs__0__quantity": "acceleration_mps2"}, "'acceleration_mps2' is named twice"),
        ({"concepts": [{"name": "Gap", "unit": "m", "output": "steering"}]}, r"concepts\[0\]\.name"),
        ({"concepts": [{"name": "gap_m", "unit": "m", "output": "steering"}] * 2}, "concept 'gap_m' is named twice"),
        (
            {"concepts": [{"name": "gap_m", "unit": "m", "output": "steering", "map": "maps"}], "attribution": None},
            r"concepts\.gap_m\.map",
        ),
        ({"attribution__target_index": "largest"}, r"target_index"),
        ({"outputs__1__quantity": "steering_angle_rad"}, "'steering_angle_rad' is named twice"),
        ({"attribution__stride_y_px": 0.0}, "stride_y_px"),
        ({"attribution__field_x_px": -1.0}, "field_x_px"),
        ({"outputs__0__minimum": 0.7}, "minimum 0.7 is not below maximum 0.7"),
        ({"outputs__0__scale": 0.0}, "scale is 0"),
        ({"outputs__0__index": -1}, r"index"),
        ({"outputs__0__maximum": None}, r"maximum"),
        ({"attribution__image": "picture"}, "attribution.image is 'picture'"),
        ({"attribution__rows": 0}, r"attribution\.rows"),
        ({"tolerance": -1}, r"\$\.tolerance"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_field(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=rf"its manifest is wrong: .*{match}"):
        manifest_of(manifest_json(**changes), "wrong.onnx")


def test_a_target_that_no_output_gives_is_refused() -> None:
    with pytest.raises(ModelError, match=r"attribution.target is 'acceleration_mps2'"):
        outputs = json.loads(msgspec.json.encode(manifest_of(tiny_policy(), "test").outputs[:1]))
        manifest_of(manifest_json(outputs=outputs, attribution__target="acceleration_mps2"), "wrong.onnx")


def test_a_manifest_that_could_not_be_read_again_is_not_attached() -> None:
    manifest = manifest_of(tiny_policy(), "test")
    wrong_type: Any = "much"
    infinite = msgspec.structs.replace(manifest, tolerance=float("inf"))
    for wrong in (infinite, msgspec.structs.replace(manifest, tolerance=wrong_type)):
        with pytest.raises(ModelError, match="tolerance"):
            attach_manifest(tiny_policy(), wrong)
    image = msgspec.structs.replace(manifest.images[0], crop=Crop(top=-0.5))
    with pytest.raises(ModelError, match=r"crop\.top"):
        attach_manifest(tiny_policy(), msgspec.structs.replace(manifest, images=(image,)))


@pytest.mark.parametrize("data", [b"", b"hello, I am no model", b"\x08" + b"\xff" * 12, bytes(100)])
def test_what_is_no_onnx_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"x\.onnx is no ONNX file"):
        manifest_of(data, "x.onnx")
    with pytest.raises(ModelError):
        attach_manifest(data, manifest_of(tiny_policy(), "test"))


def test_an_absent_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: No such file"):
        read_manifest(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="it is no file, but a pipe, a device or a folder"):
        read_manifest(tmp_path)


@given(st.data())
def test_damaged_bytes_are_a_manifest_or_a_model_error(data: st.DataObject) -> None:
    damaged = bytearray(tiny_policy())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(manifest_of(bytes(damaged), "damaged"), Manifest)
    except ModelError as error:
        assert "damaged" in str(error)


def test_the_published_schema_takes_every_manifest_and_refuses_unknown_fields() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the schema is checked with jsonschema (extra: dev)")
    schema = manifest_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for data in (tiny_policy(), recurrent_policy(), two_camera_policy()):
        jsonschema.validate(json.loads(msgspec.json.encode(manifest_of(data, "test"))), schema)
    values = json.loads(msgspec.json.encode(manifest_of(tiny_policy(), "test")))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"mean": 1}, schema)
