"""Paints everything that lies on the ground: grass, gravel, asphalt, lane markings, grain, shadows, haze.

Flat ground and a camera without roll: every picture row is one distance, so grain and haze need no geometry per
picture; the road, its markings and the shadows are polygons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.markings import LANE_WIDTH_M, Line, Stripe
from proving_ground.scenery import tree_shadows
from proving_ground.textures import GROUND_PX_PER_M, GROUND_TILE, ground_tile
from proving_ground.view import SUB_PIXEL_BITS, drawable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.camera import Camera
    from proving_ground.view import View
    from proving_ground.world import World

    ByteArray = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]
    SingleArray = NDArray[np.float32]

LINE_WIDTH_M = 0.14
_PAVED_RIGHT_M, _PAVED_LEFT_M = -2.15, 5.65
_GRAVEL_M = 1.1
_HAZE_FLOOR = 0.4  # the far edge of the ground meets woods, not bare sky
_GRAIN_REACH_M = 70.0
_MARKING_REACH_M = 130.0
_GRASS, _GRAVEL, _ASPHALT = (62.0, 112.0, 104.0), (128.0, 140.0, 148.0), (112.0, 110.0, 108.0)
_PAINT = (228.0, 232.0, 232.0)
_WHEEL_TRACKS_M = (-0.78, 0.78, 2.72, 4.28)
_STRIPS_M = np.array(
    [
        (_PAVED_RIGHT_M - _GRAVEL_M, _PAVED_LEFT_M + _GRAVEL_M),
        (_PAVED_RIGHT_M, _PAVED_LEFT_M),
        *((track - 0.2, track + 0.2) for track in _WHEEL_TRACKS_M),
    ]
)


class GroundPainter:
    """Paints the ground of one world as one camera sees it. Holds buffers: one painter, one thread."""

    def __init__(self, world: World, camera: Camera) -> None:
        self._world = world
        self._camera = camera
        self.first_row, forward, metres_per_px = camera.ground_rows()
        rows, width = len(forward), camera.width
        self._haze = np.maximum(np.exp(-forward / world.light.haze_m), _HAZE_FLOOR).astype(np.float32)[:, None]
        # Grain is finer than a far pixel: it fades with the ground's footprint instead of flickering.
        footprint = np.gradient(-forward) if rows > 1 else np.ones(rows)
        fade = np.minimum(1.0, 1.6 / (np.sqrt(np.abs(footprint) * metres_per_px) * GROUND_PX_PER_M))
        self._grain_row = int(np.searchsorted(-forward, -_GRAIN_REACH_M))
        self._fade = (fade[self._grain_row :, None] / 128.0).astype(np.float32)
        columns = (width - 1) / 2 - np.arange(width)
        self._forward = np.repeat(forward[self._grain_row :, None], width, axis=1).astype(np.float32)
        left = metres_per_px[self._grain_row :, None] * columns + camera.mount_left_m
        self._left = left.astype(np.float32)
        self._paved = np.zeros((rows, width), np.uint8)
        self._shadow = np.zeros((rows, width), np.uint8)
        self._lines = np.zeros((2 * rows, 2 * width), np.uint8)
        self._worn = np.zeros((2 * rows, 2 * width), np.uint8)
        steps = np.concatenate([np.full(26, 1.5), np.full(20, 4.0), np.full(24, 9.0)])
        self._along = np.concatenate([[0.0], np.cumsum(steps)]) - 4.0

    def paint(self, picture: ByteArray, view: View, t_s: float) -> None:
        """Overwrites the picture's rows from `first_row` down."""
        ground = picture[self.first_row :]
        if not len(ground):
            return
        self._paint_surfaces(ground, view)
        self._paint_markings(view)
        self._paint_shadows(view, t_s)
        self._light_up(ground, view)

    def _paint_surfaces(self, ground: ByteArray, view: View) -> None:
        contrast = self._world.scenery.scenery.verge_contrast
        ground[:] = _mixed(_ASPHALT, _GRASS, contrast)
        right_m, left_m = _STRIPS_M[:, :1], _STRIPS_M[:, 1:]
        s = view.s_m + self._along
        there, back = np.broadcast_to(left_m, (len(right_m), len(s))), np.broadcast_to(right_m, (len(right_m), len(s)))
        outlines = self._world.road.place(np.concatenate([s, s[::-1]]), np.concatenate([there, back], axis=1))
        gravel, paved, *tracks = view.polygons(outlines, origin_v=self.first_row)
        _fill(ground, drawable([gravel]), _mixed(_ASPHALT, _GRAVEL, contrast))
        _fill(ground, drawable([paved]), _ASPHALT)
        for track in drawable(tracks):
            _fill(ground, [track], _mixed(_ASPHALT, (0, 0, 0), 0.06))
        self._paved[:] = 0
        _fill(self._paved, drawable([paved]), (255.0,))

    def _paint_markings(self, view: View) -> None:
        self._lines[:] = 0
        self._worn[:] = 0
        half = LANE_WIDTH_M / 2
        found: list[tuple[float, Stripe]] = []
        markings = self._world.markings
        for begin, end, section in markings.sections(view.s_m - 2.0, view.s_m + _MARKING_REACH_M):
            far = section.right if section.right in (Line.WORN, Line.MISSING) else Line.SOLID
            for lateral, line in ((half, section.left), (-half, section.right), (half + LANE_WIDTH_M, far)):
                found += [(lateral, stripe) for stripe in markings.stripes(line, begin, end)]
        if not found:
            return
        begin_s = np.concatenate([stripe.from_s_m for _, stripe in found])
        end_s = np.concatenate([stripe.to_s_m for _, stripe in found])
        lateral_m = np.concatenate([np.full(len(stripe.from_s_m), lateral) for lateral, stripe in found])
        opacity = np.concatenate([stripe.opacity for _, stripe in found])
        worn = np.concatenate([np.full(len(stripe.from_s_m), stripe.worn) for _, stripe in found])
        side = LINE_WIDTH_M / 2
        corners = self._world.road.place(
            np.concatenate([begin_s, end_s, end_s, begin_s]),
            np.concatenate([lateral_m + side, lateral_m + side, lateral_m - side, lateral_m - side]),
        )
        quads = corners.reshape(4, -1, 2).swapaxes(0, 1)
        polygons = view.polygons(quads, origin_v=self.first_row, scale=2)
        level = (np.round(opacity * 8) * 31.875).astype(int)
        for mask, is_worn in ((self._lines, False), (self._worn, True)):
            for value in np.unique(level[worn == is_worn]):
                chosen = np.flatnonzero((level == value) & (worn == is_worn))
                _fill(mask, drawable([polygons[i] for i in chosen]), (float(value),), smooth=False)

    def _paint_shadows(self, view: View, t_s: float) -> None:
        self._shadow[:] = 0
        world, light = self._world, self._world.light
        outlines = []
        if world.scenery.scenery.tree_shadows:
            trees = world.scenery.trees(view.s_m - 60.0, view.s_m + 140.0)
            outlines += view.polygons(
                tree_shadows(trees, light.sun_azimuth_rad, light.sun_elevation_rad), origin_v=self.first_row
            )
        for bar in world.scenery.bars(view.s_m - 10.0, view.s_m + 140.0):
            across = np.array([-14.0, 18.0, 18.0, -14.0])
            along = bar.s_m + across * bar.skew + bar.width_m * np.array([-0.5, -0.5, 0.5, 0.5])
            outlines += view.polygons(world.road.place(along, across)[None], origin_v=self.first_row)
        lead = world.lead_box(t_s)
        if lead is not None:
            reach = min(1.0 / math.tan(light.sun_elevation_rad), 6.0) * lead.height_m
            away = -reach * np.array([math.cos(light.sun_azimuth_rad), math.sin(light.sun_azimuth_rad)])
            base = lead.footprint()
            hull = cv2.convexHull(np.concatenate([base, base + away]).astype(np.float32))[:, 0].astype(np.float64)
            outlines += view.polygons(hull[None], origin_v=self.first_row)
        # One by one: filled together, overlapping outlines would cancel out (even-odd rule).
        for outline in drawable(outlines):
            _fill(self._shadow, [outline], (255.0,))
        cv2.GaussianBlur(self._shadow, (5, 3), 0, dst=self._shadow)

    def _light_up(self, ground: ByteArray, view: View) -> None:
        """Paint, grain, sun and shade, and haze, channel by channel: planes stay in the cache."""
        shape = (ground.shape[1], ground.shape[0])
        paint = cv2.resize(self._lines, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
        worn = cv2.resize(self._worn, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
        relief = np.ones(paint.shape, np.float32)
        asphalt, grass, erosion = self._grain(view)
        paved = self._paved[self._grain_row :].astype(np.float32) * np.float32(1 / 255)
        relief[self._grain_row :] += grass + (asphalt * np.float32(0.34) - grass) * paved
        worn[self._grain_row :] *= np.clip(np.float32(0.75) + erosion * np.float32(2.2), 0, 1)
        paint = np.maximum(paint, worn)
        paint *= np.float32(1 / 255)
        shade = self._shadow.astype(np.float32)
        shade *= np.float32(1 / 255)
        light = self._world.light
        planes = []
        for channel, plane in enumerate(cv2.split(ground)):
            colour = plane.astype(np.float32)
            colour += paint * (np.float32(_PAINT[channel]) - colour)
            tint = shade * np.float32(light.shade_tint[channel] - light.sun_tint[channel])
            tint += np.float32(light.sun_tint[channel])
            tint *= relief
            colour *= tint
            colour -= np.float32(light.sky_horizon[channel])
            colour *= self._haze
            colour += np.float32(light.sky_horizon[channel])
            planes.append(np.clip(colour, 0, 255).astype(np.uint8))
        cv2.merge(planes, dst=ground)

    def _grain(self, view: View) -> tuple[SingleArray, SingleArray, SingleArray]:
        """Asphalt grain, grass grain and paint erosion around 0, for the rows from `_grain_row` down."""
        c, s = math.cos(view.yaw_rad) * GROUND_PX_PER_M, math.sin(view.yaw_rad) * GROUND_PX_PER_M
        map_x = cv2.addWeighted(self._forward, c, self._left, -s, view.x_m * GROUND_PX_PER_M % GROUND_TILE)
        map_y = cv2.addWeighted(self._forward, s, self._left, c, view.y_m * GROUND_PX_PER_M % GROUND_TILE)
        tile = cv2.remap(ground_tile(), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        asphalt, grass, erosion = (
            (plane.astype(np.float32) - np.float32(128)) * self._fade for plane in cv2.split(tile)
        )
        return asphalt, grass, erosion


def _fill(
    image: ByteArray, polygons: list[NDArray[np.int32]], colour: tuple[float, ...], *, smooth: bool = True
) -> None:
    if polygons:
        cv2.fillPoly(image, polygons, colour, cv2.LINE_AA if smooth else cv2.LINE_8, SUB_PIXEL_BITS)


def _mixed(base: tuple[float, ...], other: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(b + (o - b) * share for b, o in zip(base, other, strict=True))
