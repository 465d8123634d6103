"""What the reference policy sees and promises: names, geometry and manifest. Needs no torch."""

from __future__ import annotations

from proving_ground.camera import Camera
from runtime.contracts.model import (
    AttributionOutput,
    Crop,
    ImageInput,
    Intrinsics,
    Manifest,
    Output,
    StateInput,
)

IMAGE, SPEED = "image", "speed_mps"
OUTPUTS = ("steering_angle_rad", "acceleration_mps2", "attribution")
HEIGHT, WIDTH = 66, 200
ATTRIBUTION_LAYER = "conv4"
ATTRIBUTION_ROWS, ATTRIBUTION_COLUMNS = 3, 20
# Unpadded convolutions: strides 2, 2, 2, 1 multiply to 8; fields 5, 5, 5, 3 grow to 1 + 4 + 8 + 16 + 16 = 45 pixels.
ATTRIBUTION_STRIDE_PX, ATTRIBUTION_FIELD_PX, ATTRIBUTION_ORIGIN_PX = 8.0, 45.0, 22.0
# From just above the horizon, where a lead's roof stands, to 3 m ahead of the camera; nearly square pixels at 640x360.
CROP = Crop(top=0.31, bottom=0.90)
# Beyond what the expert ever asks for (0.55 rad, -8 to 3 m/s2), with room for a network's error: more is no driving.
STEERING_LIMIT_RAD, BRAKING_LIMIT_MPS2, ACCELERATION_LIMIT_MPS2 = 0.8, 12.0, 6.0


def image_input(camera: Camera | None = None) -> ImageInput:
    """The picture that the policy takes, cut from the proving ground's default camera where none is given."""
    taken = Camera() if camera is None else camera
    intrinsics = Intrinsics(
        horizontal_fov_rad=taken.horizontal_fov_rad,
        aspect_ratio=taken.width / taken.height,
        mount_height_m=taken.mount_height_m,
        pitch_rad=taken.pitch_rad,
    )
    return ImageInput(name=IMAGE, width=WIDTH, height=HEIGHT, crop=CROP, intrinsics=intrinsics)


def manifest(description: str = "") -> Manifest:
    """The reference policy's manifest; its graph hash is filled in when it is attached to a graph."""
    steering, acceleration, attribution = OUTPUTS
    return Manifest(
        name="pilotnet",
        graph_sha256="",
        description=description,
        images=(image_input(),),
        states=(StateInput(name=SPEED, quantity="speed_mps"),),
        outputs=(
            Output(steering, "steering_angle_rad", minimum=-STEERING_LIMIT_RAD, maximum=STEERING_LIMIT_RAD),
            Output(
                acceleration,
                "acceleration_mps2",
                minimum=-BRAKING_LIMIT_MPS2,
                maximum=ACCELERATION_LIMIT_MPS2,
            ),
        ),
        attribution=AttributionOutput(
            output=attribution,
            method="gradient x activation (HiResCAM)",
            layer=ATTRIBUTION_LAYER,
            target="steering_angle_rad",
            image=IMAGE,
            rows=ATTRIBUTION_ROWS,
            columns=ATTRIBUTION_COLUMNS,
            origin_y_px=ATTRIBUTION_ORIGIN_PX,
            origin_x_px=ATTRIBUTION_ORIGIN_PX,
            stride_y_px=ATTRIBUTION_STRIDE_PX,
            stride_x_px=ATTRIBUTION_STRIDE_PX,
            field_y_px=ATTRIBUTION_FIELD_PX,
            field_x_px=ATTRIBUTION_FIELD_PX,
        ),
    )
