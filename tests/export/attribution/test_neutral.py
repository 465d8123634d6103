"""Activation counted from what a neutral picture gives."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.agreement import relative_error
from export.attribution.add import add_attribution
from export.attribution.target import Target
from export.session import Session
from tests.export.attribution import oracle
from tests.export.attribution.networks import PICTURE, Network, pilot_like, residual_like
from tests.export.attribution.test_gradient_activation import RELATIVE, Wanted, picture

NETWORKS = {"plain": pilot_like, "residual": residual_like}


def _grey(net: Network) -> dict[str, np.ndarray]:
    return {PICTURE: np.full(net.graph.inputs[PICTURE].shape, 128, np.uint8)}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_map_is_autograds_gradient_times_the_difference_from_the_neutral_picture(kind: str) -> None:
    explained, bare = NETWORKS[kind](7), NETWORKS[kind](7)
    neutral = _grey(explained)
    wanted = Wanted(baseline="neutral")
    contract = add_attribution(explained.graph, wanted, Target("steering", 1), explained.image, neutral=neutral)
    bare.graph.outputs.append(contract.layer)
    zero = Session(bare.graph.to_bytes()).run(neutral)[contract.layer]
    session = Session(explained.graph.to_bytes())
    for seed in range(3):
        seen = {PICTURE: picture(bare, seed)}
        product = oracle.gradient_times(
            bare.graph, seen, "steering", 1, contract.layer, counted_from=zero.astype(np.float64)
        )
        assert relative_error(session.run(seen)["attribution"], product.sum(axis=(0, 1))) < RELATIVE
    assert "neutral picture" in contract.method


def test_the_neutral_picture_itself_has_no_part() -> None:
    net = pilot_like(7)
    neutral = _grey(net)
    add_attribution(net.graph, Wanted("upward", baseline="neutral"), Target("steering"), net.image, neutral=neutral)
    found = Session(net.graph.to_bytes()).run(neutral)["attribution"]
    np.testing.assert_allclose(found, 0.0, atol=1e-7)
