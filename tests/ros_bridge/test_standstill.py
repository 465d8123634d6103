"""A process that stood still: what it finds behind that is old."""

from __future__ import annotations

from ros_bridge.standstill import Standstill
from runtime.contracts.units import NS_PER_S
from tests.ros_bridge.test_source import Clock


def test_what_comes_behind_a_standstill_is_refused_until_the_buffers_are_empty() -> None:
    clock = Clock()
    standstill = Standstill(clock)
    for _ in range(20):
        clock.sleep(0.1)
        assert standstill.step() == ""
    clock.sleep(6.0)
    for _ in range(5):
        assert "the process stood still for 6.0 s" in standstill.step()
        clock.sleep(0.1)
    assert standstill.step() == ""


def test_a_second_standstill_is_told_by_itself() -> None:
    clock = Clock()
    standstill = Standstill(clock)
    clock.sleep(6.0)
    assert "6.0 s" in standstill.step()
    clock.now_ns += NS_PER_S
    assert "1.0 s" in standstill.step()
