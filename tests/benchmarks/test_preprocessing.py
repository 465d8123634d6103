"""What the policies decide hardly depends on who made their input: OpenCV, or the graph that a GPU would run."""

from __future__ import annotations

import pytest

from benchmarks.preprocessing import POLICIES, distance, sources


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["highway.mp4", "udacity_sim", "lane"])
def test_a_policy_steers_to_a_milliradian_as_on_opencvs_pixels(policy: str, name: str) -> None:
    found = sources()
    if name not in found:
        pytest.skip(f"the real frames of {name} are not here")
    apart = distance(policy, name, found[name], frames=20)
    assert apart.frames == 20
    assert apart.largest_grey_levels <= 1
    assert apart.moved_share < 0.001
    assert apart.largest_steering_mrad < 1.0
    assert apart.largest_acceleration_mmps2 < 50.0
