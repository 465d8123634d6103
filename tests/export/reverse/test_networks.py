"""The reverse pass over whole networks, most of which no one here wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

import cv2  # noqa: E402

from export.agreement import relative_error  # noqa: E402
from export.graph.graph import Graph  # noqa: E402
from export.reverse.gradient import gradient  # noqa: E402
from export.session import Session  # noqa: E402

Array = np.ndarray[Any, Any]
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
RELATIVE = 1e-5


def _redrawn(name: str, seed: int = 0) -> Graph:
    """A network of the onnx package with weights under which numbers neither vanish nor explode (He et al. 2015)."""
    graph = Graph.load((LIGHT / f"light_{name}.onnx").read_bytes(), name)
    rng = np.random.default_rng(seed)
    for node in graph.nodes:
        weights = [each for each in node.inputs[1:] if each in graph.constants]
        for at, each in enumerate(weights):
            array = graph.constants[each]
            if node.op in ("Conv", "Gemm") and at == 0:
                fan = array[0].size if node.op == "Conv" or node.attributes.get("transB") else array.shape[0]
                drawn = rng.normal(0, np.sqrt(2 / fan), array.shape)
            elif node.op == "BatchNormalization" and at in (0, 3):
                drawn = rng.uniform(0.5, 1.0, array.shape)
            elif node.op == "Mul":
                drawn = np.ones(array.shape)
            elif node.op in ("Conv", "Gemm", "BatchNormalization", "Add"):
                drawn = rng.normal(0, 0.1, array.shape)
            else:
                continue
            graph.constants[each] = drawn.astype(array.dtype)
    return graph


def _picture(graph: Graph) -> dict[str, Array]:
    """Smooth, so that few units sit at a kink to within rounding, where float32 and float64 fall to different sides."""
    ((name, value),) = graph.inputs.items()
    noise = np.random.default_rng(1).normal(0, 5, (*value.shape[2:], 3)).astype(np.float32)
    return {name: cv2.GaussianBlur(noise, (0, 0), 3).transpose(2, 0, 1)[None]}


def _logits(graph: Graph) -> str:
    last = graph.producer(graph.outputs[0])
    return last.inputs[0] if last is not None and last.op == "Softmax" else graph.outputs[0]


@pytest.mark.parametrize(
    "name", ["squeezenet", "shufflenet", "inception_v1", "inception_v2", "resnet50", "densenet121"]
)
def test_a_network_that_no_one_here_wrote_is_as_steep_as_finite_differences_say(name: str) -> None:
    """Along the gradient itself, where the slope is its length; the kinks of some million units leave a per cent."""
    graph = _redrawn(name)
    logits, (image, picture) = _logits(graph), next(iter(_picture(graph).items()))
    found = gradient(graph, logits, 7, [image])[image]
    graph.outputs = [logits, found]
    session = Session(graph.to_bytes())
    slope = session.run({image: picture})[found]
    length = float(np.sqrt((slope.astype(np.float64) ** 2).sum()))
    way = (slope / length).astype(np.float32)

    def rise(step: float) -> float:
        up, down = (float(session.run({image: picture + s * way}, [logits])[logits].ravel()[7]) for s in (step, -step))
        return (up - down) / (2 * step * length)

    assert min(abs(rise(step) - 1) for step in (0.1, 0.03, 0.01)) < 0.01


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1"])
def test_a_network_that_no_one_here_wrote_agrees_with_autograd(name: str) -> None:
    torch = pytest.importorskip("torch", reason="its autograd is the judge")
    from tests.export.reverse import oracle

    graph = _redrawn(name)
    logits, (image, picture) = _logits(graph), next(iter(_picture(graph).items()))
    seen = torch.from_numpy(picture).double().requires_grad_()
    (wanted,) = torch.autograd.grad(oracle.run(graph, {image: seen})[logits].reshape(-1)[7], seen)
    found = gradient(graph, logits, 7, [image])[image]
    graph.outputs = [found]
    assert relative_error(Session(graph.to_bytes()).run({image: picture})[found], wanted.numpy()) < RELATIVE


def test_a_residual_network_from_torch_agrees_with_autograd() -> None:
    torch = pytest.importorskip("torch", reason="its autograd is the judge")
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels: int) -> None:
            super().__init__()
            parts = [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            self.way = nn.Sequential(*parts, nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(x + self.way(x))

    torch.manual_seed(3)
    stem = [nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    network = nn.Sequential(*stem, Residual(8), nn.MaxPool2d(2), Residual(8), *head).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    # Steps of 1/4 in the picture make ties: neighbours that are equal down to the last bit.
    picture = torch.round(4 * torch.randn(1, 3, 40, 56)) / 4
    program = torch.onnx.export(network, (picture,), dynamo=True, external_data=False, opset_version=20, verbose=False)
    graph = Graph.load(program.model_proto.SerializeToString(), "residual")
    (image,), (scores,) = graph.inputs, graph.outputs
    for index in (2, "argmax"):
        found = gradient(graph, scores, index, [image])[image]
        seen = picture.clone().requires_grad_()
        answer = network(seen)[0]
        (answer.max() if index == "argmax" else answer[index]).backward()
        other = graph.copy()
        other.outputs = [found]
        assert (
            relative_error(Session(other.to_bytes()).run({image: picture.numpy()})[found], seen.grad.numpy()) < RELATIVE
        )
