"""Paints what stands up from the ground, farthest first: trees as sprites, the lead vehicle as a shaded box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.camera import NEAR_M
from proving_ground.lead_paint import paint_lead
from proving_ground.textures import tree_sprites

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.light import Light
    from proving_ground.view import View
    from proving_ground.world import World

    ByteArray = NDArray[np.uint8]

_REACH_M = 230.0
_HAZE_STEPS = 6
_LEAVES = ((52.0, 118.0, 96.0), (44.0, 104.0, 66.0), (48.0, 112.0, 124.0), (54.0, 88.0, 56.0))
_TRUNK = (58.0, 70.0, 82.0)


class ObjectPainter:
    """Paints one world's upright things; sprites are tinted once per light and distance."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pyramids = [
            [_pyramid(kind, world.light, step / (_HAZE_STEPS - 1)) for step in range(_HAZE_STEPS)]
            for kind in range(len(tree_sprites()))
        ]

    def paint(self, picture: ByteArray, view: View, t_s: float) -> None:
        """Draws over the picture."""
        trees = self._world.scenery.trees(view.s_m - 10.0, view.s_m + _REACH_M)
        base = view.to_camera(trees.position_m)
        depth = base[:, 2]
        seen = (depth > 2.0) & (depth < _REACH_M)
        base, depth, kind, height_m = base[seen], depth[seen], trees.kind[seen], trees.height_m[seen]
        foot = view.camera.to_pixels(base)
        size_px = view.camera.focal_px / depth * height_m
        fog = 1 - np.exp(-depth / self._world.light.haze_m)
        step = np.minimum(_HAZE_STEPS - 1, np.round(fog * (_HAZE_STEPS - 1)).astype(int))
        inside = (np.abs(foot[:, 0] - view.camera.width / 2) < (view.camera.width + size_px) / 2 + 1) & (size_px > 1.5)
        lead = self._world.lead_box(t_s)
        lead_depth = math.inf
        if lead is not None:
            lead_depth = float(view.to_camera(np.array([lead.x_m, lead.y_m]))[2])
            if lead_depth < NEAR_M - lead.length_m:
                lead = None
        order = np.argsort(-depth, kind="stable")
        for i in order[inside[order]]:
            if lead is not None and depth[i] < lead_depth:
                paint_lead(picture, view, lead, self._world.light)
                lead = None
            _blend(picture, self._pyramids[kind[i]][step[i]], float(foot[i, 0]), float(foot[i, 1]), float(size_px[i]))
        if lead is not None:
            paint_lead(picture, view, lead, self._world.light)


def _pyramid(kind: int, light: Light, fog: float) -> list[ByteArray]:
    """Halved sizes of one tinted sprite: uint8 (n, n, 4), colour times opacity, and 255 less opacity."""
    shade, trunk, opacity = cv2.split(tree_sprites()[kind])
    layers = []
    for channel in range(3):
        sun, dark = light.sun_tint[channel], light.shade_tint[channel]
        leaves = _LEAVES[kind][channel] * (dark * 0.7 + (sun * 1.15 - dark * 0.7) * shade)
        colour = leaves + trunk * (_TRUNK[channel] * dark - leaves)
        layers.append((colour + fog * (light.sky_horizon[channel] - colour)) * opacity)
    sprite = np.clip(np.stack([*layers, 255 - opacity * 255], axis=-1), 0, 255).astype(np.uint8)
    levels = [sprite]
    while levels[-1].shape[0] > 6:
        half = levels[-1].shape[0] // 2
        levels.append(np.asarray(cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA), np.uint8))
    return levels


def _blend(picture: ByteArray, pyramid: list[ByteArray], u: float, v: float, size_px: float) -> None:
    """Draws a square sprite of `size_px` standing with the middle of its base on (u, v)."""
    left, top = max(0, math.floor(u - size_px / 2)), max(0, math.floor(v - size_px))
    right = min(picture.shape[1], math.ceil(u + size_px / 2) + 1)
    bottom = min(picture.shape[0], math.ceil(v) + 1)
    if left >= right or top >= bottom:
        return
    level = min(len(pyramid) - 1, max(0, math.floor(math.log2(pyramid[0].shape[0] / size_px))))
    sprite = pyramid[level]
    zoom = size_px / sprite.shape[0]
    to_picture = np.array(
        [[zoom, 0, u - size_px / 2 - left + zoom / 2 - 0.5], [0, zoom, v - size_px - top + zoom / 2 - 0.5]]
    )
    drawn = cv2.warpAffine(
        sprite, to_picture, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0, 255)
    )
    region = picture[top:bottom, left:right]
    through = cv2.cvtColor(cv2.extractChannel(drawn, 3), cv2.COLOR_GRAY2BGR)
    behind = cv2.multiply(region, through, scale=1 / 255)
    cv2.add(behind, cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR), dst=region)
