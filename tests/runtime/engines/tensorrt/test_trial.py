"""The inputs that a plan is tried on are a model's whole range, and the same every time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtime.contracts.engine import EngineRequest
from runtime.contracts.model import ImageInput, StateInput, manifest_of
from runtime.engines import onnx
from runtime.engines.tensorrt.trial import trial_inputs
from tests.models import recurrent_policy, tiny_policy, two_camera_policy


@pytest.mark.parametrize("data", [tiny_policy(), recurrent_policy(initial=2.0), two_camera_policy()])
def test_every_input_is_one_that_the_model_takes_and_the_seed_repeats_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    manifest = manifest_of(data, "model")
    engine = onnx.open_engine(EngineRequest(tmp_path / "model.onnx", ("CPUExecutionProvider",), 1, "all"))
    first, again = (list(trial_inputs(manifest, engine.inputs, 7)) for _ in range(2))
    other = list(trial_inputs(manifest, engine.inputs, 8))
    assert len({name for name, _ in first}) == len(first) == 20
    for (_, one), (_, two) in zip(first, again, strict=True):
        engine.run(one)
        assert {name: value.tobytes() for name, value in one.items()} == {n: v.tobytes() for n, v in two.items()}
    assert any(
        one[name].tobytes() != two[name].tobytes()
        for (_, one), (_, two) in zip(first, other, strict=True)
        for name in one
    )


def test_pictures_and_states_reach_both_ends(tmp_path: Path) -> None:
    from runtime.contracts.engine import TensorSpec

    manifest = manifest_of(tiny_policy(), "tiny")
    manifest = msgspec.structs.replace(
        manifest,
        images=(ImageInput(name="image", width=20, height=10, layout="NCHW"),),
        states=(StateInput(name="speed_mps", quantity="speed_mps", scale=0.5),),
    )
    specs = {
        "image": TensorSpec("image", "uint8", (1, 3, 10, 20)),
        "speed_mps": TensorSpec("speed_mps", "float32", (1, 1)),
    }
    found = dict(trial_inputs(manifest, specs, 0))
    assert found["black"]["image"].max() == 0
    assert found["white"]["image"].min() == 255
    assert [found[name]["speed_mps"].item() for name in ("black", "white")] == [0.0, 30.0]
    assert set(np.unique(found["checkerboard"]["image"])) == {0, 255}
    ramp = found["ramp"]["image"]
    assert ramp.shape == (1, 3, 10, 20)
    assert (np.diff(ramp[0, 0, 0].astype(int)) > 0).all()
    smooth = found["smooth noise 8"]["image"].astype(int)
    rough = found["rough noise 0"]["image"].astype(int)
    assert np.abs(np.diff(smooth, axis=3)).mean() < np.abs(np.diff(rough, axis=3)).mean()
