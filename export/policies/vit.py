"""A small vision transformer (Dosovitskiy et al., arXiv 2010.11929) that drives, with a convolutional stem.

The stem (Xiao et al., arXiv 2106.14881) brings what a transformer of this size cannot learn from so few roads: edges.
Attention is written as plain products and a softmax, so that the exported graph holds every attention matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.concept_labels import CONCEPTS
from export.learning import Policy
from export.losses import ACCELERATION_SCALE_MPS2, STEERING_SCALE_RAD, control_loss, known_smooth_l1

if TYPE_CHECKING:
    from export.losses import Labels

ROWS, COLUMNS = 6, 17
WIDTH, HEADS, BLOCKS = 64, 4, 3
SPEED_SCALE_MPS = 20.0
_PIXEL_SCALE = 127.5
_CONCEPT_SCALES = (0.5, 0.05, 0.005, 2.0, 20.0, 5.0, 0.3)
_CONCEPT_WEIGHT, _BETA = 0.5, 0.1


class Block(nn.Module):
    """Attention, then a perceptron at each place, both on normalised tokens and added to them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.perceptron_norm = nn.LayerNorm(WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """float32 (n, places, 64) to the same."""
        x = self.attention_norm(tokens)
        query, key, value = (_heads(layer(x)) for layer in (self.query, self.key, self.value))
        attention = torch.softmax(query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5, dim=-1)
        mixed = (attention @ value).transpose(1, 2).flatten(2)
        tokens = tokens + self.joined(mixed)
        inner = functional.relu(self.wide(self.perceptron_norm(tokens)))
        out: Tensor = tokens + self.narrow(inner)
        return out


class Vit(Policy):
    """A stem to 6 x 17 tokens of 64 features, three blocks, and the mean of the tokens read beside the speed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.patches = nn.Conv2d(32, WIDTH, 5, stride=3, padding=2)
        self.place = nn.Parameter(torch.randn(1, ROWS * COLUMNS, WIDTH) * 0.1)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.speed = nn.Linear(1, WIDTH, bias=False)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.command = nn.Linear(WIDTH, 2)
        # Read in training alone: what a picture shows teaches more of it than what to do about it.
        self.concepts = nn.Linear(WIDTH, len(CONCEPTS))

    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor]:
        """The command.

        Args:
            image: uint8 (n, 66, 200, 3), blue-green-red.
            speed_mps: float32 (n, 1).

        Returns:
            steering angle in rad, positive left, and acceleration in m/s2, float32 (n, 1) each.
        """
        return self.command_of(self.seen(image), speed_mps)

    def seen(self, image: Tensor) -> Tensor:
        """The mean of the tokens behind the last block, float32 (n, 64)."""
        x = image.permute(0, 3, 1, 2).float() / _PIXEL_SCALE - 1.0
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        seen: Tensor = self.norm(tokens).mean(dim=1)
        return seen

    def command_of(self, seen: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor]:
        """Steering and acceleration from what was seen and the speed."""
        x = functional.relu(self.hidden(seen) + self.speed(speed_mps / SPEED_SCALE_MPS))
        answer = self.command(x)
        return answer[:, :1] * STEERING_SCALE_RAD, answer[:, 1:] * ACCELERATION_SCALE_MPS2

    def loss(self, image: Tensor, speed_mps: Tensor, labels: Labels) -> Tensor:
        """How far the command is from the driver's, and how much of what the picture shows was not seen."""
        seen = self.seen(image)
        driven = control_loss(*self.command_of(seen, speed_mps), labels)
        scales = seen.new_tensor(_CONCEPT_SCALES)
        read = known_smooth_l1(self.concepts(seen), labels.concepts / scales, _BETA)
        return driven + _CONCEPT_WEIGHT * read


def _heads(x: Tensor) -> Tensor:
    """(n, places, 64) as (n, 4, places, 16)."""
    return x.view(-1, ROWS * COLUMNS, HEADS, WIDTH // HEADS).transpose(1, 2)
