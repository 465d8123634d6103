"""`sightline engine` from outside, on stand-ins of GPU and TensorRT: real processes, real files."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.contracts import onnx_file
from runtime.contracts.model import attach_manifest, manifest_of, read_manifest
from runtime.engines.tensorrt.plan_file import held_sha256
from tests.docs.pages import ROOT
from tests.models import build, tiny_policy
from tests.runtime.engines.tensorrt.bench import Bench, bench, built, libraries, workshop

__all__ = ["bench", "built", "libraries", "workshop"]
DOC_STRING = 6  # the field of an ONNX file that nothing reads
ROAD = "proving-ground://lane?seed=1&duration_s=1&width=160&height=90"


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command with --json printed."""
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_plan_is_built_once_judged_and_found_again(bench: Bench) -> None:
    model = bench.model(tiny_policy())
    first = answer(bench.run("engine", "build", model, "--json"))
    second = answer(bench.run("engine", "build", model, "--json"))
    assert (first["built"], second["built"]) == (True, False)
    assert first["record"] == second["record"]
    assert first["graph"] == ""
    parity, latency = first["record"]["parity"], first["record"]["latency"]
    assert {one["name"] for one in parity["outputs"]} == {"steering", "acceleration", "attribution"}
    assert parity["inputs"] == 20
    assert 0 < latency["p50_us"] <= latency["p99_us"]
    assert [str(path) for path in bench.plans] == [first["plan"]]
    assert not list(bench.cache.glob("staging-*"))
    listed = answer(bench.run("engine", "list", "--json"))
    assert [(plan["key"], plan["state"]) for plan in listed["plans"]] == [(first["record"]["key"], "usable")]
    checked = answer(bench.run("engine", "check", model, "--json"))
    assert checked["refusal"] == ""


def test_people_are_told_in_words(built: Bench) -> None:
    said = built.run("engine", "build", "model.onnx", "--again")
    assert "parity    steering: largest difference 0 (" in said.stdout
    assert "one CUDA graph each" in said.stdout
    assert "0:00 building" in said.stderr
    assert "1 plan(s) in" in built.run("engine", "list").stdout
    checked = built.run("engine", "check", "model.onnx", STAND_IN_CUDA="no-capture")
    assert "verdict   may drive" in checked.stdout
    assert "passes    enqueued one by one: TensorRT does not run model.onnx" in checked.stdout


def test_another_version_of_tensorrt_is_another_plan_and_the_old_one_is_not_used(built: Bench) -> None:
    bench, model = built, "model.onnx"
    refused = bench.run("engine", "check", model, STAND_IN_TENSORRT="10.16.0")
    assert refused.returncode == 2
    assert "sightline engine build model.onnx" in refused.stderr
    answer(bench.run("engine", "build", model, "--json", STAND_IN_TENSORRT="10.16.0"))
    assert len(bench.plans) == 2
    states = {plan["state"] for plan in answer(bench.run("engine", "list", "--json"))["plans"]}
    assert "usable" in states
    assert any("built on another device" in state and "10.16.0" in state for state in states)


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "12.0.0"])
def test_a_version_that_nobody_looked_at_is_refused(built: Bench, version: str) -> None:
    done = built.run("engine", "build", "model.onnx", STAND_IN_TENSORRT=version)
    assert done.returncode == 2
    assert f"TensorRT {version} is installed; install one from 10.3 to 11" in done.stderr


def test_a_plan_beyond_the_manifests_tolerance_is_not_taken_and_the_one_in_use_stays(built: Bench) -> None:
    bench, model = built, "model.onnx"
    before = bench.plans[0].read_bytes()
    refused = bench.run("engine", "build", model, "--again", STAND_IN_FAULT="off")
    assert refused.returncode == 2
    assert "'steering' is off by 0.5" in refused.stderr
    assert "'attribution' is off by 0.5" in refused.stderr
    assert "the plan in use stays" in refused.stderr
    assert [path.read_bytes() for path in bench.plans] == [before]
    allowed = answer(
        bench.run("engine", "build", model, "--again", "--tolerance", "0.6", "--json", STAND_IN_FAULT="off")
    )
    assert allowed["built"]
    assert allowed["timing_cache"], "the tactics' times of the builds before are used"
    off = bench.run("engine", "check", model, "--json", STAND_IN_FAULT="off")
    assert off.returncode == 1
    assert "'steering' is off by 0.5" in json.loads(off.stdout)["refusal"]


def test_a_pass_that_takes_too_long_is_not_taken(bench: Bench) -> None:
    done = bench.run("engine", "build", bench.model(tiny_policy()), "--limit-ms", "0.001")
    assert done.returncode == 2
    assert "ms, allowed is 0.00 ms" in done.stderr
    assert bench.plans == []


def test_a_build_that_gives_no_plan_says_what_tensorrt_said(bench: Bench) -> None:
    done = bench.run("engine", "build", bench.model(tiny_policy()), STAND_IN_FAULT="no-plan")
    assert done.returncode == 2
    assert "Could not find any implementation for node conv1" in done.stderr


def test_a_graph_that_tensorrt_cannot_take_is_refused_by_its_node(bench: Bench) -> None:
    import onnx

    data = tiny_policy()
    graph = onnx.load_from_string(data).graph
    square = onnx.helper.make_node("Det", ["grid"], ["det"], name="square")
    cut = onnx.helper.make_node("Slice", ["attribution", "zero", "three", "last"], ["grid"])
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    constants |= {"zero": np.array([0]), "three": np.array([3]), "last": np.array([1])}
    outputs = [*graph.output, onnx.helper.make_tensor_value_info("det", onnx.TensorProto.FLOAT, [])]
    changed = build([*graph.node, cut, square], list(graph.input), outputs, constants, manifest_of(data, "tiny"))
    done = bench.run("engine", "build", bench.model(changed))
    assert done.returncode == 2
    assert "cannot take its graph: Det 'square': no importer for operator Det" in done.stderr


def test_a_builder_that_is_killed_is_an_error_that_says_so(bench: Bench) -> None:
    done = bench.run("engine", "build", bench.model(tiny_policy()), STAND_IN_FAULT="die")
    assert done.returncode == 2
    assert "ended by SIGKILL (out of memory? see dmesg" in done.stderr
    assert not list(bench.cache.glob("staging-*"))


@pytest.mark.parametrize("model", ["nothing.onnx", "text.onnx"])
def test_what_is_no_model_is_refused_before_anything_is_made(bench: Bench, model: str) -> None:
    (bench.folder / "text.onnx").write_text("text")
    done = bench.run("engine", "build", model)
    assert done.returncode == 2
    assert model in done.stderr
    assert not bench.cache.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build",), "no model is named: sightline engine build MODEL.onnx"),
        (("list", "x.onnx"), "list takes no model"),
        (("build", "x.onnx", "--level", "9"), "--level"),
        (("build", "x.onnx", "--tolerance", "-1"), "--tolerance -1.0: at least 0"),
        (("check", "x.onnx", "--limit-ms", "nan"), "--limit-ms nan: more than 0"),
        (("build", "x.onnx", "--limit-mib", "0"), "--limit-mib 0: at least 1"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_name(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    done = bench.run("engine", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "beyond_model", [-1000, 20, 300], ids=["the model's copy", "the plan", "the plan with its record"]
)
def test_a_full_disk_is_a_clear_error_and_leaves_the_plan_that_was_there(built: Bench, beyond_model: int) -> None:
    before = {path: path.read_bytes() for path in built.plans}
    limit = (built.folder / "model.onnx").stat().st_size + beyond_model
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "engine", "build", "model.onnx", "--again"],
        env=built.environment(),
        cwd=built.folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # what a write meets in the end
    )
    assert done.returncode == 2
    assert "File too large; make room, or choose another" in done.stderr
    assert {path: path.read_bytes() for path in built.plans} == before
    assert not list(built.cache.glob("staging-*"))


def test_a_limit_that_the_plan_does_not_fit_keeps_the_cache_as_it_is(built: Bench) -> None:
    data = tiny_policy()
    longer = onnx_file.without_metadata(data) + onnx_file.length_delimited(DOC_STRING, bytes(2 << 20))
    before = built.plans
    big = built.model(attach_manifest(longer, manifest_of(data, "tiny")), "big.onnx")
    done = built.run("engine", "build", big, "--limit-mib", "1")
    assert done.returncode == 2
    assert "raise --limit-mib" in done.stderr
    assert built.plans == before


def test_ctrl_c_ends_a_build_at_its_next_step_and_leaves_nothing(bench: Bench) -> None:
    building = bench.start("engine", "build", bench.model(tiny_policy()), STAND_IN_STEPS="1000000")
    assert building.stderr is not None
    while "Choosing tactics" not in building.stderr.readline():
        assert building.poll() is None
    building.send_signal(signal.SIGINT)
    _, said = building.communicate()
    assert building.returncode == 2
    assert "interrupted" in said
    assert bench.plans == []
    assert not list(bench.cache.glob("staging-*"))
    again = bench.run("engine", "build", "model.onnx", "--no-wait")
    assert again.returncode == 0, again.stderr


def test_two_builds_of_one_model_are_one(bench: Bench) -> None:
    model = bench.model(tiny_policy())
    slow = bench.start("engine", "build", model, "--json", STAND_IN_STEPS="600")
    assert slow.stderr is not None
    slow.stderr.readline()  # it holds the device
    refused = bench.run("engine", "build", model, "--no-wait")
    waited = bench.run("engine", "build", model, "--json")
    printed, _ = slow.communicate()
    assert refused.returncode == 2
    assert f"process {slow.pid} (building model.onnx" in refused.stderr
    assert f"waiting: process {slow.pid} (building model.onnx" in waited.stderr
    assert json.loads(printed)["built"]
    assert not answer(waited)["built"]
    assert len(bench.plans) == 1


def test_a_run_without_a_plan_is_refused_with_the_command_that_builds_it(bench: Bench) -> None:
    (bench.folder / "car.yaml").write_text(f"model: {bench.model(tiny_policy())}\nengine: {{backend: tensorrt}}\n")
    none = bench.run("run", "car.yaml", "--source", ROAD, "--json")
    assert none.returncode == 2
    error = json.loads(none.stderr.splitlines()[-1])["error"]
    assert f"takes minutes: sightline engine build {bench.folder / 'model.onnx'}" in error
    assert not (bench.folder / "drives").exists()


REPLAYED = """
import json, os
from pathlib import Path
from review.info import info
from review.replay import replay

drive = Path(os.environ["DRIVE"])
def told(**more):
    try:
        report = replay(drive, workers=1, **more)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return [report.verdict, report.fingerprint_matches]

answers = {"own": told(), "other": told(backend="onnxruntime"), "plan": info(drive).fingerprint.plan_sha256}
home, os.environ["XDG_DATA_HOME"] = os.environ["XDG_DATA_HOME"], "another"
answers["elsewhere"] = told()
os.environ["XDG_DATA_HOME"] = home
plan = drive / "model.plan"
plan.write_bytes(plan.read_bytes()[:-1] + b"!")
answers["changed"], answers["noted"] = told(), info(drive).not_as_it_drove
plan.unlink()
answers["gone"] = told()
print(json.dumps(answers))
"""


def test_a_drive_keeps_its_plan_and_replay_uses_that_one_or_another_back_end(built: Bench) -> None:
    (built.folder / "car.yaml").write_text("model: model.onnx\nengine: {backend: tensorrt}\n")
    drive = Path(built.folder, answer(built.run("run", "car.yaml", "--source", ROAD, "--json"))["drive"])
    [plan] = built.plans
    assert (drive / "model.plan").read_bytes() == plan.read_bytes()
    digest = held_sha256(plan)
    plan.unlink()  # the cache's may go
    answers = json.loads(built.python(REPLAYED, DRIVE=str(drive)))
    assert answers["plan"] == digest
    assert answers["own"] == ["identical", True]
    assert answers["other"] == ["identical", False]
    assert "EngineError: the plan " in answers["elsewhere"]
    assert "was not built by this user on this device" in answers["elsewhere"]
    assert "--backend onnxruntime" in answers["elsewhere"]
    assert "is not the plan that drove" in answers["changed"]
    assert "is not the plan that drove" in answers["noted"][0]
    assert "the plan that drove, is not there" in answers["gone"]


def test_the_doctor_tries_the_back_end_itself(bench: Bench) -> None:
    model = bench.model(tiny_policy())
    (bench.folder / "car.yaml").write_text(f"model: {model}\nengine: {{backend: tensorrt}}\n")
    checks = json.loads(bench.run("doctor", "--config", "car.yaml", "--json").stdout)["checks"]
    [engine] = [check for check in checks if check["check"] == "engine tensorrt"]
    assert engine["verdict"] == "fail"
    assert "sightline engine build" in engine["found"]


def test_a_packaged_model_is_built_by_the_name_that_a_configuration_gives_it(bench: Bench) -> None:
    first = answer(bench.run("engine", "build", "concepts.onnx", "--json"))
    assert first["record"]["subject"]["graph_sha256"] == read_manifest(ROOT / "configs" / "concepts.onnx").graph_sha256
