"""A policy that decides through seven numbers: a concept bottleneck (Koh et al., arXiv 2007.04612).

The network reads the numbers from the picture; a short control law turns them, and the speed, into the command.
Each number is a sum over places of the picture: a 1x1 convolution gives every place's part, their sum and a constant
are the number. The map of a number is therefore a tensor that exists anyway, exact and complete, and since the steering
is linear in the numbers, so is the steering's.

The closing speed is the least certain of them. One picture shows no motion: what it holds of a lead's speed is its
brake lights and what leads usually do. The car's own speed is known, so the closing speed errs as that guess does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.concept_labels import CONCEPTS, FAR_GAP_M, FREE_SPEED_MPS
from export.learning import Policy
from export.losses import control_loss, known_smooth_l1

if TYPE_CHECKING:
    from export.losses import Labels

ROWS, COLUMNS = 9, 25
_PIXEL_SCALE = 127.5
_PLACES = 24.0  # about as many places show something of a concept
_SCALES = (0.5, 0.05, 0.005, 2.0, 20.0, 5.0, 0.3)  # of each concept, in its unit: what counts as one
_START = (0.0, 0.0, 0.0, FREE_SPEED_MPS, FAR_GAP_M, -FREE_SPEED_MPS, 1.0)
_OFFSET, _HEADING, _CURVATURE, _CURVE_SPEED, _GAP, _CLOSING, _VISIBILITY = range(7)

# The control law's constants are those of proving_ground.expert, whose driving it repeats from what can be seen.
_WHEELBASE_M, _STEERING_LAG_S = 2.7, 0.12
_DECAY_TIME_S, _MIN_DECAY_M = 0.8, 6.0
_ACCELERATION_MPS2, _STANDSTILL_GAP_M, _HEADWAY_S, _GEOMETRIC_MPS2 = 1.5, 5.0, 1.4, 2 * (1.5 * 2.0) ** 0.5
_HARDEST_BRAKING_MPS2 = 8.0
# Below this share of what the lines show at best the car slows down, to no less than this share of its speed.
_POOR_VISIBILITY, _SLOWEST = 0.25, 0.4

_HELD = 0.15  # lines that stand out less than this tell nothing of the lane: such frames teach only the visibility
_BETA = 0.1
_SPARSE = 1e-3


class Concepts(Policy):
    """Six convolutions to 9 x 25 places of 64 features each, which know where they are; a head additive over places."""

    scales: Tensor
    start: Tensor
    closing: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 48, 3, stride=2, padding=1)
        self.conv4 = nn.Conv2d(48, 48, 3, padding=1)
        self.place = nn.Parameter(torch.randn(1, 48, ROWS, COLUMNS) * 0.1)
        self.conv5 = nn.Conv2d(48, 64, 3, padding=2, dilation=2)
        self.conv6 = nn.Conv2d(64, 64, 1)
        self.head = nn.Conv2d(64, len(CONCEPTS), 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(len(CONCEPTS)))
        self.register_buffer("scales", torch.tensor(_SCALES), persistent=False)
        self.register_buffer("start", torch.tensor(_START), persistent=False)
        self.register_buffer("closing", torch.eye(len(CONCEPTS))[_CLOSING], persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The command, and what it was decided by.

        Args:
            image: uint8 (n, 66, 200, 3), blue-green-red.
            speed_mps: float32 (n, 1).

        Returns:
            steering angle in rad, positive left, and acceleration in m/s2, float32 (n, 1) each; the concepts,
            float32 (n, 7), in the order of the manifest; their maps, float32 (n, 7, 9, 25), in the same units.
        """
        maps = self.maps(image)
        concepts = self.values(maps, speed_mps)
        return steering_of(concepts, speed_mps), acceleration_of(concepts, speed_mps), concepts, maps

    def maps(self, image: Tensor) -> Tensor:
        """Every place's part of every concept, float32 (n, 7, 9, 25)."""
        x = image.permute(0, 3, 1, 2).float() / _PIXEL_SCALE - 1.0
        for layer in (self.conv1, self.conv2, self.conv3):
            x = functional.relu(layer(x))
        x = functional.relu(self.conv4(x) + self.place)
        x = functional.relu(self.conv6(functional.relu(self.conv5(x))))
        scaled = self.head.weight * (self.scales / _PLACES)[:, None, None, None]
        return functional.conv2d(x, scaled)

    def values(self, maps: Tensor, speed_mps: Tensor) -> Tensor:
        """The concepts (n, 7). The closing speed's constant is how fast the car would close in on a standing lead."""
        constant = self.bias * self.scales + self.start
        return maps.sum(dim=(2, 3)) + (constant + speed_mps * self.closing)

    def loss(self, image: Tensor, speed_mps: Tensor, labels: Labels) -> Tensor:
        """Errors of the concepts in units of their scales, and of the command that follows from them."""
        steering, acceleration, concepts, maps = self(image, speed_mps)
        wanted = labels.concepts.clone()
        wanted[:, _CLOSING] = speed_mps[:, 0] - wanted[:, _CLOSING]
        lost = wanted[:, _VISIBILITY] < _HELD
        wanted[lost] = torch.where(self.start.new_tensor(range(len(_START))) == _VISIBILITY, wanted[lost], torch.nan)
        # A metre counts where the lead is near.
        scales = self.scales.expand_as(concepts).clone()
        scales[:, _GAP] = torch.where(torch.isfinite(wanted[:, _GAP]), 4.0 + 0.2 * wanted[:, _GAP], scales[:, _GAP])
        read = known_smooth_l1(concepts / scales, wanted / scales, _BETA) * len(CONCEPTS)
        driven = control_loss(
            torch.where(lost[:, None], steering.detach(), steering),
            torch.where(lost[:, None], acceleration.detach(), acceleration),
            labels,
        )
        spread = (maps / self.scales[:, None, None]).abs().sum(dim=(2, 3)).mean()
        whole: Tensor = read + driven + _SPARSE * spread
        return whole


def steering_of(concepts: Tensor, speed_mps: Tensor) -> Tensor:
    """The curvature that leads back to the lane's centre as a critically damped second order system, times wheelbase.

    Linear in the concepts: atan would change an angle of 0.2 rad by 1 %.
    """
    decay_m = (_DECAY_TIME_S * speed_mps).clamp(min=_MIN_DECAY_M)
    offset_gain = -_WHEELBASE_M / (decay_m * decay_m)
    heading_gain = offset_gain * (_STEERING_LAG_S * speed_mps) - 2.0 * _WHEELBASE_M / decay_m
    gains = torch.cat([offset_gain, heading_gain, torch.full_like(decay_m, _WHEELBASE_M)], dim=1)
    return (gains * concepts[:, : _CURVATURE + 1]).sum(dim=1, keepdim=True)


def acceleration_of(concepts: Tensor, speed_mps: Tensor) -> Tensor:
    """The speed that curves and sight allow; behind a lead, the intelligent driver model (Treiber et al. 2000)."""
    curve_speed, gap, closing, visibility = (
        concepts[:, i : i + 1] for i in (_CURVE_SPEED, _GAP, _CLOSING, _VISIBILITY)
    )
    target = curve_speed.clamp(max=FREE_SPEED_MPS) * (visibility / _POOR_VISIBILITY).clamp(_SLOWEST, 1.0)
    cruising = (0.8 * (target - speed_mps)).clamp(-3.0, _ACCELERATION_MPS2)
    desired = _STANDSTILL_GAP_M + functional.relu(speed_mps * (_HEADWAY_S + closing / _GEOMETRIC_MPS2))
    nearness = desired / gap.clamp(min=0.5)
    following = _ACCELERATION_MPS2 * (1.0 - nearness * nearness)
    return torch.minimum(cruising, following).clamp(min=-_HARDEST_BRAKING_MPS2)
