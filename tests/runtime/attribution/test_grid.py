"""The recorded map is the network's, and its cells lie where the manifest says."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from runtime.attribution.grid import Box, message, scaled, to_camera, values_of
from runtime.contracts.errors import ModelError
from runtime.contracts.model import AttributionOutput, Crop, ImageInput
from runtime.contracts.topics import ATTRIBUTION

CONTRACT = AttributionOutput(
    output="attribution",
    method="gradient x activation",
    layer="conv4",
    target="steering_angle_rad",
    image="image",
    rows=3,
    columns=20,
    origin_y_px=22.0,
    origin_x_px=22.0,
    stride_y_px=8.0,
    stride_x_px=8.0,
    field_y_px=45.0,
    field_x_px=45.0,
)
IMAGE = ImageInput(name="image", width=200, height=66, camera="front")


def test_leading_ones_fall_and_the_manifests_scale_and_sign_apply() -> None:
    raw = np.arange(60, dtype=np.float32).reshape(1, 1, 3, 20)
    values = scaled(raw, msgspec.structs.replace(CONTRACT, scale=-0.5))
    assert values.shape == (3, 20)
    assert values[1, 2] == -11.0


def test_a_tensor_of_another_size_is_refused_with_both_shapes() -> None:
    with pytest.raises(ModelError, match=r"\(3, 19\).*3 x 20"):
        scaled(np.zeros((3, 19), np.float32), CONTRACT)


def test_a_map_survives_the_wire_with_nan_infinity_and_every_bit() -> None:
    raw = np.random.default_rng(1).normal(size=(3, 20)).astype(np.float32)
    raw[0, :4] = [math.nan, math.inf, -math.inf, -0.0]
    sent = message(7, 8, scaled(raw, CONTRACT), CONTRACT, IMAGE)
    back = values_of(ATTRIBUTION.decode(ATTRIBUTION.encode(sent))).astype(np.float32)
    assert np.isnan(back[0, 0])
    assert back.ravel()[1:].tobytes() == raw.ravel()[1:].tobytes()
    assert (sent.image, sent.camera, sent.target) == ("image", "front", "steering_angle_rad")


def test_the_whole_model_input_is_the_whole_crop_of_the_camera() -> None:
    image = msgspec.structs.replace(IMAGE, crop=Crop(top=0.5, bottom=1.0, left=0.25, right=0.75))
    whole = Box(-0.5, -0.5, 199.5, 65.5)
    assert to_camera(whole, image, 640, 360) == Box(159.5, 179.5, 479.5, 359.5)


def test_a_picture_of_the_inputs_own_size_maps_to_itself() -> None:
    box = Box(18.0, 20.0, 26.0, 28.0)
    mapped = to_camera(box, IMAGE, 200, 66)
    assert (mapped.left_px, mapped.top_px) == pytest.approx((18.0, 20.0))
    assert (mapped.right_px, mapped.bottom_px) == pytest.approx((26.0, 28.0))
