"""The networks of the attribution's cost: ours with their committed weights, one that nobody here wrote, and a torch
twin that Captum can look into.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from export.config import ModelConfig, parse_model_config
from export.draft import draft
from export.explain import explain, graph_of, plain_of
from export.graph.graph import Graph
from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of

if TYPE_CHECKING:
    import torch

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
GRADIENT, UPWARD = "gradient-x-activation", "upward"


@dataclass(frozen=True)
class Variant:
    """One way to explain: the configuration's words, and the graph that they made."""

    method: str
    layer: str
    onnx: bytes


@dataclass(frozen=True)
class Network:
    """A network, its fastest export without a map, and its ways to explain; the first is its default."""

    name: str
    given: bytes
    config: ModelConfig
    plain: bytes
    variants: tuple[Variant, ...]


def reference(name: str) -> Network:
    """A reference policy with its committed weights."""
    given = (CONFIGS / f"{name}.onnx").read_bytes()
    config = parse_model_config((CONFIGS / "models" / f"{name}.yaml").read_text(encoding="utf-8"), name)
    contract = manifest_of(given, name).attribution
    own = Variant(config.attribution.method, "" if contract is None else contract.layer, given)
    return Network(name, given, config, plain_of(given, config), (own, *_variants(given, config)))


def squeezenet(seed: int = 0) -> Network:
    """SqueezeNet of the onnx package's test data. Its weights are constant there: they are drawn (He et al. 2015)."""
    import onnx

    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
    graph = Graph.load(path.read_bytes(), path.name)
    rng = np.random.default_rng(seed)
    for node in graph.nodes:
        if node.op == "Conv":
            shape = graph.constants[node.inputs[1]].shape
            fan_in = int(np.prod(shape[1:]))
            graph.constants[node.inputs[1]] = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
            graph.constants[node.inputs[2]] = rng.normal(0, 0.1, (shape[0],)).astype(np.float32)
    given = graph.to_bytes()
    config = parse_model_config(draft(given, "squeezenet"), "squeezenet")
    own = Variant(config.attribution.method, config.attribution.layer, explain(given, config))
    return Network("squeezenet", given, config, plain_of(given, config), (own, *_variants(given, config)))


def _variants(given: bytes, config: ModelConfig) -> Iterator[Variant]:
    """The frontier: the exact map at each of the last maps of convolutions, and that map carried up; what a graph does
    not allow is left out.
    """
    wanted = [(GRADIENT, layer) for layer in _layers(graph_of(given, config))] + [(UPWARD, "auto")]
    for method, layer in wanted:
        bare = msgspec.structs.replace(config.attribution, finer_layer="auto", baseline="none")
        asked = msgspec.structs.replace(bare, method=method, layer=layer)
        try:
            yield Variant(method, layer, explain(given, msgspec.structs.replace(config, attribution=asked)))
        except ModelError:
            continue


def _layers(graph: Graph) -> list[str]:
    """What the last four activations behind a convolution give, the last first."""
    found = [
        node.outputs[0]
        for node in graph.nodes
        if node.op == "Relu" and (before := graph.producer(node.inputs[0])) is not None and before.op == "Conv"
    ]
    return found[::-1][:4]


def torch_twin(plain: bytes) -> tuple[torch.nn.Module, list[torch.nn.Module]]:
    """The plain network as torch modules, for peers that need them: called with float32 pictures 1 x height x width x 3
    and the speed, it gives the steering; and its activations behind convolutions, in order.

    Knows the operators of `pilotnet`. Raises ModelError on another.
    """
    import torch
    from torch import nn

    graph = Graph.load(plain, "twin")
    constants = {name: torch.from_numpy(array.copy()) for name, array in graph.constants.items()}

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rectifiers = nn.ModuleList(nn.ReLU() for node in graph.nodes if node.op == "Relu")

        def forward(self, image: torch.Tensor, speed_mps: torch.Tensor) -> torch.Tensor:
            values = {**constants, "image": image, "speed_mps": speed_mps}
            rectifiers = iter(self.rectifiers)
            for node in graph.nodes:
                x, *rest = (values[name] for name in node.inputs if name)
                if node.op == "Relu":
                    found = next(rectifiers)(x)
                elif node.op == "Conv":
                    found = nn.functional.conv2d(x, rest[0], rest[1], stride=node.attributes.get("strides", [1, 1]))
                elif node.op == "Gemm":
                    a = x.T if node.attributes.get("transA") else x
                    b = rest[0].T if node.attributes.get("transB") else rest[0]
                    found = a @ b + (rest[1] if len(rest) > 1 else 0.0)
                elif node.op == "Reshape":
                    found = x.reshape(rest[0].tolist())
                elif node.op == "Transpose":
                    found = x.permute(node.attributes["perm"])
                elif node.op == "Cast":
                    found = x.float()
                elif node.op in ("Add", "Mul", "Sub"):
                    found = {"Add": x.add, "Mul": x.mul, "Sub": x.sub}[node.op](rest[0])
                else:
                    raise ModelError(f"the torch twin knows no {node.op}; teach it, or compare another network")
                values[node.outputs[0]] = found
            return values["steering_angle_rad"]

    twin = Twin().eval()
    convolved = [node for node in graph.nodes if node.op == "Relu"]
    behind = [
        module
        for node, module in zip(convolved, twin.rectifiers, strict=True)
        if (before := graph.producer(node.inputs[0])) is not None and before.op == "Conv"
    ]
    return twin, behind
