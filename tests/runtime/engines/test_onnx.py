"""The ONNX Runtime engine runs real networks, proves its providers and repeats itself."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.contracts.engine import Engine, EngineRequest
from runtime.contracts.errors import EngineError, ModelError, SightlineError
from runtime.contracts.model import ImageInput, Manifest
from runtime.contracts.registry import load
from runtime.engines.check import initial_state
from runtime.engines.onnx import open_engine
from tests.models import HEIGHT, STEERING, WIDTH, build, recurrent_policy, tiny_policy, two_camera_policy

CPU = ("CPUExecutionProvider",)


def opened(tmp_path: Path, data: bytes, providers: tuple[str, ...] = CPU, threads: int = 1) -> Engine:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return open_engine(EngineRequest(path, providers, threads, "all"))


def picture(seed: int = 1) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 256, (1, 66, 200, 3), dtype=np.uint8)


def test_a_decision_and_its_map_come_from_one_pass(tmp_path: Path) -> None:
    engine = opened(tmp_path, tiny_policy())
    outputs = engine.run({"image": picture(), "speed_mps": np.array([[10.0]], np.float32)})
    assert outputs["attribution"].shape == (3, 20)
    assert outputs["steering"].item() == pytest.approx(outputs["attribution"].sum(), abs=1e-5)
    assert outputs["steering"].item() != 0.0


def test_the_same_input_gives_the_same_bits_in_another_session(tmp_path: Path) -> None:
    inputs: dict[str, NDArray[Any]] = {"image": picture(), "speed_mps": np.array([[10.0]], np.float32)}
    first, second = (opened(tmp_path, tiny_policy()) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    for name, value in first.run(inputs).items():
        assert value.tobytes() == second.run(inputs)[name].tobytes()


def test_a_hidden_state_is_carried_from_pass_to_pass(tmp_path: Path) -> None:
    from runtime.contracts.model import manifest_of

    data = recurrent_policy(decay=0.5, initial=2.0)
    engine = opened(tmp_path, data)
    state = initial_state(manifest_of(data, "test"), engine.inputs)
    assert state["h"].tolist() == [[2.0] * 4]
    black = np.zeros((1, 66, 200, 3), np.uint8)
    once = engine.run({"image": black, **state})["h_next"]
    twice = engine.run({"image": black, "h": once})["h_next"]
    assert once.tolist() == [[1.0] * 4]
    assert twice.tolist() == [[0.5] * 4]


def test_several_cameras_are_named_inputs(tmp_path: Path) -> None:
    engine = opened(tmp_path, two_camera_policy())
    white, black = np.full((1, 66, 200, 3), 255, np.uint8), np.zeros((1, 66, 200, 3), np.uint8)
    assert engine.run({"image_left": white, "image_right": black})["steering"].item() == pytest.approx(0.2)
    assert engine.run({"image_left": black, "image_right": white})["steering"].item() == pytest.approx(-0.2)


def test_the_fingerprint_names_what_changes_arithmetic(tmp_path: Path) -> None:
    one = opened(tmp_path, tiny_policy()).fingerprint
    two = opened(tmp_path, tiny_policy(), threads=2).fingerprint
    assert (one.backend, one.provider, one.threads, one.optimisation) == ("onnxruntime", CPU[0], 1, "all")
    assert one.backend_version
    assert one.processor
    assert platform.machine() in one.system
    assert " ".join(platform.libc_ver()) in one.system
    assert one != two


def test_it_is_found_through_the_registry() -> None:
    assert load("sightline.engines", "onnxruntime") is open_engine


def test_an_absent_provider_is_refused_with_what_there_is_and_what_to_install(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider.*CPUExecutionProvider.*install"):
        opened(tmp_path, tiny_policy(), ("CUDAExecutionProvider", *CPU))


def test_a_provider_on_which_nothing_ran_is_refused(tmp_path: Path) -> None:
    import onnxruntime

    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no provider that takes no operator")
    with pytest.raises(EngineError, match="not one operator of the model ran on it"):
        opened(tmp_path, tiny_policy(), ("AzureExecutionProvider", *CPU))
    with pytest.raises(EngineError, match="cannot load it on AzureExecutionProvider"):
        opened(tmp_path, tiny_policy(), ("AzureExecutionProvider",))


def test_wrong_inputs_are_an_engine_error(tmp_path: Path) -> None:
    engine = opened(tmp_path, tiny_policy())
    speed: NDArray[Any] = np.array([[10.0]], np.float32)
    wrongs: list[dict[str, NDArray[Any]]] = [{}, {"image": picture()}, {"image": picture()[:, :5], "speed_mps": speed}]
    for wrong in wrongs:
        with pytest.raises(EngineError, match=r"model\.onnx"):
            engine.run(wrong)


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    engine = opened(tmp_path, tiny_policy())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({})


def test_a_file_cut_short_anywhere_is_a_clear_error(tmp_path: Path) -> None:
    data = tiny_policy()
    for size in (0, 1, 10, 1000, len(data) // 2, len(data) - 1):
        with pytest.raises(SightlineError, match=r"model\.onnx"):
            opened(tmp_path, data[:size])


def test_an_absent_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx: No such file"):
        open_engine(EngineRequest(tmp_path / "nothing.onnx", CPU, 1, "all"))


def shifting_policy(steering_shape: list[Any], extra: str) -> bytes:
    """Steers straight. With a white picture, outputs that follow `ones` (as many as white pixels) grow."""
    onnx = pytest.importorskip("onnx")
    oh, proto = onnx.helper, onnx.TensorProto
    nodes = [
        oh.make_node("Cast", ["image"], ["float"], to=proto.FLOAT),
        oh.make_node("ReduceMax", ["float"], ["brightest"], keepdims=0),
        oh.make_node("Mul", ["brightest", "per_level"], ["fraction"]),
        oh.make_node("Cast", ["fraction"], ["more"], to=proto.INT64),
        oh.make_node("Add", ["more", "one"], ["count"]),
        oh.make_node("ConstantOfShape", ["count"], ["ones"]),
        oh.make_node("ReduceSum", ["ones"], ["sum"], keepdims=1),
        oh.make_node("Identity", ["ones" if extra == "sum" else "sum"], ["steering"]),
    ]
    inputs = [oh.make_tensor_value_info("image", proto.UINT8, [1, HEIGHT, WIDTH, 3])]
    outputs = [
        oh.make_tensor_value_info("steering", proto.FLOAT, steering_shape),
        oh.make_tensor_value_info(extra, proto.FLOAT, None),
    ]
    constants: dict[str, NDArray[Any]] = {
        "per_level": np.array(2.0 / 255.0, np.float32),
        "one": np.array([1], np.int64),
    }
    image = ImageInput(name="image", width=WIDTH, height=HEIGHT)
    manifest = Manifest(name="shifting", graph_sha256="", images=(image,), outputs=(STEERING,))
    return build(nodes, inputs, outputs, constants, manifest)


def test_a_pass_whose_decision_changes_its_shape_is_refused_before_anybody_obeys_it(tmp_path: Path) -> None:
    engine = opened(tmp_path, shifting_policy(["n"], "sum"))
    black, white = np.zeros((1, 66, 200, 3), np.uint8), np.full((1, 66, 200, 3), 255, np.uint8)
    assert engine.run({"image": black})["steering"].shape == (1,)
    with pytest.raises(EngineError, match=r"model\.onnx: output 'steering' has the shape \[3\].*had \[1\]"):
        engine.run({"image": white})
    assert engine.run({"image": black})["steering"].shape == (1,)


def test_an_output_that_nothing_is_read_from_may_change_its_shape(tmp_path: Path) -> None:
    engine = opened(tmp_path, shifting_policy([1], "ones"))
    assert engine.run({"image": np.full((1, 66, 200, 3), 255, np.uint8)})["ones"].shape == (3,)


def test_what_a_record_cannot_hold_is_refused_before_anybody_obeys_the_pass(tmp_path: Path) -> None:
    engine = opened(tmp_path, optional_policy())
    assert engine.run({"image": np.zeros((1, 66, 200, 3), np.uint8)})["thought"].tolist() == [0.0]
    with pytest.raises(EngineError, match="output 'thought' is no tensor but a NoneType"):
        engine.run({"image": np.full((1, 66, 200, 3), 255, np.uint8)})


def optional_policy() -> bytes:
    """Steers by the brightest pixel; its output `thought` is a tensor where the picture is dark, else nothing."""
    onnx = pytest.importorskip("onnx")
    oh, proto = onnx.helper, onnx.TensorProto
    tensor = oh.make_tensor_type_proto(proto.FLOAT, [1])
    maybe = oh.make_optional_type_proto(tensor)
    some = oh.make_graph(
        [oh.make_node("Optional", ["level"], ["some"])], "some", [], [oh.make_value_info("some", maybe)]
    )
    none = oh.make_graph(
        [oh.make_node("Optional", [], ["none"], type=tensor)], "none", [], [oh.make_value_info("none", maybe)]
    )
    nodes = [
        oh.make_node("Cast", ["image"], ["float"], to=proto.FLOAT),
        oh.make_node("ReduceMax", ["float"], ["brightest"], keepdims=0),
        oh.make_node("Reshape", ["brightest", "one"], ["level"]),
        oh.make_node("Mul", ["level", "nothing"], ["steering"]),
        oh.make_node("Less", ["brightest", "grey"], ["dark"]),
        oh.make_node("If", ["dark"], ["thought"], then_branch=some, else_branch=none),
    ]
    inputs = [oh.make_tensor_value_info("image", proto.UINT8, [1, HEIGHT, WIDTH, 3])]
    outputs = [oh.make_tensor_value_info("steering", proto.FLOAT, [1]), oh.make_value_info("thought", maybe)]
    constants: dict[str, NDArray[Any]] = {
        "one": np.array([1], np.int64),
        "nothing": np.array([0], np.float32),
        "grey": np.array(128, np.float32),
    }
    image = ImageInput(name="image", width=WIDTH, height=HEIGHT)
    manifest = Manifest(name="optional", graph_sha256="", images=(image,), outputs=(STEERING,))
    return build(nodes, inputs, outputs, constants, manifest)
