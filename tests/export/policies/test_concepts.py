"""The concept bottleneck: numbers that are sums over places, and a command that follows from them alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")

from torch import Tensor  # noqa: E402

from export.concept_labels import CONCEPTS, FAR_GAP_M, FREE_SPEED_MPS  # noqa: E402
from export.losses import Labels  # noqa: E402
from export.policies.concepts import COLUMNS, ROWS, Concepts, acceleration_of, steering_gains  # noqa: E402
from proving_ground.car import CarModel, CarState  # noqa: E402
from proving_ground.catalogue import scenario_by_name  # noqa: E402
from proving_ground.expert import Expert  # noqa: E402
from proving_ground.world import World  # noqa: E402

OPEN_ROAD = {"curve_speed_mps": FREE_SPEED_MPS, "gap_m": FAR_GAP_M, "visibility_ratio": 1.0}


def _concepts(**given: float) -> Tensor:
    """The sixth is the closing speed, which stands where a label has the lead's own."""
    told = dict.fromkeys(CONCEPTS, 0.0) | OPEN_ROAD | given
    return Tensor([[told[name] for name in CONCEPTS]])


def _steering(concepts: Tensor, speed_mps: Tensor) -> Tensor:
    found: Tensor = (steering_gains(speed_mps) * concepts[:, :3]).sum(dim=1, keepdim=True)
    return found


def _speed(mps: float) -> Tensor:
    return Tensor([[mps]])


@pytest.fixture(scope="module")
def policy() -> Concepts:
    torch.manual_seed(3)
    policy = Concepts()
    with torch.no_grad():
        policy.bias.normal_(0.0, 0.3)
    return policy.eval()


def _pictures(count: int) -> Tensor:
    pixels = np.random.default_rng(1).integers(0, 256, (count, 66, 200, 3), dtype=np.uint8)
    found: Tensor = torch.from_numpy(pixels)
    return found


def test_every_concept_is_the_sum_of_its_map_and_a_constant_that_only_the_closing_speeds_depends_on_the_speed(
    policy: Concepts,
) -> None:
    with torch.no_grad():
        rests = []
        for speed in (3.0, 11.0):
            _, _, concepts, maps = policy(_pictures(4), torch.full((4, 1), speed))
            assert maps.shape == (4, len(CONCEPTS), ROWS, COLUMNS)
            rest = concepts - maps.sum(dim=(2, 3))
            torch.testing.assert_close(rest, rest[:1].expand_as(rest), rtol=1e-4, atol=1e-4)
            rests.append(rest[0])
    change = (rests[1] - rests[0]).numpy()
    np.testing.assert_allclose(change, [0.0, 0.0, 0.0, 0.0, 0.0, 8.0, 0.0], atol=1e-4)


def test_the_command_follows_from_the_concepts_and_the_speed_alone(policy: Concepts) -> None:
    speed = torch.tensor([[4.0], [13.0]])
    with torch.no_grad():
        steering, acceleration, concepts, _ = policy(_pictures(2), speed)
        torch.testing.assert_close(steering, _steering(concepts, speed))
        torch.testing.assert_close(acceleration, acceleration_of(concepts, speed))


@pytest.mark.parametrize(("offset_m", "askew_rad", "s_m", "speed_mps"), [
    (0.0, 0.0, 100.0, 15.0), (0.8, 0.0, 200.0, 12.0), (-0.5, 0.06, 300.0, 8.0), (0.3, -0.04, 40.0, 3.0),
])  # fmt: skip
def test_the_law_steers_as_the_expert_does_whose_wheels_follow_the_road(
    offset_m: float, askew_rad: float, s_m: float, speed_mps: float
) -> None:
    world, model = World(scenario_by_name("lane", seed=5)), CarModel()
    x, y, heading = world.road.pose_at(s_m, offset_m)
    curvature = world.road.curvature_at(s_m)
    car = CarState(x, y, heading + askew_rad, speed_mps, math.atan(model.wheelbase_m * curvature))
    pose = world.road.project(x, y, car.yaw_rad, s_m)
    told = _concepts(
        lateral_offset_m=offset_m,
        heading_error_rad=askew_rad,
        curvature_per_m=world.road.curvature_at(s_m + speed_mps * model.steering_lag_s),
    )
    expected = Expert().control(world, car, pose, 0.0).steering_angle_rad
    assert _steering(told, _speed(speed_mps)).item() == pytest.approx(expected, rel=0.01, abs=5e-4)


def test_a_standing_lead_is_stopped_for_and_a_distant_one_is_not() -> None:
    speed = 12.0
    free = acceleration_of(_concepts(lead_speed_mps=speed - FREE_SPEED_MPS), _speed(speed)).item()
    near = acceleration_of(_concepts(gap_m=45.0, lead_speed_mps=speed), _speed(speed)).item()
    close = acceleration_of(_concepts(gap_m=30.0, lead_speed_mps=speed), _speed(speed)).item()
    standing = acceleration_of(_concepts(gap_m=4.0, lead_speed_mps=0.0), _speed(0.0)).item()
    assert free > 0.5
    assert close < near < -1.0
    assert close >= -8.0
    assert standing < -0.5


def test_curves_and_bad_sight_take_speed() -> None:
    def wanted(**given: float) -> float:
        return acceleration_of(_concepts(lead_speed_mps=-5.0, **given), _speed(10.0)).item()

    assert wanted(curve_speed_mps=8.0) < 0 < wanted()
    assert wanted(visibility_ratio=0.1) < 0
    assert wanted(visibility_ratio=0.3) == wanted()


def test_frames_whose_lines_nobody_sees_teach_the_visibility_alone(policy: Concepts) -> None:
    def gradient(visibility: float) -> Tensor:
        policy.zero_grad()
        concepts = torch.tensor([[1.0, 0.1, 0.01, 9.0, 20.0, 3.0, visibility]])
        labels = Labels(torch.tensor([0.2]), torch.tensor([-2.0]), concepts)
        policy.loss(_pictures(1), _speed(10.0), labels).backward()  # type: ignore[no-untyped-call]
        assert policy.bias.grad is not None
        return policy.bias.grad.clone()

    torch.testing.assert_close(gradient(0.05)[:6], torch.zeros(6))
    assert (gradient(0.9).abs() > 0).all()


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_picture_of_one_colour_says_nothing_in_any_place(policy: Concepts, level: int) -> None:
    with torch.no_grad():
        _, _, _, maps = policy(torch.full((1, 66, 200, 3), level, dtype=torch.uint8), _speed(10.0))
        _, _, _, other = policy(_pictures(1), _speed(10.0))
    assert maps.abs().max() < 1e-4 * other.abs().max()


def test_a_place_tells_of_nothing_but_its_own_25_pixels() -> None:
    torch.manual_seed(4)
    policy = Concepts().eval()  # a context that was not trained weighs everything alike
    row, column, other = 4, 12, 40
    pictures = _pictures(1).repeat(2, 1, 1, 1)
    centre_y, centre_x = 2 + 8 * row, 2 + 8 * column
    inside = torch.zeros(66, 200, dtype=torch.bool)
    inside[centre_y - 12 : centre_y + 13, centre_x - 12 : centre_x + 13] = True
    pictures[1][~inside] = other
    with torch.no_grad():
        _, _, _, maps = policy(pictures, torch.full((2, 1), 10.0))
    torch.testing.assert_close(maps[0, :, row, column], maps[1, :, row, column], rtol=1e-4, atol=1e-6)
    assert (maps[0] - maps[1]).abs().max() > 10 * (maps[0, :, row, column] - maps[1, :, row, column]).abs().max()
