"""The explained form of the policy: the same decision, and a reason that is the true gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")
onnx = pytest.importorskip("onnx", reason="training and export need the extra 'export'")

import cv2  # noqa: E402
import onnxruntime  # noqa: E402

from export.pilotnet import ExplainedPilotNet, PilotNet  # noqa: E402
from export.reference import ATTRIBUTION_ORIGIN_PX, HEIGHT, WIDTH, image_input  # noqa: E402
from proving_ground.catalogue import scenario_by_name  # noqa: E402
from proving_ground.simulation import Simulation  # noqa: E402
from runtime.preprocess import preprocess  # noqa: E402

MODEL = Path(__file__).parents[2] / "configs" / "pilotnet.onnx"
RELATIVE = 1e-5


def _random_input(seed: int) -> tuple[np.ndarray, float]:
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), 1 + seed % 5)
    image = np.clip((blurred - 128) * (1 + 3 * (seed % 5)) + 128, 0, 255).astype(np.uint8)
    return image[None], float(rng.uniform(0, 20))


def _rendered_inputs() -> list[tuple[np.ndarray, float]]:
    found = []
    for name in ("lane", "stopped-lead", "worn-lines", "low-sun"):
        simulation = Simulation(scenario_by_name(name, seed=5))
        for s_m, offset_m, askew_rad in ((40.0, 0.5, 0.0), (60.0, -0.7, 0.06), (30.0, 0.0, -0.1)):
            car = simulation.car_at(s_m, offset_m, askew_rad, speed_mps=12.0)
            found.append((preprocess(simulation.picture_at(car), image_input()), 12.0))
    return found


def _autograd_map(policy: PilotNet, image: np.ndarray, speed_mps: float) -> np.ndarray:
    """Gradient x activation at conv4 of the trained form, by torch."""
    conv4 = policy.conv4_activation(torch.from_numpy(image)).detach().requires_grad_()
    steering = policy.head(conv4, torch.tensor([[speed_mps]]))[0, 0]
    (gradient,) = torch.autograd.grad(steering, conv4)
    found: np.ndarray = (gradient * conv4).sum(dim=(0, 1)).detach().numpy()
    return found


def _trained_oracle(image: np.ndarray, speed_mps: float) -> tuple[float, np.ndarray]:
    """Decision and map of the committed weights, differentiated by torch and not by the graph's own operators."""
    explained = ExplainedPilotNet(PilotNet())
    weights = {
        i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()) for i in onnx.load(MODEL).graph.initializer
    }
    state = explained.state_dict()
    assert set(state) <= set(weights)
    explained.load_state_dict({name: weights[name] for name in state})
    explained.convolutions[0].requires_grad_()
    steering, _, (conv4, *_) = explained.decide(torch.from_numpy(image), torch.tensor([[speed_mps]]))
    (gradient,) = torch.autograd.grad(steering[0, 0], conv4)
    return float(steering.detach()), (gradient * conv4).sum(dim=(0, 1)).detach().numpy()


def _relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_folding_the_scales_into_the_weights_changes_no_decision() -> None:
    torch.manual_seed(3)
    policy = PilotNet()
    explained = ExplainedPilotNet(policy)
    for seed in range(6):
        image, speed = _random_input(seed)
        expected = policy(torch.from_numpy(image), torch.tensor([[speed]])).detach()
        steering, acceleration, _ = explained(torch.from_numpy(image), torch.tensor([[speed]]))
        torch.testing.assert_close(torch.cat([steering, acceleration], dim=1), expected, rtol=1e-4, atol=1e-5)


def test_the_attribution_is_autograds_gradient_times_activation_for_random_weights_and_inputs() -> None:
    torch.manual_seed(4)
    policy = PilotNet()
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0.0, 0.1)
    explained = ExplainedPilotNet(policy)
    for seed in range(8):
        image, speed = _random_input(seed)
        _, _, found = explained(torch.from_numpy(image), torch.tensor([[speed]]))
        assert _relative_error(found.numpy(), _autograd_map(policy, image, speed)) < RELATIVE


@pytest.mark.parametrize("kind", ["random", "rendered"])
def test_the_committed_onnx_gives_autograds_map_in_the_same_run_as_the_decision(kind: str) -> None:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    inputs = [_random_input(seed) for seed in range(8)] if kind == "random" else _rendered_inputs()
    for image, speed in inputs:
        expected_steering, expected_map = _trained_oracle(image, speed)
        feed = {"image": image, "speed_mps": np.array([[speed]], np.float32)}
        steering, _, found = session.run(["steering_angle_rad", "acceleration_mps2", "attribution"], feed)
        assert steering.item() == pytest.approx(expected_steering, rel=1e-4, abs=1e-6)
        assert _relative_error(found, expected_map) < RELATIVE


def test_each_cell_of_the_map_sees_the_pixels_that_the_manifest_says() -> None:
    torch.manual_seed(5)
    policy = PilotNet()
    row, column = 1, 7
    centre_y, centre_x = ATTRIBUTION_ORIGIN_PX + 8 * row, ATTRIBUTION_ORIGIN_PX + 8 * column
    # Without ReLU no pixel of the field can hide behind a dead unit.
    x = torch.zeros(1, 3, HEIGHT, WIDTH, requires_grad=True)
    y = x
    for layer in (policy.conv1, policy.conv2, policy.conv3, policy.conv4):
        y = layer(y)
    (gradient,) = torch.autograd.grad(y[0, :, row, column].sum(), x)
    rows, columns = gradient[0].abs().sum(0).nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (centre_y - 22, centre_y + 22)
    assert (int(columns.min()), int(columns.max())) == (centre_x - 22, centre_x + 22)
