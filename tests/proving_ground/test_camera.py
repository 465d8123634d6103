"""The camera agrees with pinhole geometry by hand, and polygons are cut where they pass behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from proving_ground.camera import NEAR_M, Camera, clip_near


def test_a_point_straight_ahead_at_eye_level_lies_on_the_horizon() -> None:
    camera = Camera()
    u, v = camera.to_pixels(camera.in_camera(np.array([1e7, 0.0, camera.mount_height_m])))
    assert u == pytest.approx((camera.width - 1) / 2)
    assert v == pytest.approx(camera.horizon_v, abs=1e-3)


def test_nose_down_lifts_the_horizon_above_the_middle() -> None:
    assert Camera(pitch_rad=0.1).horizon_v < Camera(pitch_rad=0.0).horizon_v == pytest.approx(179.5)


def test_left_is_left_and_far_is_up() -> None:
    camera = Camera()
    points = np.array([[10.0, 2.0, 0.0], [10.0, -2.0, 0.0], [40.0, 2.0, 0.0]])
    (left_u, near_v), (right_u, _), (far_u, far_v) = camera.to_pixels(camera.in_camera(points))
    assert left_u < far_u < camera.width / 2 < right_u
    assert far_v < near_v


def test_the_field_of_view_spans_the_picture() -> None:
    camera = Camera(pitch_rad=0.0)
    edge = np.array([camera.mount_forward_m + 10.0, 10.0 * math.tan(camera.horizontal_fov_rad / 2), 0.5])
    assert camera.to_pixels(camera.in_camera(edge))[0] == pytest.approx(-0.5)


def test_every_ground_row_lies_where_the_projection_puts_it() -> None:
    camera = Camera()
    first, forward, metres_per_px = camera.ground_rows()
    rows = np.arange(first, camera.height)
    points = np.stack([forward, np.zeros(len(rows)), np.zeros(len(rows))], axis=-1)
    seen = camera.to_pixels(camera.in_camera(points))
    assert np.abs(seen[:, 1] - rows).max() < 1e-6
    aside = points + np.array([0.0, 1.0, 0.0])
    assert seen[:, 0] - camera.to_pixels(camera.in_camera(aside))[:, 0] == pytest.approx(1 / metres_per_px)


def test_a_polygon_is_cut_at_the_near_plane_and_one_behind_vanishes() -> None:
    ahead = np.array([[-1.0, 0.0, 5.0], [1.0, 0.0, 5.0], [1.0, 0.0, -5.0], [-1.0, 0.0, -5.0]])
    behind = ahead - np.array([0.0, 0.0, 20.0])
    cut, gone = clip_near(np.stack([ahead, behind]))
    assert len(gone) == 0
    assert cut[:, 2].min() == pytest.approx(NEAR_M)
    assert sorted(cut[:, 2]) == pytest.approx([NEAR_M, NEAR_M, 5.0, 5.0])
    assert np.abs(cut[:, 0]).max() == pytest.approx(1.0)
