"""Attention rollout, held against the paper's own recipe in numpy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.attribution.add import add_attribution
from export.attribution.target import Target
from export.graph.graph import Graph
from export.session import Session
from runtime.contracts.errors import ModelError
from tests.export.attribution.networks import PICTURE, Network, pilot_like, transformer_like
from tests.export.attribution.test_gradient_activation import Wanted, picture

ROLLOUT = Wanted("attention-rollout")


def _by_the_paper(attentions: list[np.ndarray]) -> np.ndarray:
    """tokens x tokens: the product of (mean over heads + identity) / 2 over blocks, the last one leftmost."""
    product = np.eye(attentions[0].shape[-1])
    for attention in attentions:
        product = (attention[0].mean(axis=0) + np.eye(len(product))) / 2 @ product
    return product


@pytest.mark.parametrize("class_token", [True, False])
def test_the_map_is_the_paper_s_product_in_the_row_that_the_head_reads(class_token: bool) -> None:
    net, names = transformer_like(11, class_token, blocks=3)
    contract = add_attribution(net.graph, ROLLOUT, Target("steering", 1, -0.4), net.image)
    assert (contract.rows, contract.columns, contract.stride_y_px, contract.origin_x_px) == (3, 5, 8.0, 3.5)
    assert contract.scale == 1.0
    assert "unsigned" in contract.method
    net.graph.outputs += names
    session = Session(net.graph.to_bytes())
    for seed in range(3):
        answer = session.run({PICTURE: picture(net, seed)})
        product = _by_the_paper([answer[name].astype(np.float64) for name in names])
        expected = product[0, 1:] if class_token else product.mean(axis=0)
        np.testing.assert_allclose(answer["attribution"], expected.reshape(3, 5), rtol=1e-4)
        assert answer["attribution"].min() >= 0


def test_a_head_that_averages_only_the_patches_is_read_so() -> None:
    net = Network(24, 40, 12)
    net.patches(8, 16, class_token=True)
    names = [net.attention(heads=2) for _ in range(2)]
    starts, ends, axes = (np.array([each], np.int64) for each in (1, 16, 1))
    net.op("Slice", starts, ends, axes)
    net.at = net.graph.emit("ReduceMean", net.at, net.graph.constant(np.array([1], np.int64)), keepdims=0)
    net.dense(1)
    net.done()
    add_attribution(net.graph, ROLLOUT, Target("steering"), net.image)
    net.graph.outputs += names
    answer = Session(net.graph.to_bytes()).run({PICTURE: picture(net, 1)})
    expected = _by_the_paper([answer[name].astype(np.float64) for name in names])[1:, 1:].mean(axis=0)
    np.testing.assert_allclose(answer["attribution"], expected.reshape(3, 5), rtol=1e-4)


def test_attention_that_a_file_holds_as_one_standard_operator_is_read_too() -> None:
    """Opset 23 defines it by smaller operators, as which the graph is read."""
    net = Network(24, 40, 14)
    net.graph.opset = 23
    before = net.patches(8, 16, class_token=False)
    projected = []
    for _ in range(3):
        net.at = before
        projected.append(net.dense(16))
    net.at = net.graph.emit("Attention", *projected, q_num_heads=2, kv_num_heads=2)
    net.op("Add", before)
    net.at = net.graph.emit("ReduceMean", net.at, net.graph.constant(np.array([1], np.int64)), keepdims=0)
    net.dense(1)
    graph = Graph.load(net.done().to_bytes(), "one operator")
    add_attribution(graph, ROLLOUT, Target("steering"), net.image)
    net.graph.outputs += projected[:2]
    query, key = (
        Session(net.graph.to_bytes()).run({PICTURE: picture(net, 1)})[name].reshape(15, 2, 8).transpose(1, 0, 2)
        for name in projected[:2]
    )
    scores = np.exp(query.astype(np.float64) @ key.transpose(0, 2, 1) / np.sqrt(8))
    expected = _by_the_paper([(scores / scores.sum(axis=-1, keepdims=True))[None]]).mean(axis=0)
    found = Session(graph.to_bytes()).run({PICTURE: picture(net, 1)})["attribution"]
    np.testing.assert_allclose(found, expected.reshape(3, 5), rtol=1e-4)


def test_a_network_without_attention_is_refused() -> None:
    net = pilot_like(3)
    before = net.graph.to_bytes()
    with pytest.raises(ModelError, match="finds no Softmax whose result is multiplied with values"):
        add_attribution(net.graph, ROLLOUT, Target("steering"), net.image)
    assert net.graph.to_bytes() == before


def test_attention_among_fewer_tokens_from_block_to_block_is_refused() -> None:
    net = Network(24, 40, 13)
    net.patches(8, 16, class_token=False)
    net.attention(heads=2)
    starts, ends, axes, steps = (np.array([each], np.int64) for each in (0, 15, 1, 2))
    net.op("Slice", starts, ends, axes, steps)
    net.attention(heads=2)
    net.at = net.graph.emit("ReduceMean", net.at, net.graph.constant(np.array([1], np.int64)), keepdims=0)
    net.dense(1)
    net.done()
    with pytest.raises(ModelError, match=r"\[1, 2, 15, 15\] and the last one \[1, 2, 8, 8\]"):
        add_attribution(net.graph, ROLLOUT, Target("steering"), net.image)
