"""Training, the whole way through at a thousandth of its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")

from export.policies.catalogue import REFERENCES, Plan  # noqa: E402
from export.policy import OnnxPolicy  # noqa: E402
from export.train import Workshop, learn  # noqa: E402
from proving_ground.catalogue import scenario_by_name  # noqa: E402
from proving_ground.simulation import Simulation  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plan_scatters_drives_and_learns_and_says_so(tmp_path: Path) -> None:
    name = "concepts"  # the one that learns most: concepts, obscured roads, and what is left out of focus
    said: list[str] = []
    plan = Plan(
        roads=1,
        obscured_roads=1,
        rounds=1,
        drives_per_round=1,
        first_epochs=1.0,
        round_epochs=1.0,
        last_epochs=1.0,
        held_out_roads=1,
    )
    policy = learn(REFERENCES[name], plan, Workshop(tmp_path, 1, said.append))
    assert [line.split(":")[0].split()[0] for line in said] == ["80", "first", "round", "last"]
    first = torch.load(tmp_path / name / "first.pt")
    assert any(not torch.equal(first[name], value) for name, value in policy.state_dict().items())
    # The model that drove the round is one that the vehicle would accept.
    driver = OnnxPolicy(tmp_path / name / "round-1.onnx")
    picture = Simulation(scenario_by_name("lane", 1)).observe().picture
    assert abs(driver.control(picture, 10.0).steering_angle_rad) < 10.0
