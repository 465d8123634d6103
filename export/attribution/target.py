"""What is explained: one number that the network gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from export.attribution.sight import RESHAPES
from export.graph.graph import Graph
from runtime.contracts.errors import ModelError
from runtime.contracts.model import OutputQuantity

_SQUASHED = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
_VIEWS = RESHAPES | {"Identity", "Cast"}


@dataclass(frozen=True)
class Target:
    """Element `index` of the flattened output `output`, or its largest in each pass; times `scale` it is `quantity`."""

    output: str
    index: int | Literal["argmax"] = 0
    scale: float = 1.0
    quantity: OutputQuantity = "steering_angle_rad"


@dataclass(frozen=True)
class AskedTensor:
    """The tensor that is differentiated for a target, its element, and what to tell where it is not the output."""

    tensor: str
    index: int | Literal["argmax"]
    note: str = ""


def asked_tensor(graph: Graph, target: Target) -> AskedTensor:
    """The tensor of a target in the graph: for a score, what went into the softmax or sigmoid.

    The derivative of a probability vanishes where the network is sure, and tells of the rivals as much as of the class
    itself; the logit's does not. Both functions rise, so the largest element is the same one. Quantities with a unit
    are asked as they come out, whatever makes them.

    Raises:
        ModelError: the graph has no such output, or the output no such element.
    """
    if target.output not in graph.outputs:
        raise ModelError(
            f"attribution: the target {target.output!r} is no output; the network gives {', '.join(graph.outputs)}"
        )
    value = graph.value(target.output)
    if target.index != "argmax" and not 0 <= target.index < value.size:
        raise ModelError(
            f"attribution: the target is element {target.index} of {target.output!r}, which has {value.size} "
            f"(shape {list(value.shape)}); give an index below that"
        )
    name = target.output
    while target.quantity == "score" and (node := graph.producer(name)) is not None and not node.domain:
        if node.op in _SQUASHED:
            what = f"of the logit before the {_SQUASHED[node.op]}"
            return AskedTensor(node.inputs[0], target.index, what)
        if node.op not in _VIEWS:
            break
        name = node.inputs[0]
    return AskedTensor(target.output, target.index)
