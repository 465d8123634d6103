"""The vehicle port on ROS: what it tells, what it commands, and what it never commands."""

from __future__ import annotations

import math

import pytest

from ros_bridge.messages import (
    AckermannDrive,
    AckermannDriveStamped,
    Header,
    Message,
    Odometry,
    PoseWithCovariance,
    String,
    Twist,
    TwistStamped,
    TwistWithCovariance,
    Vector3,
    time_of,
)
from ros_bridge.states import NewestState, state_of
from ros_bridge.vehicle import RosVehicle, command_message
from runtime.contracts.errors import DriveOverError, SourceError
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, Control, Reading, VehicleState
from tests.ros_bridge.test_source import Clock

MOVING = Twist(Vector3(4.0, 0.5), Vector3(z=0.25))


class Topic:
    """A publication that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def listeners(self) -> int:
        return 1

    def publish(self, message: Message) -> None:
        self.sent.append(message)


def command(acceleration_mps2: float = 0.0, steering_angle_rad: float = 0.1, t_ns: int = NS_PER_S) -> Command:
    return Command("drive/0", t_ns, Control(steering_angle_rad, acceleration_mps2))


def at_speed(speed_mps: float, t_ns: int = NS_PER_S) -> VehicleState:
    return VehicleState(t_ns, speed_mps=Reading(speed_mps, t_ns))


@pytest.mark.parametrize(
    "message",
    [
        Odometry(Header(), "base_link", PoseWithCovariance(), TwistWithCovariance(MOVING)),
        TwistStamped(Header(), MOVING),
    ],
)
def test_speed_is_along_x_and_yaw_rate_about_z_positive_left(message: Message) -> None:
    state = state_of(message, 7)
    assert state.speed_mps == Reading(4.0, 7)
    assert state.yaw_rate_radps == Reading(0.25, 7)
    assert state.steering_angle_rad is None


def test_an_ackermann_message_tells_speed_and_steering_and_not_the_accelerations_sign() -> None:
    state = state_of(AckermannDriveStamped(Header(), AckermannDrive(0.2, 0.0, 3.0, 1.0)), 7)
    assert state.steering_angle_rad == Reading(0.2, 7)
    assert state.speed_mps == Reading(3.0, 7)
    assert state.acceleration_mps2 is None


def test_a_message_of_another_kind_tells_nothing() -> None:
    with pytest.raises(SourceError, match="tells nothing of a vehicle"):
        state_of(String(""), 0)


def test_each_reading_is_the_newest_whichever_topic_told_it_last() -> None:
    newest = NewestState()
    newest.take(VehicleState(10, speed_mps=Reading(1.0, 10), yaw_rate_radps=Reading(0.1, 10)))
    newest.take(VehicleState(20, steering_angle_rad=Reading(0.3, 20)))
    newest.take(VehicleState(5, speed_mps=Reading(9.0, 5)))  # late
    state = newest.now()
    assert state.t_source_ns == 20
    assert (state.speed_mps, state.steering_angle_rad) == (Reading(1.0, 10), Reading(0.3, 20))
    assert newest.refused == 1


@pytest.mark.parametrize(
    ("acceleration", "speed", "magnitude"), [(2.0, 12.0, 2.0), (-3.0, 7.0, 3.0), (0.0, 10.0, 0.0), (-30.0, 0.0, 30.0)]
)
def test_an_acceleration_becomes_the_speed_that_it_leads_to_and_its_magnitude(
    acceleration: float, speed: float, magnitude: float
) -> None:
    message = command_message(command(acceleration), at_speed(10.0), "base_link", 1.0)
    assert message.header == Header(time_of(NS_PER_S), "base_link")
    assert (message.drive.speed, message.drive.acceleration) == (speed, magnitude)
    assert message.drive.steering_angle == 0.1


def test_a_speed_from_far_ahead_is_none_and_holds_up_nothing_that_comes() -> None:
    states, topic = NewestState(), Topic()
    vehicle = RosVehicle(states, topic, Clock(), frame_id="base_link", speed_horizon_s=1.0)
    states.take(at_speed(10.0, 3600 * NS_PER_S))
    with pytest.raises(SourceError, match=r"speed is 3\.6e\+03 s newer than the picture"):
        vehicle.state(NS_PER_S)
    states.take(at_speed(2.0, NS_PER_S))
    assert vehicle.state(NS_PER_S) == at_speed(2.0, NS_PER_S)
    assert states.refused == 0


def test_a_clock_that_is_set_back_holds_up_nothing_and_what_is_late_by_less_is_counted() -> None:
    states = NewestState()
    for t_ns in (10 * NS_PER_S, 9 * NS_PER_S + 1, 9 * NS_PER_S, 9 * NS_PER_S + 1):
        states.take(at_speed(t_ns / NS_PER_S, t_ns))
    assert states.now() == at_speed(9.000000001, 9 * NS_PER_S + 1)
    assert (states.refused, states.refusal.partition(":")[0]) == (1, "its time goes back by less than a second")


def test_in_shadow_mode_nothing_is_commanded() -> None:
    states = NewestState()
    states.take(at_speed(10.0))
    vehicle = RosVehicle(states, None, Clock(), frame_id="base_link", speed_horizon_s=1.0)
    assert not vehicle.obeys
    with pytest.raises(SourceError, match="shadow mode"):
        vehicle.apply(command())


@pytest.mark.parametrize(
    ("speed", "why"),
    [
        (None, "no topic has told the vehicle's speed yet"),
        ((math.nan, NS_PER_S), "speed is told as nan"),
        ((10.0, NS_PER_S * 2 // 5), r"speed is 0\.6 s older than the picture, and beyond 0\.5 s"),
    ],
)
def test_without_a_fresh_finite_speed_nothing_is_decided_and_nothing_commanded(
    speed: tuple[float, int] | None, why: str
) -> None:
    states, topic = NewestState(), Topic()
    if speed is not None:
        states.take(at_speed(*speed))
    vehicle = RosVehicle(states, topic, Clock(), frame_id="base_link", speed_horizon_s=1.0)
    with pytest.raises(SourceError, match=why):
        vehicle.state(NS_PER_S)
    with pytest.raises(SourceError, match="speed"):
        vehicle.apply(command())
    assert (topic.sent, vehicle.sent) == ([], 0)
    states.take(at_speed(10.0, NS_PER_S * 3 // 2))
    vehicle.state(2 * NS_PER_S)
    vehicle.apply(command(t_ns=2 * NS_PER_S))
    assert (len(topic.sent), vehicle.sent) == (1, 1)


def test_what_is_sent_follows_from_the_speed_that_the_record_holds_whatever_has_come_meanwhile() -> None:
    states, topic = NewestState(), Topic()
    states.take(at_speed(10.0))
    vehicle = RosVehicle(states, topic, Clock(), frame_id="base_link", speed_horizon_s=1.0)
    sampled = vehicle.state(NS_PER_S).speed_mps
    assert sampled is not None
    states.take(at_speed(math.nan, NS_PER_S + 1))
    vehicle.apply(command(2.0))
    [message] = topic.sent
    assert isinstance(message, AckermannDriveStamped)
    assert message.drive.speed == sampled.value + 2.0


def test_the_last_command_of_all_is_to_stand_now_where_that_was_asked_for() -> None:
    states, topic, clock = NewestState(), Topic(), Clock()
    states.take(at_speed(10.0))
    vehicle = RosVehicle(states, topic, clock, frame_id="base_link", speed_horizon_s=1.0, stop_mps2=3.0)
    vehicle.state(NS_PER_S)
    vehicle.apply(command(steering_angle_rad=0.25))
    clock.sleep(10.0)  # a silent camera's
    assert [vehicle.stop(), vehicle.stop()] == [True, False]
    with pytest.raises(DriveOverError, match="the drive was over"):
        vehicle.apply(command())
    commanded, last = topic.sent
    assert last == AckermannDriveStamped(
        Header(time_of(11 * NS_PER_S), "base_link"), AckermannDrive(steering_angle=0.25, speed=0.0, acceleration=3.0)
    )
    assert commanded != last


@pytest.mark.parametrize(("stop_mps2", "commanded"), [(None, True), (3.0, False)])
def test_nobody_is_stopped_who_was_not_commanded_or_where_nobody_asked_for_it(
    stop_mps2: float | None, commanded: bool
) -> None:
    states, topic = NewestState(), Topic()
    states.take(at_speed(10.0))
    vehicle = RosVehicle(states, topic, Clock(), frame_id="base_link", speed_horizon_s=1.0, stop_mps2=stop_mps2)
    if commanded:
        vehicle.state(NS_PER_S)
        vehicle.apply(command())
    assert not vehicle.stop()
    assert len(topic.sent) == commanded


def test_a_shadow_drive_keeps_a_stale_speed_with_its_age() -> None:
    states = NewestState()
    states.take(at_speed(5.0, 0))
    vehicle = RosVehicle(states, None, Clock(), frame_id="base_link", speed_horizon_s=1.0)
    assert vehicle.state(NS_PER_S).speed_mps == Reading(5.0, 0)
