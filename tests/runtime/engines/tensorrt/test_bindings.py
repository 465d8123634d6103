"""Our code against NVIDIA's own bindings, imported without their libraries: names, flags and signatures, no more."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.runtime.engines.tensorrt import uses
from tests.runtime.engines.tensorrt.bench import BINDINGS, STAND_IN, fetched

PACKAGE = ROOT / "runtime" / "engines" / "tensorrt"


def within(version: str, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python where the bindings of one version are installed."""
    folder = fetched(version)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "LD_LIBRARY_PATH": str(folder / "lib"),
    }
    return subprocess.run(
        [sys.executable, *command], env=environment, input=stdin, capture_output=True, text=True, check=False
    )


def wrong(version: str, found: list[uses.Use]) -> list[str]:
    """What the bindings of one version have otherwise."""
    done = within(version, str(Path(uses.__file__)), stdin=uses.as_json(found))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["version"] == version
    problems: list[str] = answer["problems"]
    return problems


@pytest.mark.parametrize("version", BINDINGS)
def test_everything_that_our_code_uses_is_in_these_bindings_with_that_signature(version: str) -> None:
    found = uses.uses_of(PACKAGE)
    assert len(found) > 50
    assert {"STRONGLY_TYPED", "execute_async_v3"} <= {use.path.rpartition(".")[2] for use in found}
    assert wrong(version, found) == []


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("flag = trt.BuilderFlag.FP16", "there is no trt.BuilderFlag.FP16"),
        ("config: IBuilderConfig = x\nconfig.int8_calibrator = y", "there is no IBuilderConfig.int8_calibrator"),
        ("engine: ICudaEngine = x\nengine.get_tensor_name()", "get_tensor_name takes"),
        ("cache: ITimingCache = x\ncache.combine(y, mismatch=True)", "combine takes"),
        ("runtime = trt.Runtime(x)", "without an annotation"),
        ("engine: ICudaEngine = x\ncontext: Builder = engine.create_execution_context()", "is kept as Builder"),
        ("class M(trt.IProgressMonitor):\n def step_complete(self, phase, step): ...", "step_complete takes"),
        ("tensor: ITensor = x\ntensor.is_network_input = True", "cannot be set"),
    ],
)
def test_the_check_sees_what_the_newest_bindings_do_not_have(code: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "bindings.py").write_text((PACKAGE / "bindings.py").read_text(encoding="utf-8"))
    known = uses.uses_of(tmp_path)
    (tmp_path / "wrong.py").write_text(f"def f(x, y):\n{textwrap.indent(code, ' ')}\n")
    found = [use for use in uses.uses_of(tmp_path) if use not in known]
    [said] = wrong("11.4.0.106", found)
    assert problem in said


_LIVE = """
import tensorrt
from runtime.engines.tensorrt import bindings
from runtime.engines.tensorrt.builder import Step, _monitor, dtype_name

trt, log = bindings.load(), bindings.Log()
logger = bindings.make_logger(trt, log)
logger.log(trt.ILogger.Severity.ERROR, "one\\n two")
logger.log(trt.ILogger.Severity.WARNING, "left out")
assert log.why() == "one two", log
steps = []
monitor, _ = _monitor(trt, lambda step: steps.append(step) or len(steps) < 4)
assert isinstance(monitor, trt.IProgressMonitor)
monitor.phase_start("outer", None, 2)
monitor.phase_start("inner", "outer", 5)
assert monitor.step_complete("inner", 0) is True
assert monitor.step_complete("inner", 1) is False
assert steps[2] == Step(("outer", "inner"), 1, 5), steps
names = {kind.name: dtype_name(trt, kind) for kind in (trt.DataType.FLOAT, trt.DataType.HALF, trt.DataType.UINT8,
         trt.DataType.INT64, trt.DataType.BOOL, trt.DataType.BF16)}
assert names == {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT64": "int64", "BOOL": "bool",
                 "BF16": "BF16"}, names
assert 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) > 0
assert tuple(trt.Dims((1, 66, 200, 3))) == (1, 66, 200, 3)
"""


@pytest.mark.parametrize("version", BINDINGS)
def test_logger_monitor_types_and_shapes_work_as_the_bindings_own_classes(version: str) -> None:
    done = within(version, "-c", _LIVE)
    assert done.returncode == 0, done.stderr


_STAND_IN = """
import importlib.util, inspect, json, sys
from enum import IntEnum
spec = importlib.util.spec_from_file_location("stand_in", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = []
for name, kind in vars(module).items():
    if isinstance(kind, type) and kind.__module__ == "stand_in":
        found.append([name, "", None])
        for attribute, value in vars(kind).items():
            if issubclass(kind, IntEnum):
                if attribute in kind.__members__:
                    found.append([name, attribute, None])
            elif inspect.isfunction(value) and (attribute == "__init__" or not attribute.startswith("_")):
                found.append([name, attribute, list(inspect.signature(value).parameters)[1:]])
            elif not attribute.startswith("_"):
                found.append([name, attribute, None])
print(json.dumps(found))
"""
MADE_BY_TENSORRT = (
    *("IHostMemory", "ITensor", "INetworkDefinition", "ParserError", "ITimingCache", "IBuilderConfig"),
    *("IExecutionContext", "ICudaEngine"),
)


@pytest.mark.parametrize("version", BINDINGS)
def test_the_stand_in_has_nothing_that_these_bindings_have_otherwise(version: str) -> None:
    pytest.importorskip("onnx", reason="the stand-in reads ONNX with the onnx package")
    done = subprocess.run(
        [sys.executable, "-c", _STAND_IN, str(STAND_IN / "tensorrt" / "__init__.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    members = json.loads(done.stdout)
    assert len(members) > 60
    found = []
    for owner, member, parameters in members:
        if parameters is None:
            found.append(uses.Use("stand-in", "", f"{owner}.{member}".rstrip(".")))
        elif not (member == "__init__" and owner in MADE_BY_TENSORRT):
            found.append(uses.Use("stand-in", owner, member, call=(0, tuple(parameters))))
    assert wrong(version, found) == []


def test_a_signature_is_read_from_a_docstring_of_several() -> None:
    def run() -> None: ...

    run.__doc__ = inspect.cleandoc(
        """run(*args, **kwargs)
        Overloaded function.

        1. run(self: a.B, name: str, shape: Dict[str, int] = <X: 0>) -> bool

        2. run(self: a.B) -> a.C
        """
    )
    assert uses.signatures(run) == [([("name", False), ("shape", True)], "bool"), ([], "a.C")]
    assert uses.accepts([("name", False), ("shape", True)], 1, ())
    assert not uses.accepts([("name", False), ("shape", True)], 0, ("shape",))
    assert not uses.accepts([("name", False)], 1, ("name",))
