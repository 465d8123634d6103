"""Pictures agree with geometry, with the light and with themselves."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from proving_ground.camera import Camera
from proving_ground.catalogue import scenario_by_name
from proving_ground.lead import LeadScript, SpeedPoint
from proving_ground.light import dusk, low_sun, noon
from proving_ground.markings import LANE_WIDTH_M, Line, MarkingSection
from proving_ground.road import RoadElement, RoadShape
from proving_ground.scenario import Scenario
from proving_ground.scenery import Scenery
from proving_ground.simulation import Simulation
from proving_ground.view import View

BARE = Scenery(trees_per_km=0.0, tree_shadows=False, bars_per_km=0.0)
SOLID = (MarkingSection(-math.inf, Line.SOLID, Line.SOLID),)
PLAIN = Scenario("plain", 0, markings=SOLID, scenery=BARE, light=noon())

_HASH = """
import sys, hashlib, cv2
cv2.setNumThreads(int(sys.argv[1]))
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation
digest = hashlib.sha256()
for name in ("lane", "worn-into-sun", "stopped-lead"):
    simulation = Simulation(scenario_by_name(name, 5))
    for frame in range(60):
        if frame % 20 == 0:
            digest.update(simulation.observe().picture)
        simulation.step(simulation.expert_control())
print(digest.hexdigest())
"""


def _curve(curvature_per_m: float) -> Scenario:
    opening = (RoadElement(20.0, 0.0), RoadElement(20.0, curvature_per_m), RoadElement(90.0, curvature_per_m))
    return replace(PLAIN, road=RoadShape(opening=opening), start_s_m=15.0)


def _right_line_column(scenario: Scenario, distance_m: float) -> int:
    """The last column with paint on the picture row that sees the ground at `distance_m` from the rear axle."""
    picture = Simulation(scenario).observe().picture
    first, forward, _ = scenario.camera.ground_rows()
    row = first + int(np.argmin(np.abs(forward - distance_m)))
    return int(np.flatnonzero(picture[row].min(axis=1) > 165).max())


def test_a_road_that_curves_left_bends_left_on_the_picture() -> None:
    left, straight, right = (_right_line_column(_curve(curvature), 30.0) for curvature in (1 / 90, 0.0, -1 / 90))
    assert left < straight - 15
    assert right > straight + 15


def test_a_car_left_of_the_centre_sees_its_lines_further_right() -> None:
    start = _curve(0.0)
    assert _right_line_column(replace(start, start_lateral_offset_m=0.5), 12.0) > _right_line_column(start, 12.0) + 15


def test_a_car_that_heads_left_sees_its_lines_further_right() -> None:
    start = _curve(0.0)
    assert _right_line_column(replace(start, start_heading_error_rad=0.06), 12.0) > _right_line_column(start, 12.0) + 15


@pytest.mark.parametrize("curvature", [0.0, 1 / 100, -1 / 100])
@pytest.mark.parametrize("ahead", [6.0, 12.0, 25.0])
@pytest.mark.parametrize("side", [0.5, -0.5])
def test_paint_lies_where_the_projection_puts_the_lane_line(curvature: float, ahead: float, side: float) -> None:
    simulation = Simulation(replace(_curve(curvature), start_lateral_offset_m=0.3, start_heading_error_rad=-0.04))
    car, camera = simulation.car, simulation.scenario.camera
    line = simulation.world.road.place(np.array([15.0 + ahead]), np.array([side * LANE_WIDTH_M]))
    view = View(camera, car.x_m, car.y_m, car.yaw_rad, 15.0)
    u, v = np.round(camera.to_pixels(view.to_camera(line))[0]).astype(int)
    if not 4 <= u < camera.width - 4:
        pytest.skip("this place of the line is outside the picture")
    picture = simulation.observe().picture.astype(int)
    paint = picture[v, u].mean()
    # A tenth of a lane further in there is asphalt.
    inside = simulation.world.road.place(np.array([15.0 + ahead]), np.array([side * LANE_WIDTH_M * 0.8]))
    asphalt_u, asphalt_v = np.round(camera.to_pixels(view.to_camera(inside))[0]).astype(int)
    assert paint > picture[asphalt_v, asphalt_u].mean() + 45


@pytest.mark.parametrize("size", [(640, 360), (200, 66), (1280, 720), (97, 61), (64, 36)])
def test_any_picture_size_is_rendered(size: tuple[int, int]) -> None:
    simulation = Simulation(replace(scenario_by_name("lane", 3), camera=Camera(width=size[0], height=size[1])))
    picture = simulation.observe().picture
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.std() > 10


@pytest.mark.parametrize("pitch_deg", [-40.0, 40.0, 88.0])
def test_a_camera_that_sees_only_sky_or_only_ground_is_no_error(pitch_deg: float) -> None:
    camera = Camera(pitch_rad=math.radians(pitch_deg))
    assert Simulation(replace(scenario_by_name("lane", 3), camera=camera)).observe().picture.shape == (360, 640, 3)


@pytest.mark.parametrize("heading_error", [-3.0, -1.2, 0.7, 1.6, 3.1])
def test_a_car_across_the_road_or_far_beside_it_still_gets_a_picture(heading_error: float) -> None:
    for offset in (-40.0, 0.0, 25.0):
        start = replace(scenario_by_name("stopped-lead", 2), start_heading_error_rad=heading_error)
        picture = Simulation(replace(start, start_lateral_offset_m=offset)).observe().picture
        assert picture.std() > 5


def test_each_light_leaves_its_mark() -> None:
    bright, dark, glaring = (
        Simulation(replace(PLAIN, light=light)).observe().picture.astype(float)
        for light in (noon(), dusk(), low_sun(0.0, glare=0.8))
    )
    assert dark.mean() < 0.6 * bright.mean()
    assert (glaring.min(axis=2) > 250).mean() > 0.01 > (bright.min(axis=2) > 250).mean()
    lines = [picture[250:].max() - np.median(picture[250:]) for picture in (bright, dark)]
    assert lines[0] > lines[1]


def test_the_sun_stands_where_its_azimuth_says() -> None:
    for azimuth in (0.3, -0.3):
        picture = Simulation(replace(PLAIN, light=low_sun(azimuth, glare=0.8))).observe().picture
        column = np.argwhere(picture[:130].min(axis=2) > 250)[:, 1].mean()
        assert (column < 320) == (azimuth > 0)


def _shaded(scenery: Scenery) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where this scenery's shadows darken the ground, against the same scenery without any."""
    light = low_sun(-1.4, glare=0.0, elevation_rad=0.35)
    dark, bright = (
        Simulation(replace(PLAIN, light=light, scenery=shown, seed=9)).observe().picture.astype(int)
        for shown in (scenery, replace(scenery, tree_shadows=False, bars_per_km=0.0))
    )
    return np.asarray((dark - bright).mean(axis=2) < -8)


def test_trees_and_bars_darken_the_road_and_where_shadows_overlap_it_stays_dark() -> None:
    trees = _shaded(Scenery(trees_per_km=500.0, tree_shadows=True, bars_per_km=0.0))
    bars = _shaded(Scenery(trees_per_km=500.0, tree_shadows=False, bars_per_km=20.0))
    both = _shaded(Scenery(trees_per_km=500.0, tree_shadows=True, bars_per_km=20.0))
    assert trees.mean() > 0.05
    assert bars.mean() > 0.005
    assert (trees & bars).mean() > 0.03
    assert (both & (trees | bars)).sum() > 0.99 * (trees | bars).sum()


def test_the_lead_is_drawn_where_it_stands() -> None:
    dark, bright = (
        Simulation(replace(PLAIN, lead=LeadScript(12.0, (SpeedPoint(0.0, 13.0),), paint_bgr=paint))).observe().picture
        for paint in ((20, 20, 20), (180, 180, 180))
    )
    # The rear axle is at 0, the lead's bumper at 3.6 m + 12 m; it is 1.82 m wide and stands on the lane's centre.
    painted = np.argwhere(np.abs(bright.astype(int) - dark.astype(int)).sum(axis=2) > 60)
    camera = PLAIN.camera
    body = np.array([[15.6, 0.91, 0.25], [15.6, -0.91, 0.25]])
    (left, bottom), (right, _) = camera.to_pixels(camera.in_camera(body))
    assert painted[:, 0].max() == pytest.approx(bottom, abs=2)
    assert painted[:, 1].min() == pytest.approx(left, abs=2)
    assert painted[:, 1].max() == pytest.approx(right, abs=2)


def test_a_lead_that_stands_shows_its_brake_lights() -> None:
    red = {}
    for speed in (13.0, 0.0):
        lead = LeadScript(12.0, (SpeedPoint(0.0, speed),), paint_bgr=(150, 150, 150))
        picture = Simulation(replace(PLAIN, lead=lead)).observe().picture.astype(int)
        red[speed] = int(((picture[..., 2] > 235) & (picture[..., 2] - picture[..., 1] > 60)).sum())
    assert red[13.0] == 0
    assert red[0.0] > 50


def test_the_same_pose_and_time_give_the_same_bits_and_another_time_other_noise() -> None:
    simulation = Simulation(scenario_by_name("lane", 8))
    first = simulation.picture_at(simulation.car)
    simulation.picture_at(simulation.car_at(45.0, 0.5, 0.1))
    assert np.array_equal(first, simulation.picture_at(simulation.car))
    still = simulation.car
    simulation.sequence += 1
    assert not np.array_equal(first, simulation.picture_at(still))


def test_a_picture_that_was_handed_over_is_not_written_to_again() -> None:
    simulation = Simulation(scenario_by_name("lane", 8))
    kept = simulation.observe().picture
    before = hashlib.sha256(kept.tobytes()).hexdigest()
    simulation.step(simulation.expert_control())
    simulation.observe()
    assert hashlib.sha256(kept.tobytes()).hexdigest() == before


def test_two_processes_with_different_thread_counts_render_the_same_bits() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _HASH, threads], check=True, capture_output=True, text=True, timeout=120
        ).stdout.strip()
        for threads in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop()) == 64
