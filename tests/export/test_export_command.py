"""`sightline export`: from the command line to a folder, or to one clear line and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.companion import companion_of  # noqa: E402
from export.config import load_model_config  # noqa: E402
from export.explain import explain  # noqa: E402
from runtime.commands.main import main  # noqa: E402
from runtime.contracts.model import read_manifest  # noqa: E402
from runtime.contracts.worth import read_worth  # noqa: E402
from tests.export.plain import CONFIG, FRAMES, network, written  # noqa: E402

SIGHTLINE = Path(sysconfig.get_path("scripts")) / "sightline"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
WITHOUT_TORCH = (
    "import sys\nsys.modules['torch'] = None\nfrom runtime.commands.main import main\nsys.exit(main(sys.argv[1:]))"
)


def names(folder: Path) -> list[str]:
    """What a folder shows."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a refused command says."""
    assert main(["export", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_an_onnx_file_is_exported_without_torch(tmp_path: Path) -> None:
    model, config = written(tmp_path, network(), FRAMES + "worth: {judge: false}\n")
    arguments = ["export", str(model), "--config", str(config), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == ["small.onnx", "small.report.html", "small.report.json", "small.yaml"]
    report = json.loads(done.stdout)
    assert report["graph_sha256"] == read_manifest(tmp_path / "out" / "small.onnx").graph_sha256
    assert report["parity"]["frames"] == 10
    assert json.loads((tmp_path / "out" / "small.report.json").read_text()) == report
    assert (tmp_path / "out" / "small.yaml").read_text() == config.read_text()
    expected = explain(network(), load_model_config(config))
    assert (tmp_path / "out" / "small.onnx").read_bytes() == expected


def test_frames_bring_a_verdict_and_other_precisions_with_reports_of_their_own(tmp_path: Path) -> None:
    calibration = "proving-ground://lane?seed=6&duration_s=4&width=160&height=90"
    more = f'{FRAMES}precision: {{fp16: true, int8: {{calibration: "{calibration}", frames: 8}}}}\ncompanion: true\n'
    gates = "drift: {decision_mean: 1, decision_p99: 1, explanation_median: -1, explanation_p5: -1}\n"
    model, config = written(tmp_path, network(), more + gates)
    assert main(["export", str(model), "--config", str(config), "--out", str(tmp_path / "out")]) == 0
    found = names(tmp_path / "out")
    for form in ("", ".fp16", ".int8"):
        assert {f"small{form}.onnx", f"small{form}.report.json"} <= set(found)
        file = tmp_path / "out" / f"small{form}.onnx"
        worth = read_worth(file, read_manifest(file))
        assert worth.verdict in ("worth showing", "not worth showing")
        assert worth.reasons
    companion = companion_of((tmp_path / "out" / "small.gradient.onnx").read_bytes(), "companion")
    assert companion.graph_sha256 == read_manifest(tmp_path / "out" / "small.onnx").graph_sha256
    report = json.loads((tmp_path / "out" / "small.report.json").read_text())
    assert {"attribution", "gradient x input", "edges"} <= {
        curve["map"] for curve in report["worth"]["removal"]["curves"]
    }


def test_a_report_names_its_frames_as_the_configuration_does_and_not_where_this_machine_keeps_them(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((90, 160, 3), 40 * number, np.uint8))
    model, config = written(tmp_path, network(), "frames: {source: pictures}\nworth: {judge: false}\n")
    assert main(["export", str(model), "--config", str(config), "--out", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out" / "small.report.json").read_text()
    assert json.loads(report)["parity"]["frames_source"] == "pictures"
    assert str(tmp_path) not in report + (tmp_path / "out" / "small.report.html").read_text()


def test_a_companion_that_no_gradient_reaches_is_left_out_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, config = written(tmp_path, network(impassable=True), "companion: true\n")
    assert main(["export", str(model), "--config", str(config), "--out", str(tmp_path / "out")]) == 1
    assert "no companion: no gradient through Det" in capsys.readouterr().out
    assert "small.onnx" in names(tmp_path / "out")
    assert "small.gradient.onnx" not in names(tmp_path / "out")


def test_a_precision_that_changes_more_than_its_gate_allows_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = f"{FRAMES}precision: {{fp16: true}}\ndrift: {{decision_mean: 0}}\nworth: {{judge: false}}\n"
    model, config = written(tmp_path, network(), more)
    assert main(["export", str(model), "--config", str(config), "--out", str(tmp_path / "out")]) == 1
    assert "fp16 was not written" in capsys.readouterr().out
    assert "small.fp16.onnx" not in names(tmp_path / "out")
    assert "small.onnx" in names(tmp_path / "out")


def test_without_a_configuration_a_draft_is_used_written_and_can_be_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = LIGHT / "light_squeezenet.onnx", tmp_path / "out"
    assert main(["export", str(given), "--out", str(out)]) == 0
    assert "no frames.source" in capsys.readouterr().out
    draft = out / "light_squeezenet.yaml"
    manifest = read_manifest(out / "light_squeezenet.onnx")
    assert manifest.output("score") is not None
    assert manifest.attribution is not None
    assert manifest.attribution.target_index == "argmax"
    draft.write_text(draft.read_text().replace("colour: RGB", "colour: BGR"), encoding="utf-8")
    assert "changed since" in refused(capsys, given, "--out", out)
    assert main(["export", str(given), "--config", str(draft), "--out", str(out)]) == 0
    assert read_manifest(out / "light_squeezenet.onnx").images[0].colour == "BGR"
    assert "colour: BGR" in draft.read_text()


def test_what_no_gradient_passes_is_exported_with_a_warning_or_refused_where_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, config = written(tmp_path, network(impassable=True))
    assert main(["export", str(model), "--config", str(config), "--out", str(tmp_path / "out")]) == 0
    assert "no attribution: no gradient through Det" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "small.report.json").read_text())
    assert "Det" in report["without_map"]
    assert report["worth"]["verdict"] == "not judged"
    assert "Det" in report["worth"]["reasons"][0]
    model, config = written(tmp_path, network(impassable=True), "attribution: {method: gradient-x-activation}\n")
    assert "Det" in refused(capsys, model, "--config", config, "--out", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_every_refusal_says_what_is_wrong_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, config = written(tmp_path, network())
    out, bad = tmp_path / "out", tmp_path / "bad.yaml"
    (tmp_path / "text.onnx").write_text("no graph", encoding="utf-8")
    before = set(tmp_path.iterdir()) | {bad}
    tried: list[tuple[str, list[str | Path], list[str]]] = [
        (CONFIG, [tmp_path / "absent.onnx", "--config", config], ["absent.onnx", "No such file"]),
        (CONFIG, [tmp_path / "text.onnx", "--config", config], ["no ONNX"]),
        (CONFIG, [tmp_path / "text.onnx"], ["no ONNX"]),
        (CONFIG, [model, "--config", tmp_path / "absent.yaml"], ["absent.yaml", "no such configuration"]),
        (CONFIG, [model, "--config", config, "--weights", config], ["--weights", "torch module"]),
        (CONFIG.replace("width: 40", "width: forty"), [model, "--config", bad], ["bad.yaml:4", "images.0.width"]),
        (CONFIG.replace("width: 40", "width: 41"), [model, "--config", bad], ["[1, 3, 24, 41]", "[1, 3, 24, 40]"]),
        (CONFIG.replace("name: speed,", "name: velocity,"), [model, "--config", bad], ["velocity", "speed"]),
        (CONFIG + "frames: {source: absent.mp4}\n", [model, "--config", bad], ["absent.mp4"]),
        (
            CONFIG + FRAMES + "precision: {int8: {calibration: absent_drive}}\n",
            [model, "--config", bad],
            ["absent_drive"],
        ),
        (
            CONFIG.replace("0.0078125", "0.0079") + "parity: {max_abs: 0, relative: 0}\n",
            [model, "--config", bad],
            ["control differs by", "(allowed 0,", "cosine"],
        ),
    ]
    for text, arguments, said in tried:
        bad.write_text(text, encoding="utf-8")
        error = refused(capsys, *arguments, "--out", out)
        for words in said:
            assert words in error, error
        assert set(tmp_path.iterdir()) == before, error


def test_an_error_of_json_is_one_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, tmp_path / "absent.onnx", "--out", tmp_path / "out", "--json")
    assert "absent.onnx" in json.loads(error)["error"]


def test_where_the_extra_is_not_installed_the_verb_says_how_to_install_it(tmp_path: Path) -> None:
    script = (
        "import sys, importlib.util as util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'onnx' else found(name, *more)\n"
        "from runtime.commands.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "export", "a.onnx", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not installed here: onnx;" in done.stderr
    assert "[export]" in done.stderr


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom runtime.commands.main import main\n"
        "for verb in ('export', 'model'):\n"
        "    try: main([verb, '--help'])\n"
        "    except SystemExit: pass\n"
        "print('heavy:', *(n for n in ('numpy', 'onnx', 'onnxruntime', 'torch', 'msgspec') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "heavy:"


def test_ctrl_c_leaves_what_stood_there(tmp_path: Path) -> None:
    model, config = written(tmp_path, network(), FRAMES)
    out = tmp_path / "out"
    assert main(["export", str(model), "--config", str(config), "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    script = (
        "import os, signal, sys\nimport export.pipeline as pipeline\n"
        "real = pipeline.write_report\n"
        "def interrupted(*given):\n    real(*given)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "pipeline.write_report = interrupted\n"
        "from runtime.commands.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    arguments = ["export", str(model), "--config", str(config), "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "sightline: interrupted"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given.onnx", "out", "small.yaml"]


def test_a_torch_module_is_exported_as_its_onnx_would_be_whatever_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the network is a torch module (extra: export)")
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "policy.py").write_text(TORCH, encoding="utf-8")
        (folder / "small.yaml").write_text(CONFIG, encoding="utf-8")
        command = [str(SIGHTLINE), "export", "policy.py:Policy", "--config", "small.yaml", "--out", "out"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append((folder / "out" / "small.onnx").read_bytes())
    assert made[0] == made[1]
    for trace in (b"policy.py", str(tmp_path).encode(), b"site-packages", b"torch.nn", b"pkg."):
        assert trace not in made[0]
    report = json.loads((tmp_path / "one" / "out" / "small.report.json").read_text())
    assert report["parity"]["reference"].startswith("torch")
    assert read_manifest(tmp_path / "one" / "out" / "small.onnx").attribution is not None


def test_a_torch_module_without_a_configuration_is_asked_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the network is a torch module (extra: export)")
    assert "needs --config" in refused(capsys, "policy.py:Policy", "--out", "out")


TORCH = """\
import torch
from torch import nn

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.hidden, self.head = nn.Linear(8 * 6 * 10 + 1, 6), nn.Linear(6, 2)

    def forward(self, pixels, speed):
        x = torch.relu(self.second(torch.relu(self.first(pixels))))
        return self.head(torch.relu(self.hidden(torch.cat([x.flatten(1), speed], 1))))
"""
