"""A policy that decides through seven numbers: a concept bottleneck (Koh et al., arXiv 2007.04612).

The network reads the numbers from the picture; a short control law turns them, and the speed, into the command.
Each number is a sum over places of the picture: a 1x1 convolution gives every place's part, their sum and a constant
are the number. The map of a number is therefore a tensor that exists anyway, exact and complete, and since the steering
is linear in the numbers, so is the steering's.

What makes such a map tell the truth about pixels, and not only about sums, is the network's form. A place sees
25 x 25 pixels and no more. The first filters answer to no even colour, and a place's part is counted from what it would
be if nothing were there, so that sky or grass without an edge says nothing. What the whole picture is like only weighs
what the places say (squeeze and excitation; Hu et al., arXiv 1709.01507).

The closing speed is the least certain of the numbers. One picture shows no motion: what it holds of a lead's speed is
its brake lights and what leads usually do. The car's own speed is known, so the closing speed errs as that guess does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.concept_labels import CONCEPTS, FAR_GAP_M, FREE_SPEED_MPS
from export.learning import Policy
from export.losses import control_loss, known_smooth_l1

if TYPE_CHECKING:
    from export.losses import Labels

IMAGE_ROWS, IMAGE_COLUMNS = 66, 200
ROWS, COLUMNS = 8, 25
LANE = CONCEPTS[:3]
"""What the steering is made of."""
_PIXEL_SCALE = 127.5
_PLACES = 24.0  # about as many places show something of a concept
_SCALES = (0.5, 0.05, 0.005, 2.0, 20.0, 5.0, 0.3)  # of each concept, in its unit: what counts as one
_START = (0.0, 0.0, 0.0, FREE_SPEED_MPS, FAR_GAP_M, -FREE_SPEED_MPS, 1.0)
_GAP, _CLOSING, _VISIBILITY = 4, 5, 6

# The control law's constants are those of proving_ground.expert, whose driving it repeats from what can be seen.
_WHEELBASE_M, _STEERING_LAG_S = 2.7, 0.12
_DECAY_TIME_S, _MIN_DECAY_M = 0.8, 6.0
_ACCELERATION_MPS2, _STANDSTILL_GAP_M, _HEADWAY_S, _GEOMETRIC_MPS2 = 1.5, 5.0, 1.4, 2 * (1.5 * 2.0) ** 0.5
_HARDEST_BRAKING_MPS2 = 8.0
# Below this share of what the lines show at best the car slows down, to no less than this share of its speed.
_POOR_VISIBILITY, _SLOWEST = 0.25, 0.4

_HELD = 0.15  # lines that stand out less than this tell nothing of the lane: such frames teach only the visibility
_BETA = 0.1
_WEIGHTS = (2.0, 2.0, 1.0, 0.5, 1.0, 0.7, 0.5)  # of the concepts' errors: the lane's must be the smallest
_DRIVEN, _SPARSE = 3.0, 5e-3
_FOCUS, _OUT_OF_FOCUS_PX = 0.05, 0.1 * IMAGE_ROWS


class Concepts(Policy):
    """Three convolutions to 8 x 25 places, three within each, which know where it is; a head additive over places."""

    scales: Tensor
    start: Tensor
    closing: Tensor
    weights: Tensor
    blank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 5, stride=2, padding=2)
        self.conv4 = nn.Conv2d(64, 64, 1)
        self.place = nn.Parameter(torch.randn(1, 64, ROWS, COLUMNS) * 0.1)
        self.conv5 = nn.Conv2d(64, 128, 1)
        self.conv6 = nn.Conv2d(128, 64, 1)
        self.context = nn.Linear(64, 64)
        self.head = nn.Conv2d(64, len(CONCEPTS), 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(len(CONCEPTS)))
        self.register_buffer("scales", torch.tensor(_SCALES), persistent=False)
        self.register_buffer("start", torch.tensor(_START), persistent=False)
        self.register_buffer("closing", torch.eye(len(CONCEPTS))[_CLOSING], persistent=False)
        self.register_buffer("weights", torch.tensor(_WEIGHTS), persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(self.context.bias)
        self.register_buffer("blank", torch.zeros(1, len(CONCEPTS), ROWS, COLUMNS))

    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The command, and what it was decided by.

        Args:
            image: uint8 (n, 66, 200, 3), blue-green-red.
            speed_mps: float32 (n, 1).

        Returns:
            steering angle in rad, positive left, and acceleration in m/s2, float32 (n, 1) each; the concepts,
            float32 (n, 7), in the order of the manifest; their maps, float32 (n, 7, 8, 25), in the same units.
        """
        maps = self.maps(image)
        constant = self.bias * self.scales + self.start
        # One picture shows a lead's speed, if anything: how fast the car closes in on it depends on the car's own.
        concepts = maps.sum(dim=(2, 3)) + (constant + speed_mps * self.closing)
        gains = steering_gains(speed_mps)
        steering_map = (gains[:, :, None, None] * maps[:, : len(LANE)]).sum(dim=1)
        steering = steering_map.sum(dim=(1, 2))[:, None] + (gains * constant[: len(LANE)]).sum(dim=1, keepdim=True)
        return steering, acceleration_of(concepts, speed_mps), concepts, maps

    def maps(self, image: Tensor) -> Tensor:
        """Every place's part of every concept, float32 (n, 7, 8, 25): 0 where it shows but one even colour."""
        told = self._told(image.permute(0, 3, 1, 2).float() / _PIXEL_SCALE - 1.0)
        return told - (self._told_of_nothing() if self.training else self.blank)

    def finishing_loss(self, image: Tensor) -> Tensor:
        """What places tell of pictures out of focus, in units of the scales: lines and edges shall be what counts.

        Then what a place tells is what would be missed if its detail went, and not how the soft rest could be read.
        """
        maps = self.maps(_out_of_focus(image[: len(image) // 4], _OUT_OF_FOCUS_PX))
        return _FOCUS * (maps / self.scales[:, None, None]).abs().sum(dim=(2, 3)).mean()

    def train(self, mode: bool = True) -> Self:
        """What even colour would tell depends on the weights: it is settled when they are."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                self.blank.copy_(self._told_of_nothing())
        return self

    def _told(self, x: Tensor) -> Tensor:
        edges = self.conv1.weight - self.conv1.weight.mean(dim=(2, 3), keepdim=True)
        x = functional.relu(functional.conv2d(x, edges, self.conv1.bias, stride=2))
        x = functional.relu(self.conv3(functional.relu(self.conv2(x))))
        x = functional.relu(self.conv4(x) + self.place)
        x = functional.relu(self.conv6(functional.relu(self.conv5(x))))
        x = x * torch.sigmoid(self.context(x.mean(dim=(2, 3))))[:, :, None, None]
        # Without a context everything counts once, and not half.
        scaled = self.head.weight * (2.0 * self.scales / _PLACES)[:, None, None, None]
        return functional.conv2d(x, scaled)

    def _told_of_nothing(self) -> Tensor:
        return self._told(torch.zeros(1, 3, IMAGE_ROWS, IMAGE_COLUMNS))

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
        weights = self.weights
        read = known_smooth_l1(concepts / scales * weights, wanted / scales * weights, _BETA) * len(CONCEPTS)
        driven = control_loss(
            torch.where(lost[:, None], steering.detach(), steering),
            torch.where(lost[:, None], acceleration.detach(), acceleration),
            labels,
        )
        spread = (maps / self.scales[:, None, None]).abs().sum(dim=(2, 3)).mean()
        whole: Tensor = read + _DRIVEN * driven + _SPARSE * spread
        return whole


def steering_gains(speed_mps: Tensor) -> Tensor:
    """What a lateral offset, a heading error and a curvature each add to the steering angle: (n, 3), rad per unit.

    The curvature that leads back to the lane's centre as a critically damped second order system, times wheelbase.
    Without the arc tangent, which would change an angle of 0.2 rad by 1 %, the steering is linear in the concepts, and
    so a sum over places too: its map needs no gradient.
    """
    per_decay = 1.0 / (_DECAY_TIME_S * speed_mps).clamp(min=_MIN_DECAY_M)
    heading = -2.0 * _WHEELBASE_M * per_decay
    offset = heading * per_decay * 0.5
    return torch.cat([offset, heading + offset * (_STEERING_LAG_S * speed_mps), _WHEELBASE_M + 0.0 * speed_mps], dim=1)


def acceleration_of(concepts: Tensor, speed_mps: Tensor) -> Tensor:
    """The speed that curves and sight allow; behind a lead, the intelligent driver model (Treiber et al. 2000)."""
    _, _, _, curve_speed, gap, closing, visibility = torch.split(concepts, 1, dim=1)
    slowed = (visibility * (1.0 / _POOR_VISIBILITY)).clamp(_SLOWEST, 1.0)
    target = curve_speed.clamp(max=FREE_SPEED_MPS) * slowed
    cruising = (0.8 * (target - speed_mps)).clamp(-3.0, _ACCELERATION_MPS2)
    desired = _STANDSTILL_GAP_M + functional.relu(speed_mps * (_HEADWAY_S + closing * (1.0 / _GEOMETRIC_MPS2)))
    nearness = desired / gap.clamp(min=0.5)
    following = _ACCELERATION_MPS2 - _ACCELERATION_MPS2 * nearness * nearness
    return torch.minimum(cruising, following).clamp(min=-_HARDEST_BRAKING_MPS2)


def _out_of_focus(image: Tensor, sigma_px: float) -> Tensor:
    """uint8 (n, height, width, 3) to the same, blurred by a Gaussian."""
    reach = int(3 * sigma_px)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / 2 / sigma_px**2)
    kernel = (kernel / kernel.sum())[None, None]
    n, height, width, channels = image.shape
    padded = functional.pad(image.permute(0, 3, 1, 2).float(), (reach, reach, reach, reach), mode="reflect")
    planes = padded.reshape(n * channels, 1, height + 2 * reach, width + 2 * reach)
    blurred = functional.conv2d(functional.conv2d(planes, kernel[..., None]), kernel[:, :, None])
    blurred = blurred.reshape(n, channels, height, width).permute(0, 2, 3, 1)
    return blurred.round().clamp(0, 255).to(torch.uint8)
