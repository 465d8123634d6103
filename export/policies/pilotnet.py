"""The PilotNet layout of Bojarski et al. (arXiv 1604.07316): end to end from picture and speed to the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from export.learning import Policy
from export.losses import ACCELERATION_SCALE_MPS2, STEERING_SCALE_RAD, control_loss

if TYPE_CHECKING:
    from export.losses import Labels

SPEED_SCALE_MPS = 20.0
_PIXEL_SCALE = 127.5
_FLAT = 64 * 1 * 18


class PilotNet(Policy):
    """Five unpadded convolutions, four fully connected layers, all ReLU; the speed joins at the first of the latter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 5, stride=2)
        self.conv2 = nn.Conv2d(24, 36, 5, stride=2)
        self.conv3 = nn.Conv2d(36, 48, 5, stride=2)
        self.conv4 = nn.Conv2d(48, 64, 3)
        self.conv5 = nn.Conv2d(64, 64, 3)
        self.fc1 = nn.Linear(_FLAT, 100)
        self.fc1_speed = nn.Linear(1, 100, bias=False)
        self.fc2 = nn.Linear(100, 50)
        self.fc3 = nn.Linear(50, 10)
        self.fc4 = nn.Linear(10, 2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor]:
        """The command.

        Args:
            image: uint8 (n, 66, 200, 3), blue-green-red.
            speed_mps: float32 (n, 1).

        Returns:
            steering angle in rad, positive left, and acceleration in m/s2, float32 (n, 1) each.
        """
        x = image.permute(0, 3, 1, 2).float() / _PIXEL_SCALE - 1.0
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = functional.relu(layer(x))
        x = functional.relu(self.fc1(x.flatten(1)) + self.fc1_speed(speed_mps / SPEED_SCALE_MPS))
        x = functional.relu(self.fc3(functional.relu(self.fc2(x))))
        answer = self.fc4(x)
        return answer[:, :1] * STEERING_SCALE_RAD, answer[:, 1:] * ACCELERATION_SCALE_MPS2

    def loss(self, image: Tensor, speed_mps: Tensor, labels: Labels) -> Tensor:
        """How far the command is from the driver's."""
        steering, acceleration = self(image, speed_mps)
        return control_loss(steering, acceleration, labels)
