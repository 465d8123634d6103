"""The back-end on stand-ins of GPU and TensorRT: memory, graph, proofs and refusals, each in a process of its own."""

from __future__ import annotations

import json

from runtime.contracts.registry import load, names
from runtime.engines.tensorrt.engine import open_engine
from runtime.engines.tensorrt.find import find_plan
from runtime.engines.tensorrt.plan_file import held_sha256
from tests.models import recurrent_policy, tiny_policy
from tests.runtime.engines.tensorrt.bench import Bench


def test_it_is_found_through_the_registry_with_its_plans() -> None:
    assert load("sightline.engines", "tensorrt") is open_engine
    assert load("sightline.plans", "tensorrt") is find_plan
    assert set(names("sightline.plans")) <= set(names("sightline.engines"))


OPENED = """
import ctypes, json, sys
from pathlib import Path
import numpy as np
from runtime.contracts.engine import EngineRequest
from runtime.contracts.errors import EngineError
from runtime.engines import onnx
from runtime.engines.open import open_engine
from runtime.contracts.config import EngineConfig
from runtime.engines.tensorrt.trial import trial_inputs
from runtime.contracts.model import read_manifest

live = ctypes.CDLL("libcuda.so.1").stand_in_live
model = Path("model.onnx")
engine = open_engine(EngineConfig(backend="tensorrt"), model)
"""


def test_a_pass_gives_what_the_graph_gives_and_everything_is_given_back(bench: Bench) -> None:
    assert bench.run("engine", "build", bench.model(recurrent_policy(decay=0.5, initial=2.0))).returncode == 0
    code = """
reference = onnx.open_engine(EngineRequest(model, ("CPUExecutionProvider",), 1, "all"))
assert engine.inputs == reference.inputs and engine.outputs == reference.outputs
for name, given in trial_inputs(read_manifest(model), engine.inputs, 5):
    expected, found = reference.run(given), engine.run(given)
    assert {k: v.tobytes() for k, v in expected.items()} == {k: v.tobytes() for k, v in found.items()}, name
kept = found["steering"].copy()
engine.run({**given, "h": given["h"] + 1})
assert (kept == found["steering"]).all(), "an answer must not be the buffer of the next pass"
assert live() > 5
engine.close(); engine.close()
assert live() == 0, live()
try: engine.run(given)
except EngineError as error: print(error)
"""
    assert "its engine was closed" in bench.python(OPENED + code)


def test_inputs_that_the_plan_does_not_take_are_refused(built: Bench) -> None:
    code = """
good = next(iter(trial_inputs(read_manifest(model), engine.inputs, 0)))[1]
picture = good["image"]
for wrong in (
    {"image": picture}, {**good, "image": picture[:, :-1]}, {**good, "image": picture.astype("float32")},
):
    try: engine.run(wrong)
    except EngineError as error: print(error)
"""
    missing, smaller, floats = built.python(OPENED + code).splitlines()
    assert missing.endswith("it takes image, speed_mps, and was given image")
    assert "input 'image' is uint8 of shape [1, 65, 200, 3]; it takes uint8 of shape [1, 66, 200, 3]" in smaller
    assert "input 'image' is float32" in floats


def test_the_fingerprint_names_plan_device_and_software(built: Bench) -> None:
    code = """
found = engine.fingerprint
print(json.dumps([found.backend, found.backend_version, found.processor, found.plan_sha256]))
"""
    backend, version, processor, plan = json.loads(built.python(OPENED + code))
    assert (backend, version, plan) == ("tensorrt", "10.3.0", held_sha256(built.plans[0]))
    assert "Stand-in (compute capability 8.7" in processor


def test_where_no_graph_can_be_captured_each_pass_is_enqueued_and_that_is_said(built: Bench) -> None:
    code = """
print(engine.graph)
reference = onnx.open_engine(EngineRequest(model, ("CPUExecutionProvider",), 1, "all"))
for _, given in trial_inputs(read_manifest(model), engine.inputs, 5):
    assert engine.run(given)["attribution"].tobytes() == reference.run(given)["attribution"].tobytes()
engine.close()
"""
    said = built.python(OPENED + code, STAND_IN_CUDA="no-capture")
    assert "TensorRT does not run" in said


def test_a_plan_that_does_not_repeat_itself_is_refused(bench: Bench) -> None:
    done = bench.run("engine", "build", bench.model(tiny_policy()), STAND_IN_FAULT="random")
    assert done.returncode == 2
    assert "two passes over the same input gave different" in done.stderr
    assert bench.plans == []


def test_a_build_that_is_told_to_end_says_so_and_shows_its_phases_before(bench: Bench) -> None:
    code = """
from pathlib import Path
from runtime.contracts.model import manifest_of
from runtime.engines.tensorrt.builder import build_plan
from runtime.engines.tensorrt.settings import BuildSettings

onnx, told = Path("model.onnx").read_bytes(), []
def on_step(step):
    told.append(str(step))
    return len(told) < 4
try: build_plan(onnx, manifest_of(onnx, "it"), "it", settings=BuildSettings(), timing=b"", on_step=on_step)
except Exception as error: print(error)
print(told)
"""
    bench.model(tiny_policy())
    said, told = bench.python(code, STAND_IN_STEPS="100").splitlines()
    assert said == "the build of it was cancelled"
    assert told == str(["Building 0/1", *(f"Building > Choosing tactics {step}/100" for step in range(3))])
