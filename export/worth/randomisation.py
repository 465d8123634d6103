"""Does the map change when the network forgets? Adebayo et al., Sanity Checks for Saliency Maps, arXiv 1810.03292.

Weights are redrawn in the plain network, from the output towards the input, and each copy is explained anew. A map that
stays as it was does not show what the network has learnt there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from export.agreement import rank_correlation
from export.graph.graph import Graph
from export.worth.bootstrap import figure
from export.worth.redraw import Cascade, cascade, redrawn
from export.worth.subject import Inputs, Map, Subject
from export.worth.verdict import Randomisation, RandomisedStage
from runtime.contracts.errors import ModelError

MOST_STAGES = 8
Explain = Callable[[bytes], bytes]


def randomisation(
    graph: Graph, explain: Explain, subject: Subject, frames: Sequence[Inputs], seeds: tuple[int, ...]
) -> Randomisation:
    """Redraw the head, and on from there, for every seed.

    Networks explained: stages x seeds. Passes: frames for the maps as they are, frames x stages x seeds besides.

    Args:
        graph: the plain network.
        explain: makes the explained ONNX of a plain one.
        subject: the explained network as it is; its passes are counted up.
        frames: what the maps are taken of.
        seeds: of the draws, at least one.

    Raises:
        ModelError: a redrawn copy is explained on another grid.
    """
    order = cascade(graph, subject.manifest, subject.attribution)
    maps = [subject.view(inputs).map for inputs in frames]
    stages = []
    for count in stage_sizes(order):
        pairs = []
        for seed in seeds:
            other = Subject(explain(redrawn(graph, order.layers[:count], seed)), "with redrawn weights")
            pairs.append(_correlations(maps, [other.view(inputs).map for inputs in frames]))
            subject.passes += other.passes
        stages.append(_stage(order, count, np.array(pairs)))
    return Randomisation(seeds, tuple(layer.name for layer in order.layers[: order.head]), tuple(stages))


def stage_sizes(order: Cascade) -> tuple[int, ...]:
    """How many layers each stage has redrawn: the last, the head, all, and evenly between; `MOST_STAGES` at most."""
    total = len(order.layers)
    if total <= MOST_STAGES:
        return tuple(range(1, total + 1))
    even = np.linspace(1, total, MOST_STAGES - 1).round().astype(int).tolist()
    return tuple(sorted({*even, order.head}))


def _correlations(maps: Sequence[Map], found: Sequence[Map]) -> list[tuple[float, float]]:
    """Signed and absolute rank correlation of each frame's map with that of the redrawn network."""
    if found[0].shape != maps[0].shape:
        raise ModelError(
            f"the network with redrawn weights is explained on {found[0].shape[0]} x {found[0].shape[1]} cells, the "
            f"network itself on {maps[0].shape[0]} x {maps[0].shape[1]}; name attribution.layer in the configuration"
        )
    return [(rank_correlation(a, b), rank_correlation(np.abs(a), np.abs(b))) for a, b in zip(maps, found, strict=True)]


def _stage(order: Cascade, count: int, pairs: NDArray[np.float64]) -> RandomisedStage:
    """`pairs` is seeds x frames x (signed, absolute); NaN where a map was constant."""
    signed, absolute = pairs[..., 0], pairs[..., 1]
    return RandomisedStage(
        layer=order.layers[count - 1].name,
        layers=count,
        head=count == order.head,
        signed=_mean(np.abs(signed)),
        absolute=_mean(np.abs(absolute)),
        by_seed=tuple(_mean(of_seed) for of_seed in signed),
        compared=int(np.isfinite(signed).sum()),
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return figure(finite.mean()) if finite.size else None
