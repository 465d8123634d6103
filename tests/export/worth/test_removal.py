"""Deletion and insertion: how many pixels, which ones, and what they are filled with."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

from export.worth.controls import CONTROLS, DRAWS, EDGES, EDGES_ON_GRID, controls, edges
from export.worth.imputers import blurred, mean_coloured
from export.worth.removal import directions, most_marked, pixel_counts, removed
from export.worth.subject import Subject
from tests.export.worth import networks


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(networks.exactly(networks.plain_network()))


def test_every_fraction_is_a_whole_number_of_pixels_and_never_none() -> None:
    assert pixel_counts(66, 200) == (264, 660, 1320, 2640)
    assert pixel_counts(4, 4) == (1, 1, 2, 3)


def test_the_most_marked_come_first_by_absolute_value() -> None:
    field = np.array([[0.1, -3.0], [2.0, 0.0]])
    assert most_marked(field, (1,)).tolist() == [1, 2, 0, 3]


def test_ties_are_broken_by_the_seed_and_not_by_where_they_lie() -> None:
    flat = np.zeros((20, 20))
    first, again, other = most_marked(flat, (1, 0)), most_marked(flat, (1, 0)), most_marked(flat, (2, 0))
    assert first.tolist() == again.tolist() != other.tolist()
    # In order of place, the first quarter would all lie in the upper quarter.
    assert 0.3 < np.mean(first[:100] // 20) / 19 < 0.7
    assert sorted(first.tolist()) == list(range(400))


def test_taking_away_what_decides_changes_the_target_by_what_it_gave(subject: Subject) -> None:
    """One yellow thing on grey: its pixels gone, the target is that of the empty ground."""
    picture = np.full((networks.HEIGHT, networks.WIDTH, 3), 110, np.uint8)
    empty = {"image": picture[np.newaxis].copy()}
    picture[8:16, 40:48] = networks.YELLOW
    inputs = {"image": picture[np.newaxis]}
    truth = np.zeros(picture.shape[:2])
    truth[8:16, 40:48] = 1.0
    found = removed(subject, [inputs], [{"truth": [truth]}], seed=1)
    given = subject.view(inputs).target - subject.view(empty).target
    assert given > 0.01
    # 64 pixels are under 2 % of 4608, so that every fraction takes them all.
    assert found.changes["truth", "deletion", "mean"][0] == pytest.approx(np.full(4, given), rel=0.02)
    assert found.changes["truth", "insertion", "mean"][0] == pytest.approx(np.zeros(4), abs=0.02 * given)


def test_several_draws_of_a_map_are_averaged(subject: Subject) -> None:
    (inputs,) = networks.frames(1).inputs
    rng = np.random.default_rng(3)
    first, second = rng.random((2, networks.HEIGHT, networks.WIDTH))
    found = removed(subject, [inputs], [{"a": [first], "b": [second], "both": [first, second]}], seed=1)
    for way in ("deletion", "insertion"):
        mean = (found.changes["a", way, "blur"] + found.changes["b", way, "blur"]) / 2
        assert found.changes["both", way, "blur"] == pytest.approx(mean)


def test_directions_are_positive_for_the_exact_map_and_turn_with_its_sign(subject: Subject) -> None:
    frames = networks.frames(4).inputs
    patch = np.ones((networks.PATCH, networks.PATCH))
    maps = [np.kron(subject.view(inputs).map, patch).astype(np.float64) for inputs in frames]
    right = directions(subject, frames, maps, seed=1)
    wrong = directions(subject, frames, [np.negative(each) for each in maps], seed=1)
    for imputer in ("blur", "mean"):
        assert (right[imputer] > 0).all()
        assert right[imputer] == pytest.approx(-wrong[imputer])


def test_the_fillings_keep_the_mean_colour_and_lose_the_shapes() -> None:
    picture = np.full((60, 200, 3), 100, np.uint8)
    picture[20:22] = 255  # a lane line
    assert mean_coloured(picture).std(axis=(0, 1)) == pytest.approx(np.zeros(3))
    assert mean_coloured(picture).mean() == pytest.approx(picture.mean(), abs=0.5)
    assert int(np.ptp(blurred(picture))) < 0.2 * int(np.ptp(picture))
    assert blurred(picture).mean() == pytest.approx(picture.mean(), abs=1.0)


def test_controls_come_fine_and_on_the_map_s_grid_and_random_ones_several_times(subject: Subject) -> None:
    pixels = subject.pixels(networks.frames(1).inputs[0])
    found = controls(pixels, subject.attribution, subject.image, (1, 0))
    assert tuple(found) == CONTROLS
    assert [len(fields) for fields in found.values()] == [1, 1, DRAWS, DRAWS]
    assert all(field.shape == pixels.shape[:2] for fields in found.values() for field in fields)
    again = controls(pixels, subject.attribution, subject.image, (1, 0))
    assert all(np.array_equal(a, b) for name in CONTROLS for a, b in zip(found[name], again[name], strict=True))
    fine, coarse = found[EDGES][0], found[EDGES_ON_GRID][0]
    assert np.abs(np.diff(coarse, axis=1)).max() < np.abs(np.diff(fine, axis=1)).max()


def test_edges_mark_where_brightness_changes_and_nothing_else(subject: Subject) -> None:
    picture = np.full((networks.HEIGHT, networks.WIDTH, 3), 60, np.uint8)
    picture[:, 50:] = 180
    found = edges(picture, subject.image)
    assert set(np.unravel_index(np.argsort(found.ravel())[-96:], found.shape)[1].tolist()) == {49, 50}
    assert found[:, :40].max() < 1e-6
