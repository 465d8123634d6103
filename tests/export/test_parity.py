"""Parity is told in figures on stated inputs, and refuses what is beyond its gates."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks are built with onnx (extra: dev)")

from export.explain import explain  # noqa: E402
from export.frames import frames_of  # noqa: E402
from export.parity import Tensors, parity, refuse, unreal_inputs  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import ExportError  # noqa: E402
from runtime.contracts.model import manifest_of  # noqa: E402
from tests.export.plain import FRAMES, HEIGHT, WIDTH, config, network  # noqa: E402

CONFIG = config()


def test_the_same_network_agrees_on_frames_noise_and_extremes() -> None:
    exported = explain(network(), CONFIG)
    source = config(FRAMES).frames.source
    assert source is not None
    frames = frames_of(manifest_of(exported, "m"), Session(exported).inputs, source, 4)
    found = parity(Session(network()).run, "given", exported, CONFIG, frames)
    assert found.passed
    refuse(found, "m")
    assert (found.frames, found.frames_sha256) == (4, frames.sha256)
    assert {"all 0", "all 255", "checkerboard of 1 px", "noise 0"} <= set(found.others)
    [control] = found.outputs
    assert control.name == "control"
    assert control.largest > 0.0
    assert control.max_abs <= 1e-6 < control.allowed
    assert control.cosine > 0.999999


def test_another_network_is_refused_with_the_figures() -> None:
    found = parity(Session(network(1)).run, "torch 9", explain(network(2), CONFIG), CONFIG, None)
    assert not found.passed
    [control] = found.outputs
    with pytest.raises(ExportError) as raised:
        refuse(found, "small")
    for words in ("small", "torch 9", "control differs by", f"{control.max_abs:.3g}", control.worst_input, "cosine"):
        assert words in str(raised.value)


def test_a_difference_on_a_single_input_is_found_and_named() -> None:
    session = Session(network())

    def wrong_on_white(inputs: Tensors) -> dict[str, np.ndarray]:
        outputs = session.run(inputs)
        return outputs if (inputs["pixels"] < 0.9).any() else {"control": outputs["control"] + 0.5}

    [control] = parity(wrong_on_white, "given", explain(network(), CONFIG), CONFIG, None).outputs
    assert control.worst_input == "all 255"
    assert control.max_abs == pytest.approx(0.5, abs=1e-5)
    assert not control.passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_in_one_of_the_two_is_refused_and_in_both_agrees(bad: float) -> None:
    session, exported = Session(network()), explain(network(), CONFIG)

    def spoilt(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"control": session.run(inputs)["control"] * np.array([[1.0, bad]], np.float32)}

    [control] = parity(spoilt, "given", exported, CONFIG, None).outputs
    assert not control.passed
    model = onnx.load_from_string(network())
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.CopyFrom(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(head) * np.array([[1.0], [bad]], np.float32), "head")
    )
    both = model.SerializeToString()
    [control] = parity(Session(both).run, "given", explain(both, CONFIG), CONFIG, None).outputs
    assert control.passed


def test_the_gates_are_the_configurations() -> None:
    for gates, passed in (("max_abs: 100, cosine: -1", True), ("max_abs: 100", False), ("cosine: -1", False)):
        said = config(f"parity: {{{gates}}}\n")
        assert parity(Session(network(1)).run, "given", explain(network(2), said), said, None).passed is passed, gates


def test_extreme_inputs_are_the_same_every_time_and_reach_both_ends_of_every_state() -> None:
    session = Session(explain(network(), CONFIG))
    first, again = (list(unreal_inputs(CONFIG, session)) for _ in range(2))
    for (label, tensors), (_, others) in zip(first, again, strict=True):
        assert tensors["pixels"].shape == (1, HEIGHT, WIDTH, 3), label
        for name in tensors:
            np.testing.assert_array_equal(tensors[name], others[name])
    speeds = {float(tensors["speed"][0, 0]) for _, tensors in first}
    assert speeds == {0.0, 3.5}, "scaled by 0.05, as the configuration says"
    board = next(tensors for label, tensors in first if label == "checkerboard of 1 px")["pixels"][0, :2, :2, 0]
    assert board.tolist() == [[0, 255], [255, 0]]
