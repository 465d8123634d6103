"""Which part of an explained graph decides, and which only explains."""

from __future__ import annotations

from export.graph.graph import Graph
from export.graph.values import Node
from runtime.contracts.model import Manifest


def explanation_outputs(manifest: Manifest) -> frozenset[str]:
    """Outputs of the graph that only explain: the attribution and the concepts' maps, unless one is read as a decision
    as well.
    """
    explain = {concept.map for concept in manifest.concepts if concept.map}
    if manifest.attribution is not None:
        explain.add(manifest.attribution.output)
    decide = {output.name for output in manifest.outputs} | {concept.output for concept in manifest.concepts}
    decide |= {recurrent.output for recurrent in manifest.recurrent}
    return frozenset(explain - decide)


def decision_nodes(graph: Graph, manifest: Manifest) -> frozenset[Node]:
    """The nodes that some output other than an explanation needs. All others are the explanation branch."""
    explain = explanation_outputs(manifest)
    needed = {name for name in graph.outputs if name not in explain}
    makers = {name: node for node in graph.nodes for name in node.outputs if name}
    found: set[Node] = set()
    waiting = [makers[name] for name in needed if name in makers]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(makers[name] for name in node.inputs if name in makers)
    return frozenset(found)
