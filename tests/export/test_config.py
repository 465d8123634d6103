"""A model's configuration: read once, checked whole, and errors that a person can act upon."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.config import TensorTarget, load_model_config, parse_model_config
from runtime.contracts.errors import ConfigError

WHOLE = """\
name: shuttle
images:
  - name: image
    width: 200
    height: 66
outputs:
  - name: control
    quantity: steering_angle_rad
    minimum: -0.8
    maximum: 0.8
"""


def test_what_is_left_out_has_a_default() -> None:
    config = parse_model_config(WHOLE, "f.yaml")
    assert config.attribution.method == "auto"
    assert not config.precision.fp16
    assert config.images[0].normalise is None


def test_the_manifest_says_what_the_configuration_says_of_the_network() -> None:
    config = parse_model_config(WHOLE.replace("height: 66", "height: 66\n    normalise: {scale: 1.0}"), "f.yaml")
    manifest = config.manifest()
    assert type(manifest.images[0]).__name__ == "ImageInput"
    assert (manifest.name, manifest.images[0].height, manifest.outputs[0].maximum) == ("shuttle", 66, 0.8)


def test_a_target_is_a_quantity_or_an_element_of_an_output() -> None:
    def target(text: str) -> object:
        return parse_model_config(f"{WHOLE}attribution: {{target: {text}}}\n", "f.yaml").attribution.target

    assert target("steering_angle_rad") == "steering_angle_rad"
    assert target("{output: control, index: argmax}") == TensorTarget("control", "argmax")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name: shuttle", "name: a/b"), ["f.yaml:1", "name = a/b"]),
        (("    width: 200\n", ""), ["f.yaml:3", "images.0", "no key 'width'"]),
        (("height: 66", "height: 66\n    hight: 3"), ["f.yaml:6", "images.0.hight", "layout", "normalise"]),
        (("height: 66", "height: 66\n    normalise:\n      std: [1, 0, 1]"), ["f.yaml:7", "normalise.std", "0"]),
        (("height: 66", "height: 66\n    normalise:\n      mean: [1, 0]"), ["f.yaml:7", "normalise.mean", "3"]),
        (
            ("height: 66", "height: 66\n    normalise:\n      mean: [0, 0, 1]\n      grey: true"),
            ["f.yaml:8", "normalise.grey", "equal"],
        ),
        (("maximum: 0.8", "maximum: -0.9"), ["f.yaml:9", "outputs.0.minimum = -0.8", "-0.9"]),
        (("maximum: 0.8", "maximum: 0.8\n    scale: 0"), ["f.yaml:11", "outputs.0.scale", "0"]),
        (("steering_angle_rad", "angle"), ["f.yaml:8", "quantity = angle", "steering_angle_rad", "score"]),
        (("name: shuttle", "name: shuttle\nattribution: {method: shap}"), ["f.yaml:2", "= shap", "upward"]),
        (("name: shuttle", "name: shuttle\nattribution:\n  target: score"), ["f.yaml:3", "target = score"]),
        (("name: shuttle", "name: shuttle\nattribution:\n  image: rear"), ["f.yaml:3", "image = rear", "image"]),
        (("name: shuttle", "name: shuttle\nprecision:\n  fp16: true"), ["f.yaml:2", "precision", "frames.source"]),
        (("name: shuttle", "name: shuttle\nprecision: {int8: {}}"), ["f.yaml:2", "no key 'calibration'"]),
    ],
)
def test_what_is_wrong_is_named_with_file_line_key_and_what_is_allowed(
    change: tuple[str, str], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_model_config(WHOLE.replace(*change), "f.yaml")
    for words in said:
        assert words in str(raised.value)


def test_what_only_the_manifest_refuses_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ConfigError, match="crop is empty"):
        parse_model_config(WHOLE.replace("height: 66", "height: 66\n    crop: {top: 0.5, bottom: 0.5}"), "f.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: there is no such"):
        load_model_config(tmp_path / "absent.yaml")
