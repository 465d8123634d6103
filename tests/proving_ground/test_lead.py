"""The lead's place is the integral of its speeds, and its brake lights tell the truth."""

from __future__ import annotations

import numpy as np
import pytest

from proving_ground.lead import LeadScript, SpeedPoint, lead_at

SCRIPT = LeadScript(
    20.0,
    (SpeedPoint(0.0, 10.0), SpeedPoint(4.0, 10.0), SpeedPoint(6.0, 0.0), SpeedPoint(9.0, 0.0), SpeedPoint(11.0, 8.0)),
)


def test_the_way_travelled_is_the_integral_of_speed() -> None:
    times = np.arange(0.0, 15.0, 0.001)
    speeds = np.array([lead_at(SCRIPT, t).speed_mps for t in times])
    ways = np.array([lead_at(SCRIPT, t).travelled_m for t in times])
    integral = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * 0.001)])
    assert np.abs(ways - integral).max() < 1e-6
    assert lead_at(SCRIPT, 6.0).travelled_m == pytest.approx(50.0)


def test_brake_lights_are_lit_while_it_brakes_and_while_it_stands() -> None:
    assert not lead_at(SCRIPT, 2.0).brake_lights
    assert lead_at(SCRIPT, 5.0).brake_lights
    assert lead_at(SCRIPT, 8.0).brake_lights
    assert not lead_at(SCRIPT, 10.0).brake_lights


def test_the_first_speed_holds_before_its_time_and_the_last_after_it() -> None:
    late_start = LeadScript(5.0, (SpeedPoint(2.0, 3.0), SpeedPoint(3.0, 5.0)))
    assert lead_at(late_start, 1.0).travelled_m == pytest.approx(3.0)
    assert lead_at(late_start, 4.0).travelled_m == pytest.approx(6.0 + 4.0 + 5.0)
