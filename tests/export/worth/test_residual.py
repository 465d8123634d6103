"""A residual network with BatchNorm and MaxPool that has learnt something: explained by its graph, and judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is trained with the extra 'export'")
pytest.importorskip("onnx", reason="export needs the extra 'export'")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from export.agreement import relative_error  # noqa: E402
from export.config import ImageConfig, ModelConfig  # noqa: E402
from export.explain import explain  # noqa: E402
from export.session import Session  # noqa: E402
from export.trace import trace  # noqa: E402
from export.worth.imputers import blurred  # noqa: E402
from export.worth.judge import judge  # noqa: E402
from runtime.contracts.model import Output  # noqa: E402
from tests.export.worth import networks  # noqa: E402

CONFIG = ModelConfig(
    name="residual",
    images=(ImageConfig(name="image", width=networks.WIDTH, height=networks.HEIGHT),),
    outputs=(Output(name="steering", quantity="steering_angle_rad", minimum=-3.0, maximum=3.0),),
)


class Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 24, 1))
        self.head = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 1))

    def features(self, image: Any) -> Any:
        x = image.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return self.blocks(self.pool(functional.relu(self.norm(self.stem(x)))))

    def forward(self, image: Any) -> tuple[Any]:
        return (self.head(self.features(image).mean(dim=(2, 3))),)


@pytest.fixture(scope="module")
def learnt() -> Residual:
    """Learns the network with the known truth from 768 pictures, half of them out of focus in places."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    teacher, rng = Session(networks.plain_network()), np.random.default_rng(1)
    pictures = [each["image"] for each in networks.frames(768, seed=11).inputs]
    for picture in pictures[::2]:
        there = np.kron(rng.random((6, 12)) < rng.random(), np.ones((8, 8), bool))
        picture[0][there] = blurred(picture[0])[there]
    truth = torch.tensor([float(teacher.run({"image": each})["steering"].item()) for each in pictures])[:, None]
    images = torch.from_numpy(np.concatenate(pictures))
    module = Residual()
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    steps = 8 * len(images) // 32
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, steps)
    for _ in range(steps):
        batch = torch.randint(0, len(images), (32,))
        loss = functional.mse_loss(module(images[batch])[0] * 10, truth[batch] * 10)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return module.eval()


def test_it_has_learnt_what_its_teacher_knows(learnt: Residual) -> None:
    teacher = Session(networks.plain_network())
    pairs = [
        (learnt(torch.from_numpy(each["image"]))[0].item(), teacher.run(each)["steering"].item())
        for each in networks.frames(60, seed=12).inputs
    ]
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.9


def test_its_map_is_autograds_and_worth_showing(learnt: Residual) -> None:
    plain = trace(learnt, CONFIG, "residual").onnx
    explained = Session(explain(plain, CONFIG))
    frames = networks.frames(32)
    for inputs in frames.inputs[:4]:
        features = learnt.features(torch.from_numpy(inputs["image"])).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(learnt.head(features.mean(dim=(2, 3)))[0, 0], features)
        expected = (gradient * features).sum(dim=(0, 1)).detach().numpy()
        found = explained.run(inputs)["attribution"].reshape(-1)
        assert relative_error(found, expected.reshape(-1)) < 1e-5
    worth = judge(plain, lambda network: explain(network, CONFIG), frames)
    assert worth.verdict == "worth showing", worth.reasons
