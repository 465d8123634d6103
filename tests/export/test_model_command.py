"""`sightline model`: a file's promises in words, and what changed between two files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="networks are built with onnx (extra: dev)")

from export.config import parse_model_config  # noqa: E402
from export.explain import explain  # noqa: E402
from runtime.commands.main import main  # noqa: E402
from runtime.contracts.model import manifest_of  # noqa: E402
from tests.export.plain import CONFIG, config, network  # noqa: E402
from tests.models import recurrent_policy, two_camera_policy  # noqa: E402

FRAMES = "proving-ground://lane?seed=5&duration_s=4&width=160&height=90"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(explain(network(), config("description: made in a test\n")))
    return path


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """What the verb prints where it answers `code`."""
    assert main(["model", *map(str, arguments)]) == code
    out = capsys.readouterr()
    return out.err if code == 2 else out.out


def test_a_model_is_shown_with_everything_that_it_promises(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, 0, "show", model)
    manifest = manifest_of(model.read_bytes(), "m")
    for words in (
        "small",
        manifest.graph_sha256,
        "made in a test",
        "40 x 24 uint8 NHWC BGR of camera front",
        "speed: speed_mps x 0.05",
        "control[0] x 0.25: steering_angle_rad, valid -0.8 to 0.8",
        "control[1] x 1: acceleration_mps2",
        "gradient x activation (HiResCAM), at second",
        "6 x 10",
        "not judged",
    ):
        assert words in shown, words


def test_a_memory_several_cameras_and_a_network_that_cannot_drive_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "memory.onnx").write_bytes(recurrent_policy())
    (tmp_path / "two.onnx").write_bytes(two_camera_policy())
    assert "h_next goes into h; starts at 0, again at gap" in said(capsys, 0, "show", tmp_path / "memory.onnx")
    shown = said(capsys, 0, "show", tmp_path / "two.onnx")
    assert "of camera left" in shown
    assert "of camera right" in shown
    assert "map          none" in shown


def test_the_verdict_beside_a_model_is_shown_and_one_of_another_network_is_not(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worth = {"verdict": "worth showing", "reasons": ["it beats edges"]}
    report = model.with_name("small.report.json")
    sha = manifest_of(model.read_bytes(), "m").graph_sha256
    report.write_text(json.dumps({"graph_sha256": sha, "worth": worth}), encoding="utf-8")
    assert "worth showing\n             it beats edges\n" in said(capsys, 0, "show", model)
    found = json.loads(said(capsys, 0, "show", model, "--json"))
    assert found["worth"]["verdict"] == "worth showing"
    assert found["manifest"]["graph_sha256"] == sha
    assert found["report"] == str(report)
    report.write_text(json.dumps({"graph_sha256": "0" * 64, "worth": worth}), encoding="utf-8")
    assert "judged another network" in said(capsys, 0, "show", model)


def test_a_model_is_the_same_as_itself(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, 0, "diff", model, model, "--frames", FRAMES, "--count", "4")
    assert "graphs       the same" in shown
    assert "frames       4 of" in shown
    assert "verdict      the same" in shown


def test_what_differs_is_told_in_decisions_and_explanations(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(explain(network(1), config("description: other words\n")))
    arguments: list[str | Path] = ["diff", model, other, "--frames", FRAMES, "--count", "4"]
    shown = said(capsys, 1, *arguments)
    for words in ("manifest     description", "steering_angle_rad: mean", "rank correlation median", "NOT the same"):
        assert words in shown, words
    found = json.loads(said(capsys, 1, *arguments, "--json"))
    assert found["same"] is False
    [steering] = [change for change in found["diff"]["decisions"] if change["name"] == "steering_angle_rad"]
    assert steering["max"] > found["tolerance"]


def test_other_words_are_no_difference_and_another_limit_is_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed, narrower = tmp_path / "renamed.onnx", tmp_path / "narrower.onnx"
    renamed.write_bytes(explain(network(), config("description: other words\n")))
    text = CONFIG.replace("maximum: 0.8", "maximum: 0.7") + "description: made in a test\n"
    narrower.write_bytes(explain(network(), parse_model_config(text, "f.yaml")))
    assert "verdict      the same" in said(capsys, 0, "diff", model, renamed, "--frames", FRAMES, "--count", "3")
    assert "outputs[0].maximum" in said(capsys, 1, "diff", model, narrower, "--frames", FRAMES, "--count", "3")


def test_a_decision_beyond_the_tolerance_is_a_difference_and_one_within_it_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = onnx.load_from_string(network())
    [head] = [node for node in shifted.graph.node if "control" in node.output]
    head.output[:] = ["unshifted"]
    shifted.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 2), 0.01, np.float32), "shift"))
    shifted.graph.node.append(onnx.helper.make_node("Add", ["unshifted", "shift"], ["control"]))
    for tolerance, code in (("0.0001", 1), ("0.1", 0)):
        said_of_both = config(f"tolerance: {tolerance}\n")
        for name, plain in (("one", network()), ("other", shifted.SerializeToString())):
            (tmp_path / name).write_bytes(explain(plain, said_of_both))
        shown = said(capsys, code, "diff", tmp_path / "one", tmp_path / "other", "--frames", FRAMES, "--count", "3")
        assert "rank correlation median 1.000" in shown
        assert "largest 0.01 m/s" in shown


def test_a_map_that_only_one_of_them_has_is_a_difference(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = tmp_path / "without.onnx"
    without.write_bytes(explain(network(), config("attribution: {method: none}\n")))
    assert "only the first has it" in said(capsys, 1, "diff", model, without, "--frames", FRAMES, "--count", "3")


def test_what_cannot_be_shown_or_compared_is_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(network())
    assert "no manifest" in said(capsys, 2, "show", bare)
    assert "No such file" in said(capsys, 2, "show", tmp_path / "absent.onnx")
    assert "takes 1 file" in said(capsys, 2, "show", model, model)
    assert "takes 2 file" in said(capsys, 2, "diff", model)
    assert "--frames" in said(capsys, 2, "diff", model, model)
    assert "No such file" in said(capsys, 2, "diff", model, tmp_path / "absent.onnx", "--frames", FRAMES)
    assert "absent.mp4" in said(capsys, 2, "diff", model, model, "--frames", "absent.mp4")
