"""The PilotNet layout of Bojarski et al. (arXiv 1604.07316), and the form of it that explains itself while it decides.

`PilotNet` is what is trained. `ExplainedPilotNet` is the same function folded for one picture at a time, with the exact
reason of its steering as a further output: gradient x activation at the fourth convolution (HiResCAM; Draelos and
Carin, arXiv 2011.08891), written as forward operators on the weights that the decision itself uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STEERING_SCALE_RAD, ACCELERATION_SCALE_MPS2, SPEED_SCALE_MPS = 0.1, 2.0, 20.0
_PIXEL_SCALE = 127.5
_FLAT = 64 * 1 * 18


class PilotNet(nn.Module):
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

    def conv4_activation(self, image: Tensor) -> Tensor:
        """float32 (n, 64, 3, 20) from a uint8 image (n, 66, 200, 3), blue-green-red."""
        x = image.permute(0, 3, 1, 2).float() / _PIXEL_SCALE - 1.0
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = functional.relu(layer(x))
        return x

    def head(self, conv4: Tensor, speed_mps: Tensor) -> Tensor:
        """float32 (n, 2), steering in rad (positive left) and acceleration in m/s2, from conv4 and the speed (n, 1)."""
        flat = functional.relu(self.conv5(conv4)).flatten(1)
        x = functional.relu(self.fc1(flat) + self.fc1_speed(speed_mps / SPEED_SCALE_MPS))
        x = functional.relu(self.fc3(functional.relu(self.fc2(x))))
        answer: Tensor = self.fc4(x) * x.new_tensor([STEERING_SCALE_RAD, ACCELERATION_SCALE_MPS2])
        return answer

    def forward(self, image: Tensor, speed_mps: Tensor) -> Tensor:
        """float32 (n, 2): steering angle in rad, positive left, and acceleration in m/s2."""
        return self.head(self.conv4_activation(image), speed_mps)


class ExplainedPilotNet(nn.Module):
    """A trained `PilotNet` as the vehicle runs it: scales folded into the weights, attribution in the same pass.

    With ReLU, the gradient of the steering at conv4 is a product of weights and of the signs of what the forward pass
    computed: a dozen small operators, of which only the product with the first layer's weights costs arithmetic.
    """

    def __init__(self, policy: PilotNet) -> None:
        super().__init__()
        p = {name: value.detach().clone() for name, value in policy.named_parameters()}
        scale = torch.tensor([[STEERING_SCALE_RAD], [ACCELERATION_SCALE_MPS2]])
        last, last_bias = p["fc4.weight"] * scale, p["fc4.bias"] * scale[:, 0]
        # Without padding, (x / 127.5 - 1) * w + b is x * (w / 127.5) + (b - sum w), in every place.
        first, first_bias = (
            p["conv1.weight"] / _PIXEL_SCALE,
            p["conv1.bias"] - p["conv1.weight"].sum(dim=(1, 2, 3)),
        )
        self.convolutions = nn.ParameterList([first] + [p[f"conv{i}.weight"] for i in range(2, 6)])
        self.convolution_biases = nn.ParameterList([first_bias] + [p[f"conv{i}.bias"] for i in range(2, 6)])
        self.fc1 = nn.Parameter(p["fc1.weight"])
        self.fc1_speed = nn.Parameter(p["fc1_speed.weight"] / SPEED_SCALE_MPS)
        self.fc1_bias = nn.Parameter(p["fc1.bias"])
        self.fc2, self.fc2_bias = nn.Parameter(p["fc2.weight"]), nn.Parameter(p["fc2.bias"])
        self.fc3, self.fc3_bias = nn.Parameter(p["fc3.weight"]), nn.Parameter(p["fc3.bias"])
        self.steering, self.steering_bias = nn.Parameter(last[:1]), nn.Parameter(last_bias[:1])
        self.acceleration, self.acceleration_bias = nn.Parameter(last[1:]), nn.Parameter(last_bias[1:])
        # The mask of the third layer selects rows of this product: one operator less than mask, then multiply.
        self.steering_fc3 = nn.Parameter(last[:1].T * p["fc3.weight"])
        self.requires_grad_(requires_grad=False)

    def forward(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One decision and its reason.

        Args:
            image: uint8 (1, 66, 200, 3), blue-green-red.
            speed_mps: float32 (1, 1).

        Returns:
            steering angle in rad, positive left, and acceleration in m/s2, float32 (1, 1) each; the attribution of the
            steering in rad, positive where the place pulls to the left, float32 (3, 20).
        """
        steering, acceleration, activations = self.decide(image, speed_mps)
        return steering, acceleration, self.attribute(*activations)

    def decide(self, image: Tensor, speed_mps: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The decision alone, and the activations that its attribution needs."""
        x = image.permute(0, 3, 1, 2).float()
        maps = []
        for i, (weight, bias) in enumerate(zip(self.convolutions, self.convolution_biases, strict=True)):
            x = functional.relu(functional.conv2d(x, weight, bias, stride=2 if i < 3 else 1))
            maps.append(x)
        speed_share = functional.linear(speed_mps, self.fc1_speed, self.fc1_bias)
        h1 = functional.relu(torch.addmm(speed_share, x.flatten(1), self.fc1.T))
        h2 = functional.relu(functional.linear(h1, self.fc2, self.fc2_bias))
        h3 = functional.relu(functional.linear(h2, self.fc3, self.fc3_bias))
        steering = functional.linear(h3, self.steering, self.steering_bias)
        acceleration = functional.linear(h3, self.acceleration, self.acceleration_bias)
        return steering, acceleration, (maps[3], maps[4], h1, h2, h3)

    def attribute(self, conv4: Tensor, conv5: Tensor, h1: Tensor, h2: Tensor, h3: Tensor) -> Tensor:
        """Gradient of the steering at conv4 times conv4, summed over channels; signs after ReLU are its derivative."""
        g2 = torch.sign(h2) * torch.matmul(torch.sign(h3), self.steering_fc3)
        g1 = torch.sign(h1) * torch.matmul(g2, self.fc2)
        g_conv5 = torch.sign(conv5) * torch.matmul(g1, self.fc1).view(conv5.shape)
        g_conv4 = functional.conv_transpose2d(g_conv5, self.convolutions[4])
        return (conv4 * g_conv4).sum(dim=(0, 1))
