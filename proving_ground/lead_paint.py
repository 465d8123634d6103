"""Paints the lead vehicle: a car's outline in polygons, shaded by the side they face, with its rear lights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.view import SUB_PIXEL_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.light import Light
    from proving_ground.view import View
    from proving_ground.world import LeadBox

    ByteArray = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]
    Colour = tuple[float, float, float]
    Four = tuple[float, float, float, float]

_GLASS, _TYRE, _LAMP_OFF, _PLATE = (70.0, 60.0, 52.0), (30.0, 30.0, 30.0), (40.0, 36.0, 130.0), (205.0, 215.0, 215.0)
_TAIL_LIT, _BRAKE_LIT = (70.0, 60.0, 235.0), (150.0, 140.0, 255.0)
_REAR = (-1.0, 0.0)


@dataclass(frozen=True)
class _Face:
    """A quad in the lead's frame (metres ahead of the rear bumper, left, up); without a normal it shines by itself."""

    forward: Four
    left: Four
    up: Four
    colour: Colour
    normal: tuple[float, float] | None


def paint_lead(picture: ByteArray, view: View, lead: LeadBox, light: Light) -> None:
    """Draws the lead over the picture; sides turned away from the camera are left out."""
    c, s = np.cos(lead.heading_rad), np.sin(lead.heading_rad)
    dx, dy = view.x_m - lead.x_m, view.y_m - lead.y_m
    faces = _side_faces(lead, dy * c - dx * s)
    if dx * c + dy * s < 0:
        faces += _rear_faces(lead, light)
    if not faces:
        return
    forward, left = np.array([face.forward for face in faces]), np.array([face.left for face in faces])
    polygons = view.polygons(lead.to_world(forward, left), np.array([face.up for face in faces]))
    sun = np.array([np.cos(light.sun_azimuth_rad), np.sin(light.sun_azimuth_rad)])
    clear = float(np.exp(-np.hypot(dx, dy) / light.haze_m))
    shade, sunlit, haze = np.array(light.shade_tint), np.array(light.sun_tint), np.array(light.sky_horizon)
    for face, polygon in zip(faces, polygons, strict=True):
        if len(polygon) < 3:
            continue
        colour = np.array(face.colour)
        if face.normal is not None:
            normal = np.array([face.normal[0] * c - face.normal[1] * s, face.normal[0] * s + face.normal[1] * c])
            facing = 0.25 + 0.55 * max(0.0, float(normal @ sun))
            colour = colour * (shade + facing * (sunlit - shade))
        shown = np.minimum(colour * clear + haze * (1 - clear), 255)
        cv2.fillPoly(picture, [polygon], shown.tolist(), cv2.LINE_AA, SUB_PIXEL_BITS)


def _side_faces(lead: LeadBox, camera_left_m: float) -> list[_Face]:
    """The side that a camera at `camera_left_m` to the left of the lead's middle line can see, if any."""
    half, length = lead.width_m / 2, lead.length_m
    if abs(camera_left_m) < half:
        return []
    side = 1.0 if camera_left_m > 0 else -1.0
    y, normal, waist, roof = side * half, (0.0, side), _waist_m(lead), side * half * 0.80
    flat = (y, y, y, y)
    faces = [
        _Face((axle - 0.33, axle + 0.33, axle + 0.33, axle - 0.33), flat, (0, 0, 0.6, 0.6), _TYRE, normal)
        for axle in (0.19 * length, 0.81 * length)
    ]
    faces.append(_Face((0, length, length, 0), flat, (0.22, 0.22, waist, waist), _paint(lead, 1.0), normal))
    glass = (0.06 * length, 0.72 * length, 0.55 * length, 0.14 * length)
    top = lead.height_m
    return [*faces, _Face(glass, (y, y, roof, roof), (waist, waist, top, top), _GLASS, normal)]


def _rear_faces(lead: LeadBox, light: Light) -> list[_Face]:
    half, waist, top = lead.width_m / 2, _waist_m(lead), lead.height_m
    roof, paint = half * 0.80, _paint(lead, 1.0)
    flush, across, bar = (0.0,) * 4, (half, -half, -half, half), (0.25, 0.25, 0.36, 0.36)
    under = (half * 0.8, -half * 0.8, -half * 0.8, half * 0.8)
    cabin, screen = (half * 0.94, -half * 0.94, -roof, roof), (half * 0.84, -half * 0.84, -roof * 0.86, roof * 0.86)
    plate, waist_up = (0.26, -0.26, -0.26, 0.26), (waist + 0.04, waist + 0.04, top - 0.09, top - 0.09)
    faces = []
    for wheel in (-1.0, 1.0):
        inner, outer = wheel * (half - 0.24), wheel * (half - 0.02)
        faces.append(_Face((0.3,) * 4, (inner, outer, outer, inner), (0, 0, 0.4, 0.4), _TYRE, _REAR))
    faces += [
        _Face((0.2,) * 4, under, (0.12, 0.12, 0.4, 0.4), _TYRE, _REAR),
        _Face(flush, across, (0.25, 0.25, waist, waist), paint, _REAR),
        _Face((0.02, 0.02, 0.4, 0.4), cabin, (waist, waist, top, top), paint, _REAR),
        _Face((0.04, 0.04, 0.36, 0.36), screen, waist_up, _GLASS, _REAR),
        _Face(flush, plate, (0.52, 0.52, 0.64, 0.64), _PLATE, _REAR),
        _Face(flush, across, bar, _paint(lead, 0.55), _REAR),
    ]
    braking = lead.state.brake_lights
    lamp, shining = (_BRAKE_LIT, None) if braking else (_TAIL_LIT, None) if light.lamps else (_LAMP_OFF, _REAR)
    lamp_up = (waist - 0.24, waist - 0.24, waist - 0.04, waist - 0.04)
    for side in (1.0, -1.0):
        inner, outer = side * half * 0.62, side * half * 0.98
        faces.append(_Face((-0.01,) * 4, (outer, inner, inner, outer), lamp_up, lamp, shining))
    if braking:
        third = (top - 0.08, top - 0.08, top - 0.03, top - 0.03)
        faces.append(_Face((0.38,) * 4, (0.22, -0.22, -0.22, 0.22), third, _BRAKE_LIT, None))
    return faces


def _waist_m(lead: LeadBox) -> float:
    """Height at which the windows begin."""
    return lead.height_m * 0.60


def _paint(lead: LeadBox, share: float) -> Colour:
    blue, green, red = lead.paint_bgr
    return blue * share, green * share, red * share
