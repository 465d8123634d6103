"""Paints the lead vehicle: a car's outline in polygons, shaded by the side they face, with its rear lights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.view import SUB_PIXEL_BITS, drawable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.light import Light
    from proving_ground.view import View
    from proving_ground.world import LeadBox

    ByteArray = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]

_GLASS, _TYRE, _LAMP_OFF, _PLATE = (70.0, 60.0, 52.0), (30.0, 30.0, 30.0), (40.0, 36.0, 130.0), (205.0, 215.0, 215.0)
_TAIL_LIT, _BRAKE_LIT = (70.0, 60.0, 235.0), (150.0, 140.0, 255.0)


def paint_lead(picture: ByteArray, view: View, lead: LeadBox, light: Light) -> None:
    """Draws the lead over the picture; faces turned away from the camera are left out."""
    sun = np.array([np.cos(light.sun_azimuth_rad), np.sin(light.sun_azimuth_rad)])
    distance = float(np.hypot(lead.x_m - view.x_m, lead.y_m - view.y_m))
    clear = float(np.exp(-distance / light.haze_m))
    c, s = np.cos(lead.heading_rad), np.sin(lead.heading_rad)
    # Into the car's own frame, to see which of its sides we look at.
    dx, dy = view.x_m - lead.x_m, view.y_m - lead.y_m
    us_forward, us_left = dx * c + dy * s, dy * c - dx * s
    half = lead.width_m / 2

    def draw(
        forward: tuple[float, ...],
        left: tuple[float, ...],
        up: tuple[float, ...],
        colour: tuple[float, ...],
        normal: tuple[float, float] | None,
    ) -> None:
        facing = 0.5
        if normal is not None:
            world_normal = np.array([normal[0] * c - normal[1] * s, normal[0] * s + normal[1] * c])
            facing = 0.25 + 0.55 * max(0.0, float(world_normal @ sun))
        tint = np.array(light.shade_tint) + facing * (np.array(light.sun_tint) - np.array(light.shade_tint))
        lit = np.array(colour) * (tint if normal is not None else 1.0)
        shown = lit * clear + np.array(light.sky_horizon) * (1 - clear)
        corners = lead.to_world(np.array(forward), np.array(left))
        polygons = drawable(view.polygons(corners[None], np.array(up)[None]))
        if polygons:
            cv2.fillPoly(picture, polygons, tuple(np.minimum(shown, 255)), cv2.LINE_AA, SUB_PIXEL_BITS)

    length, top, waist = lead.length_m, lead.height_m, lead.height_m * 0.60
    paint = tuple(float(value) for value in lead.paint_bgr)
    cabin_rear, cabin_front, roof = length * 0.06, length * 0.72, half * 0.80
    for side in (1.0, -1.0):
        if us_left * side < half:
            continue
        y = side * half
        for axle in (0.19 * length, 0.81 * length):
            draw((axle - 0.33, axle + 0.33, axle + 0.33, axle - 0.33), (y,) * 4, (0, 0, 0.6, 0.6), _TYRE, (0, side))
        draw((0, length, length, 0), (y,) * 4, (0.22, 0.22, waist, waist), paint, (0, side))
        glass = (cabin_rear, cabin_front, length * 0.55, length * 0.14)
        draw(glass, (y, y, side * roof, side * roof), (waist, waist, top, top), _GLASS, (0, side))
    if us_forward > 0:
        return
    for wheel in (-1.0, 1.0):
        inner, outer = wheel * (half - 0.24), wheel * (half - 0.02)
        draw((0.3,) * 4, (inner, outer, outer, inner), (0, 0, 0.4, 0.4), _TYRE, (-1, 0))
    across = (half, -half, -half, half)
    draw((0.2,) * 4, (half * 0.8, -half * 0.8, -half * 0.8, half * 0.8), (0.12, 0.12, 0.4, 0.4), _TYRE, (-1, 0))
    draw((0,) * 4, across, (0.25, 0.25, waist, waist), paint, (-1, 0))
    draw((0.02, 0.02, 0.4, 0.4), (half * 0.94, -half * 0.94, -roof, roof), (waist, waist, top, top), paint, (-1, 0))
    screen = (half * 0.84, -half * 0.84, -roof * 0.86, roof * 0.86)
    draw((0.04, 0.04, 0.36, 0.36), screen, (waist + 0.04, waist + 0.04, top - 0.09, top - 0.09), _GLASS, (-1, 0))
    draw((0,) * 4, (0.26, -0.26, -0.26, 0.26), (0.52, 0.52, 0.64, 0.64), _PLATE, (-1, 0))
    draw((0,) * 4, across, (0.25, 0.25, 0.36, 0.36), tuple(value * 0.55 for value in paint), (-1, 0))
    braking = lead.state.brake_lights
    lamp = _BRAKE_LIT if braking else _TAIL_LIT if light.lamps else _LAMP_OFF
    for side in (1.0, -1.0):
        inner, outer = side * half * 0.62, side * half * 0.98
        up = (waist - 0.24, waist - 0.24, waist - 0.04, waist - 0.04)
        lit = braking or light.lamps
        draw((-0.01,) * 4, (outer, inner, inner, outer), up, lamp, None if lit else (-1, 0))
    if braking:
        draw((0.38,) * 4, (0.22, -0.22, -0.22, 0.22), (top - 0.08, top - 0.08, top - 0.03, top - 0.03), lamp, None)
