"""What a policy is told of its errors while it learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from export.samples import Samples

# The loss turns from square to absolute here, in units of its scale: 5 mrad of steering, 0.5 m/s2. Beyond, a rare hard
# turn weighs by its size and not by its square, so that the many small angles that hold a lane are not drowned.
STEERING_SCALE_RAD, ACCELERATION_SCALE_MPS2 = 0.1, 2.0
_STEERING_BETA, _ACCELERATION_BETA, _ACCELERATION_WEIGHT = 0.05, 0.25, 0.3


@dataclass(frozen=True)
class Labels:
    """What is known of n frames: float32 (n,), (n,), (n, concepts); NaN where nobody knows."""

    steering_angle_rad: Tensor
    acceleration_mps2: Tensor
    concepts: Tensor


def labels_of(samples: Samples, chosen: NDArray[np.int64] | slice) -> Labels:
    """The labels of some of the frames."""
    return Labels(
        torch.from_numpy(samples.steering_angle_rad[chosen]),
        torch.from_numpy(samples.acceleration_mps2[chosen]),
        torch.from_numpy(samples.concepts[chosen]),
    )


def known_smooth_l1(answer: Tensor, label: Tensor, beta: float) -> Tensor:
    """Smooth L1 loss, summed over the known labels and divided by the number of all: shape ()."""
    known = torch.isfinite(label)
    filled = torch.where(known, label, answer.detach())
    return functional.smooth_l1_loss(answer, filled, beta=beta)


def control_loss(steering_angle_rad: Tensor, acceleration_mps2: Tensor, labels: Labels) -> Tensor:
    """How far a control (n, 1), (n, 1) is from the driver's."""
    turned = known_smooth_l1(
        steering_angle_rad[:, 0] / STEERING_SCALE_RAD, labels.steering_angle_rad / STEERING_SCALE_RAD, _STEERING_BETA
    )
    pushed = known_smooth_l1(
        acceleration_mps2[:, 0] / ACCELERATION_SCALE_MPS2,
        labels.acceleration_mps2 / ACCELERATION_SCALE_MPS2,
        _ACCELERATION_BETA,
    )
    return turned + _ACCELERATION_WEIGHT * pushed
