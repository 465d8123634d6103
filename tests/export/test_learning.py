"""Fitting: it learns, and it learns the same thing twice."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")

from export.concept_labels import CONCEPTS  # noqa: E402
from export.learning import Course, errors, fit  # noqa: E402
from export.policies.pilotnet import PilotNet  # noqa: E402
from export.samples import Samples  # noqa: E402


def _stripes(count: int) -> Samples:
    """A bright stripe whose place is the steering: what a lane line is to the network, without a renderer."""
    rng = np.random.default_rng(2)
    images = rng.integers(60, 90, (count, 66, 200, 3), dtype=np.uint8)
    where = rng.integers(20, 180, count)
    for image, column in zip(images, where, strict=True):
        image[:, column - 6 : column + 6] = 230
    steering = ((100 - where) / 800).astype(np.float32)
    unknown = np.full((count, len(CONCEPTS)), np.nan, np.float32)
    return Samples(images, np.full(count, 10.0, np.float32), steering, np.full(count, 0.5, np.float32), unknown)


def _fitted(samples: Samples) -> PilotNet:
    torch.manual_seed(1)
    policy = PilotNet()
    fit(policy, samples, Course(epochs=16, learning_rate=1e-3, final_rate=1e-5, seed=3), lambda *_: None)
    return policy


def test_a_policy_learns_and_learns_the_same_twice() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        samples = _stripes(64)
        torch.manual_seed(1)
        before, _ = errors(PilotNet(), samples)
        policy, again = _fitted(samples), _fitted(samples)
    finally:
        torch.set_num_threads(threads)
    after, pushed = errors(policy, samples)
    assert after < 0.3 * before
    assert after < 0.02
    assert pushed < 0.5
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
