"""What decides and what only explains is told apart by who needs it."""

from __future__ import annotations

from export.graph.graph import Graph
from export.precision.branch import decision_nodes, explanation_outputs
from runtime.contracts.model import Concept, manifest_of
from tests import models
from tests.export.precision import networks


def outside(onnx: bytes) -> set[str]:
    graph = Graph.load(onnx, "test")
    deciding = decision_nodes(graph, manifest_of(onnx, "test"))
    return {name for node in graph.nodes if node not in deciding for name in node.outputs}


def test_nodes_that_no_decision_needs_only_explain() -> None:
    onnx = networks.residual_policy()
    assert outside(onnx) == {"open", "g3", "g_flat", "g_sum", "product", "attribution"}


def test_a_map_that_the_decision_is_summed_from_belongs_to_the_decision() -> None:
    assert outside(models.tiny_policy()) == set()


def test_a_graph_without_an_explanation_only_decides() -> None:
    assert outside(models.recurrent_policy()) == set()


def test_the_maps_of_concepts_explain_and_their_values_decide() -> None:
    concepts = (
        Concept(name="offset", unit="m", output="steering", map="attribution"),
        Concept(name="gap", unit="m", output="acceleration"),
    )
    manifest = manifest_of(networks.with_manifest(networks.residual_policy(), concepts=concepts), "test")
    assert explanation_outputs(manifest) == {"attribution"}
    both = (Concept(name="offset", unit="m", output="attribution", map="attribution"),)
    manifest = manifest_of(networks.with_manifest(networks.residual_policy(), concepts=both), "test")
    assert explanation_outputs(manifest) == frozenset()
