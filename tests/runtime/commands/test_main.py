"""The command's frame: help, exit codes, and errors in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sightline
from review.verify import script
from runtime.commands import console
from runtime.commands.main import main
from runtime.contracts import registry
from tests.another_user import closed


def test_help_names_every_registered_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for verb in registry.names("sightline.commands"):
        assert f"    {verb} " in said or f"    {verb}\n" in said


@pytest.mark.parametrize("verb", registry.names("sightline.commands"))
def test_every_verb_has_help_with_an_example_and_json(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"example: sightline {verb}" in said
    assert "--json" in said


def test_no_verb_and_an_unknown_verb_could_not_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == 2
    assert "fly" in capsys.readouterr().err


def test_an_error_is_one_line_for_people_and_an_object_for_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.yaml")
    assert main(["config", absent]) == 2
    said = capsys.readouterr().err
    assert said.startswith("sightline: ")
    assert said.count("\n") == 1
    assert main(["config", absent, "--json"]) == 2
    assert absent in json.loads(capsys.readouterr().err)["error"]


def test_a_path_that_this_user_may_not_use_is_one_line_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    assert main(["info", str(tmp_path)]) == 2  # imports what it needs, which the other user may not read either
    capsys.readouterr()
    with closed(tmp_path / "theirs"):
        assert main(["info", str(tmp_path / "theirs" / "drive")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sightline: {tmp_path / 'theirs' / 'drive'} may not be used by this user")
    assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["verify", "info", "custody", "recover"])
def test_a_path_that_is_too_long_is_one_line_that_names_it(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    assert main([verb, long]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sightline: {long} ")
    assert said.count("\n") == 1


def test_config_prints_the_defaults_as_yaml_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    assert "jpeg_quality: 80" in capsys.readouterr().out
    assert main(["config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["jpeg_quality"] == 80


def test_doctor_runs_a_real_inference_and_names_the_mend_of_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", "--out", str(tmp_path)]) == 0
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["engine CPU"]["verdict"] == "ok"
    config = tmp_path / "gpu.yaml"
    config.write_text("engine:\n  providers: [NoSuchExecutionProvider]\n", encoding="utf-8")
    assert main(["doctor", "--json", "--config", str(config), "--out", str(tmp_path)]) == 1
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["engine NoSuch"]["verdict"] == "fail"
    assert checks["engine NoSuch"]["mend"]


def test_the_command_refuses_to_start_where_another_package_shadows_ours(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "__init__.py").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import sys, sightline; sys.exit(sightline.main())", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert str(tmp_path / "export") in done.stderr
    assert "PYTHONPATH" in done.stderr


@pytest.mark.parametrize(
    ("module", "entry"), [("runtime.commands.main", sightline.main), (script.__name__, script.command)]
)
def test_a_defect_is_no_answer_and_never_ends_with_the_exit_code_of_a_no(
    module: str, entry: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(f"{module}.main", broken)
    assert entry() == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "nobody thought of this" in said
    assert "defect" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_takes_nothing_is_one_line_and_one_that_went_away_is_none() -> None:
    command = [sys.executable, "-m", "sightline", "config"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("sightline: standard output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1
    reader, writer = os.pipe()
    os.close(reader)
    gone = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (gone.returncode, gone.stderr) == (2, "")


def test_an_example_stands_on_one_line_however_narrow_the_terminal_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit):
        main(["bundle", "--help"])
    said = capsys.readouterr().out.splitlines()
    example = next(line for line in said if line.startswith("example: "))
    assert example.endswith("--out evidence/")
    assert max(len(line) for line in said if line.startswith("hand over")) <= 40


def test_an_output_of_few_letters_gets_the_others_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "kö").mkdir()
    command = [sys.executable, "-m", "sightline", "recover", str(tmp_path / "nö")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 2
    assert b"n\\xf6 is no folder" in done.stderr
    listing = [sys.executable, "-m", "sightline", "engine", "list", "--cache", str(tmp_path / "kö")]
    done = subprocess.run(listing, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"k\\xf6" in done.stdout
    done = subprocess.run([*listing, "--json"], capture_output=True, check=False, env=environment)
    assert json.loads(done.stdout)["cache"] == str(tmp_path / "kö")


def test_an_object_for_scripts_has_names_that_are_no_text_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit_json({"drive": "d\udcff", "files": ("a", "b\udcfe")})
    assert json.loads(capsys.readouterr().out) == {"drive": "d\\udcff", "files": ["a", "b\\udcfe"]}
