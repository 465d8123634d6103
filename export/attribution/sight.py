"""What every tensor of a graph sees of a source: boxes carried forward, operator by operator. See `bounds`.

Whatever a class token, a channel shuffle or a space-to-depth does to places is followed, since every element has its
own box. An operator that is not known here mixes all places, as a fully connected layer does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from export.attribution.bounds import Bounds, alike, joined, nothing, over, sees, thin
from export.attribution.sight_rules import RULES, Shape
from export.graph.graph import Graph
from export.graph.inference import evaluate
from export.graph.values import Node

ELEMENTWISE = frozenset(
    {"Abs", "Add", "And", "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear"}
    | {"Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid"}
    | {"HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min"}
    | {"Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round"}
    | {"Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh"}
    | {"ThresholdedRelu", "Where", "Xor"}
)
RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_MOVES = RESHAPES | {"Transpose", "Concat", "Slice", "Gather", "GatherElements", "GatherND", "Split", "Expand", "Tile",
                     "DepthToSpace", "SpaceToDepth"}  # fmt: skip
_BLIND = frozenset({"Shape", "Size", "Constant", "ConstantOfShape", "Range"})
# By the first axis of those that share one mean and deviation; LpNormalization and LRN have but that axis.
_NORMS = {"LayerNormalization": -1, "RMSNormalization": -1, "LpNormalization": -1, "GroupNormalization": 1,
          "InstanceNormalization": 2, "LRN": 1}  # fmt: skip
_FIRST_INPUT_ONLY = frozenset({"BatchNormalization", "Dropout", "QuantizeLinear", "DequantizeLinear", "Clip"})


@dataclass(frozen=True)
class Sight:
    """The boxes of tensors by name, of those that the source reaches; `mixed` are those whose places were mixed with
    all others on a second way, which their boxes leave out.
    """

    bounds: dict[str, Bounds]
    mixed: frozenset[str]


def look(graph: Graph, source: str, start: Bounds, nodes: Iterable[Node] | None = None) -> Sight:
    """Carry the boxes `start` of the tensor `source` through the graph, or only through `nodes` (as they run)."""
    bounds, mixed = {source: start}, set[str]()
    for node in graph.nodes if nodes is None else nodes:
        if source in node.outputs or not any(name in bounds for name in node.inputs):
            continue
        found, mixes = _through(graph, node, bounds)
        mixes = mixes or any(name in mixed for name in node.inputs)
        for name, box in zip((name for name in node.outputs if name), found, strict=True):
            if sees(box).any():
                bounds[name] = thin(box)
                mixed.update([name] if mixes else [])
    return Sight(bounds, frozenset(mixed))


def _through(graph: Graph, node: Node, known: dict[str, Bounds]) -> tuple[list[Bounds], bool]:
    """The boxes of a node's outputs that are not absent, and whether all places met those of one."""
    shapes = [graph.value(name).shape for name in node.outputs if name]
    rank = len(shapes[0])
    boxes = [known.get(name, nothing(len(graph.value(name).shape))) if name else nothing(0) for name in node.inputs]
    others = [nothing(len(shape)) for shape in shapes[1:]]  # masks and statistics, which nothing reads at inference
    if not node.domain:
        if node.op in _BLIND:
            return [nothing(rank), *others], False
        if node.op in ELEMENTWISE:
            box, mixes = joined(boxes[:1] if node.op in _FIRST_INPUT_ONLY else boxes, rank)
            return [box, *others], mixes
        if node.op in _NORMS:
            first = int(node.attributes.get("axis", _NORMS[node.op])) % rank
            axes = [first] if node.op in ("LpNormalization", "LRN") else range(first, rank)
            box, mixes = joined([boxes[0], over(boxes[0], axes)], rank)
            return [box, *others], mixes
        if node.op in _MOVES:
            return _moved(graph, node, boxes, shapes), False
        if node.op in RULES:
            return [RULES[node.op](graph, node, boxes, shapes[0]), *others], False
    return _everything(boxes, shapes), False


def _everything(boxes: list[Bounds], shapes: list[Shape]) -> list[Bounds]:
    """Every element sees all that any input sees."""
    union = np.minimum.reduce([over(box, range(box.ndim - 1)).reshape(4) for box in boxes])
    return [union.reshape(4, *(1,) * len(shape)) for shape in shapes]


def _moved(graph: Graph, node: Node, boxes: list[Bounds], shapes: list[Shape]) -> list[Bounds]:
    rank = len(shapes[0])
    if node.op == "Transpose":
        axes = node.attributes.get("perm") or range(rank)[::-1]
        return [boxes[0].transpose(0, *(axis + 1 for axis in axes))]
    if node.op == "Concat":
        axis = int(node.attributes["axis"]) % rank
        if axis == 1 and rank == 4 and all(box.shape[2] == 1 for box in boxes):
            # Channels beside channels: what reads them reads them all, and hundreds of boxes each would take seconds.
            return [functools.reduce(np.minimum, boxes)]
        parts = [
            np.broadcast_to(box, (4, *graph.value(name).shape)) for name, box in zip(node.inputs, boxes, strict=True)
        ]
        return [np.concatenate(parts, axis=axis + 1)]
    if sees(boxes[0]).all() and alike(boxes[0]):
        return _everything(boxes[:1], shapes)
    whole = np.broadcast_to(boxes[0], (4, *graph.value(node.inputs[0]).shape))
    if node.op in RESHAPES:
        return [whole.reshape(4, *shapes[0])]
    constants = [graph.constants.get(name) for name in node.inputs[1:]]
    if any(name and value is None for name, value in zip(node.inputs[1:], constants, strict=True)):
        return _everything(boxes[:1], shapes)  # where it moves them is known only when it runs
    sides = [evaluate(node, graph.opset, [side, *constants]) for side in whole]
    return [np.stack([side[i] for side in sides]) for i in range(len(shapes))]
