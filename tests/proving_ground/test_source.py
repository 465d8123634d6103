"""Lockstep repeats itself bit for bit, real time declares what it missed, and commands alone move the car."""

from __future__ import annotations

import hashlib
from importlib.metadata import entry_points

import pytest

from proving_ground.simulation import Observation, Simulation
from proving_ground.source import ProvingGroundSource, open_source
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, Pacing, SourceRequest
from runtime.contracts.vehicle import Command, Control

SMALL = "proving-ground://lane?seed=3&duration_s=1&width=160&height=90"


class HeldClock:
    """A host clock that only moves when told; its `sleep` is the way time passes."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def _open(uri: str = SMALL, pacing: Pacing = "lockstep", clock: HeldClock | None = None) -> ProvingGroundSource:
    held = clock or HeldClock()
    return ProvingGroundSource(SourceRequest(uri, ("front",), pacing), held, held.sleep)


def _drive(source: ProvingGroundSource, steering_rad: float) -> tuple[str, list[Capture]]:
    digest, captures = hashlib.sha256(), []
    while (capture := source.read()) is not None:
        assert isinstance(capture, Capture)
        captures.append(capture)
        digest.update(capture.pictures["front"].tobytes())
        at = capture.t_source_ns
        source.vehicle.apply(Command(f"d/{capture.sequence}", at, Control(steering_rad, 0.5)))
    return digest.hexdigest(), captures


def test_the_entry_point_opens_it() -> None:
    (entry,) = entry_points(group="sightline.sources", name="proving-ground")
    source = entry.load()(SourceRequest(SMALL, ("front",), "lockstep"))
    assert isinstance(source.read(), Capture)
    source.close()


def test_lockstep_repeats_itself_bit_for_bit_and_depends_on_the_commands() -> None:
    first, captures = _drive(_open(), 0.01)
    assert len(captures) == 20 == _open().expected_captures
    assert _drive(_open(), 0.01)[0] == first
    assert _drive(_open(), -0.01)[0] != first


def test_sequences_and_times_are_consecutive_and_truth_travels_with_the_frame() -> None:
    _, captures = _drive(_open(), 0.0)
    assert [capture.sequence for capture in captures] == list(range(20))
    assert [capture.t_source_ns for capture in captures] == [i * 50_000_000 for i in range(20)]
    for capture in captures:
        assert capture.truth is not None
        assert (capture.truth.sequence, capture.truth.t_source_ns) == (capture.sequence, capture.t_source_ns)


def test_only_commands_move_the_wheels_and_the_state_tells_it() -> None:
    source = _open()
    source.read()
    before = source.vehicle.state(0)
    assert before.steering_angle_rad is not None
    assert before.steering_angle_rad.value == 0.0
    source.vehicle.apply(Command("d/0", 0, Control(0.05, 1.0)))
    source.read()
    after = source.vehicle.state(50_000_000)
    assert after.steering_angle_rad is not None
    assert after.yaw_rate_radps is not None
    assert after.speed_mps is not None
    assert before.speed_mps is not None
    assert 0.0 < after.steering_angle_rad.value < 0.05
    assert after.yaw_rate_radps.value > 0.0
    assert after.speed_mps.value > before.speed_mps.value
    assert after.t_source_ns == after.speed_mps.t_source_ns == 50_000_000
    assert source.vehicle.obeys


def test_the_last_command_is_held_until_the_next() -> None:
    once, always = _open(), _open()
    for frame in range(5):
        once.read()
        always.read()
        if frame == 0:
            once.vehicle.apply(Command("d/0", 0, Control(0.03, 0.0)))
        always.vehicle.apply(Command(f"d/{frame}", 0, Control(0.03, 0.0)))
    assert once.vehicle.state(0) == always.vehicle.state(0)


def test_a_collision_is_sensed_and_stays_sensed() -> None:
    source = _open("proving-ground://stopped-lead?seed=1&width=64&height=36")
    sensed = []
    while (capture := source.read()) is not None:
        assert isinstance(capture, Capture)
        collision = source.vehicle.state(capture.t_source_ns).collision
        assert collision is not None
        sensed.append(collision.value)
        truth = capture.truth
        assert truth is not None
        steering = 2.7 * truth.curvature_per_m - 0.05 * truth.lateral_offset_m - 0.5 * truth.heading_error_rad
        source.vehicle.apply(Command("d/0", capture.t_source_ns, Control(steering, 0.0)))
    assert sensed[-1]
    assert sensed == sorted(sensed)


def test_real_time_waits_for_the_frame_that_is_not_due_yet() -> None:
    clock = HeldClock()
    source = _open(pacing="real-time", clock=clock)
    for frame in range(5):
        assert isinstance(source.read(), Capture)
        assert clock.now_ns == 5_000_000_000 + frame * 50_000_000


def test_real_time_declares_the_frames_that_nobody_came_for() -> None:
    clock = HeldClock()
    source = _open(pacing="real-time", clock=clock)
    assert isinstance(source.read(), Capture)
    clock.sleep(0.230)
    answers = [source.read() for _ in range(5)]
    kinds = [type(answer) for answer in answers]
    assert kinds == [Missing, Missing, Missing, Capture, Capture]
    assert [answer.sequence for answer in answers if answer is not None] == [1, 2, 3, 4, 5]
    assert isinstance(answers[0], Missing)
    assert "180 ms" in answers[0].reasons["front"]
    assert clock.now_ns == 5_000_000_000 + 250_000_000


def test_a_first_picture_that_takes_long_makes_no_later_frame_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HeldClock()
    source = _open(pacing="real-time", clock=clock)
    observe = Simulation.observe

    def slowly(simulation: Simulation) -> Observation:
        if simulation.sequence == 0:
            clock.sleep(0.6)
        return observe(simulation)

    monkeypatch.setattr(Simulation, "observe", slowly)
    assert all(isinstance(source.read(), Capture) for _ in range(4))


def test_in_real_time_the_car_takes_a_command_that_comes_before_the_next_frame_is_due() -> None:
    clock = HeldClock()
    request = SourceRequest(SMALL, ("front",), "real-time")

    def decide_meanwhile(seconds: float) -> None:
        clock.sleep(seconds)
        source.vehicle.apply(Command("d/0", 0, Control(0.3, 0.0)))

    source = ProvingGroundSource(request, clock, decide_meanwhile)
    source.read()
    source.read()
    steered = source.vehicle.state(0).steering_angle_rad
    assert steered is not None
    assert steered.value > 0.01


@pytest.mark.parametrize("cameras", [(), ("front", "rear")])
def test_more_or_fewer_than_one_camera_are_refused(cameras: tuple[str, ...]) -> None:
    with pytest.raises(SourceError, match="one camera"):
        open_source(SourceRequest(SMALL, cameras, "lockstep"))


def test_reading_after_closing_is_refused() -> None:
    source = _open()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="closed"):
        source.read()
