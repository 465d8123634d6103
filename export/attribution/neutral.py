"""What a layer is where the picture shows nothing: from there its activation can be counted (cf. DeepLIFT; Shrikumar et
al., arXiv 1704.02685).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Array
from export.session import Session


def activation_of(graph: Graph, tensor: str, inputs: Mapping[str, Array]) -> Array:
    """A tensor of a graph for given inputs; those that are not named are zeros. Raises ModelError if it cannot run."""
    part = graph.copy()
    part.outputs = [tensor]
    fed = {name: inputs.get(name, np.zeros(value.shape, value.dtype)) for name, value in graph.inputs.items()}
    return Session(part.to_bytes()).run(fed)[tensor]
