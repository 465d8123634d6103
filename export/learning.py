"""Fitting a policy to labelled frames."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from export.losses import Labels, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from export.samples import Samples

_BATCH = 128
_WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class Course:
    """Passes over the frames, and a learning rate that falls along a cosine; whether it is the one that finishes."""

    epochs: float
    learning_rate: float
    final_rate: float
    seed: int
    finishing: bool = False


class Policy(nn.Module, ABC):
    """A network that drives and can learn it. `forward` gives steering in rad and acceleration in m/s2 first."""

    @abstractmethod
    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, ...]:
        """The command, and what else the network says, from uint8 (n, height, width, 3) and float32 (n, 1)."""

    @abstractmethod
    def loss(self, image: Tensor, speed_mps: Tensor, labels: Labels) -> Tensor:
        """What is wrong with the answers, shape ()."""

    def finishing_loss(self, image: Tensor) -> Tensor:
        """What is wrong beside the answers, shape (): taught in the last course, when the answers are good."""
        return torch.zeros(())


def fit(
    policy: Policy,
    samples: Samples,
    course: Course,
    progress: Callable[[int, int, float], None],
) -> None:
    """Train in place; `progress(step, steps, mean loss)` is called now and then.

    Deterministic for a seed and a number of threads.
    """
    rng = np.random.default_rng(course.seed)
    generator = torch.Generator().manual_seed(course.seed)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=course.learning_rate, weight_decay=_WEIGHT_DECAY)
    steps = max(1, round(course.epochs * len(samples) / _BATCH))
    warm_up = min(100, steps // 10 + 1)
    order = np.concatenate([rng.permutation(len(samples)) for _ in range(math.ceil(course.epochs) + 1)])
    policy.train()
    mean = 0.0
    for step in range(steps):
        fallen = (1 + math.cos(math.pi * step / steps)) / 2
        rate = course.final_rate + (course.learning_rate - course.final_rate) * fallen
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / warm_up)
        chosen = np.sort(order[step * _BATCH : (step + 1) * _BATCH])
        images = _disturbed(torch.from_numpy(samples.images[chosen]), generator)
        loss = policy.loss(images, _column(samples.speed_mps[chosen]), labels_of(samples, chosen))
        if course.finishing:
            loss = loss + policy.finishing_loss(images)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 5.0)
        optimiser.step()
        mean += (loss.item() - mean) * max(0.01, 1.0 / (step + 1))
        if step % 50 == 49 or step + 1 == steps:
            progress(step + 1, steps, mean)
    policy.eval()


def errors(policy: Policy, samples: Samples) -> tuple[float, float]:
    """Mean absolute error of steering in rad and of acceleration in m/s2 on undisturbed frames; NaN where unknown."""
    turned, pushed, *_ = answers(policy, samples)
    steering = np.abs(turned[:, 0] - samples.steering_angle_rad)
    acceleration = np.abs(pushed[:, 0] - samples.acceleration_mps2)
    return float(steering.mean()), float(acceleration.mean())


def answers(policy: Policy, samples: Samples) -> list[NDArray[np.float32]]:
    """Everything that the policy says to the frames, each float32 (n, ...)."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(samples), 512):
            part = slice(start, start + 512)
            given = policy(torch.from_numpy(samples.images[part]), _column(samples.speed_mps[part]))
            parts.append([tensor.numpy() for tensor in given])
    return [np.concatenate(tensors) for tensors in zip(*parts, strict=True)]


def _column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values)[:, None]


def _disturbed(images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 as it came, with another exposure, contrast, white balance and sensor noise for each picture.

    No mirroring: in a mirrored picture traffic keeps left, and a car across the dividing line would learn to stay.
    """
    n = len(images)
    gain = 1.0 + 0.18 * torch.randn(n, 1, 1, 1, generator=generator).clamp(-2, 2)
    tint = 1.0 + 0.04 * torch.randn(n, 1, 1, 3, generator=generator).clamp(-2, 2)
    lift = 10.0 * torch.randn(n, 1, 1, 1, generator=generator).clamp(-2, 2)
    # One noise for the batch, rolled to a place of its own for each picture, costs a hundredth of one for each.
    sigma = 3.0 * torch.rand(n, 1, 1, 1, generator=generator)
    noise = torch.randn(1, *images.shape[1:], generator=generator)
    return (images.float() * (gain * tint) + lift + sigma * noise).clamp_(0, 255).to(torch.uint8)
