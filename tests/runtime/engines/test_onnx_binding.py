"""A bound pass gives the bits of an unbound one, and what it gave stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from runtime.contracts.engine import EngineRequest, TensorSpec
from runtime.contracts.errors import EngineError
from runtime.engines import onnx_binding
from runtime.engines.onnx import open_engine
from runtime.engines.onnx_binding import Binding, device_of
from tests.models import recurrent_policy, tiny_policy

Arrays = dict[str, NDArray[Any]]


def session_of(data: bytes) -> Any:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def bound(session: Any, feed: Arrays, fixed: frozenset[str] | None = None) -> Binding:
    names = [output.name for output in session.get_outputs()]
    outputs = _specs(dict(zip(names, session.run(None, feed), strict=True)))
    chosen = frozenset(names) if fixed is None else fixed
    return Binding(onnxruntime, session, "cpu", inputs=_specs(feed), outputs=outputs, fixed=chosen)


def feed_of(seed: int) -> Arrays:
    picture = np.random.default_rng(seed).integers(0, 256, (1, 66, 200, 3), dtype=np.uint8)
    return {"image": picture, "speed_mps": np.array([[10.0 + seed]], np.float32)}


@pytest.mark.parametrize("fixed", [None, frozenset({"steering"}), frozenset()], ids=["all", "one", "none"])
def test_a_bound_pass_gives_the_bits_of_an_unbound_one(fixed: frozenset[str] | None) -> None:
    session = session_of(tiny_policy())
    binding = bound(session, feed_of(0), fixed)
    for seed in range(3):
        plain = session.run(None, feed_of(seed))
        outputs = binding.run(feed_of(seed))
        assert list(outputs) == [output.name for output in session.get_outputs()]
        for value, expected in zip(outputs.values(), plain, strict=True):
            assert (value.dtype, value.shape, value.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_what_a_pass_gave_is_not_written_over_by_the_next() -> None:
    binding = bound(session_of(tiny_policy()), feed_of(0))
    first = binding.run(feed_of(1))
    kept = {name: value.copy() for name, value in first.items()}
    second = binding.run(feed_of(2))
    assert first["steering"].tobytes() != second["steering"].tobytes()
    assert all(first[name].tobytes() == value.tobytes() for name, value in kept.items())


def test_a_hidden_state_goes_back_in() -> None:
    session = session_of(recurrent_policy(decay=0.5, initial=2.0))
    feed: Arrays = {"image": np.zeros((1, 66, 200, 3), np.uint8), "h": np.full((1, 4), 2.0, np.float32)}
    binding = bound(session, feed)
    once = binding.run(feed)["h_next"]
    assert binding.run({**feed, "h": once})["h_next"].tolist() == [[0.5] * 4]


def test_an_input_that_lies_otherwise_in_memory_is_taken_in_its_own_order() -> None:
    session = session_of(tiny_policy())
    feed = feed_of(3)
    turned = {**feed, "image": np.asfortranarray(feed["image"])}
    assert bound(session, feed).run(turned)["steering"] == session.run(None, feed)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"speed_mps": np.array([[10.0]])}, "'speed_mps' is float64"),
        ({"image": np.zeros((1, 66, 200, 1), np.uint8)}, "'image' is uint8"),
        ({"other": np.zeros(1)}, "it takes image, speed_mps"),
    ],
)
def test_an_input_that_there_is_no_room_for_is_refused(change: Arrays, said: str) -> None:
    binding = bound(session_of(tiny_policy()), feed_of(0))
    with pytest.raises(ValueError, match=said):
        binding.run({**feed_of(0), **change})


def test_an_engine_whose_tensors_are_bound_answers_and_refuses_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_policy())
    request = EngineRequest(path, ("CPUExecutionProvider",), 1, "all")
    plain = open_engine(request).run(feed_of(4))
    monkeypatch.setitem(onnx_binding._DEVICES, "CPUExecutionProvider", "cpu")
    engine = open_engine(request)
    assert {name: value.tobytes() for name, value in engine.run(feed_of(4)).items()} == {
        name: value.tobytes() for name, value in plain.items()
    }
    with pytest.raises(EngineError, match="'speed_mps' is float64"):
        engine.run({**feed_of(4), "speed_mps": np.array([[10.0]])})
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.run(feed_of(4))


def test_only_a_gpu_has_memory_of_its_own() -> None:
    assert device_of(("CPUExecutionProvider",)) is None
    assert device_of(("CUDAExecutionProvider", "CPUExecutionProvider")) == "cuda"


def _specs(arrays: Arrays) -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, str(value.dtype), value.shape) for name, value in arrays.items()}
