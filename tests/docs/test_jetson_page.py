"""The page of the Jetson: each command block says what it is worth, what it names exists, and a model is swapped."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.contracts import registry
from runtime.contracts.config import RecordConfig
from runtime.contracts.model import read_manifest
from runtime.record.drive import open_drive
from tests.docs.pages import ROOT, blocks, table, text
from tests.docs.test_commands import parser_of
from tests.scripts.loading import script
from tests.test_dockerfile import STEPS, apt_packages

PAGE = ROOT / "docs" / "jetson.md"
MARKS = ("Run here", "Checked against", "Written, never run")
UNITS = ROOT / "configs" / "systemd"
OURS = ("configs/", "scripts/", "constraints/", "Dockerfile.")


def lines() -> list[str]:
    """Every line that is to be typed, comments left out."""
    shown = "\n".join(blocks(PAGE, "sh")).replace("\\\n", " ")
    return [line for line in shown.splitlines() if line.strip() and not line.startswith("#")]


def sections() -> list[str]:
    """The page in its sections of second order."""
    return re.split(r"^## ", text(PAGE), flags=re.MULTILINE)[1:]


def test_every_command_block_is_preceded_by_words_on_what_it_is_worth() -> None:
    for section in sections():
        before = ""
        for part in re.split(r"^(```sh\n.*?^```)$", section, flags=re.MULTILINE | re.DOTALL):
            if part.startswith("```sh"):
                assert any(f"*{mark}" in before for mark in MARKS), f"{section.splitlines()[0]}: {part}"
            else:
                before += part


def test_the_marks_are_the_three_that_the_page_promises() -> None:
    head = text(PAGE).partition("\n## ")[0]
    assert all(f"*{mark}*" in head for mark in MARKS)


def test_every_path_of_ours_in_a_command_exists() -> None:
    named = {word for line in lines() for word in shlex.split(line) if word.startswith(OURS)}
    assert named
    for path in named:
        assert (ROOT / path).exists(), f"the page names {path}"


def test_every_unit_that_is_switched_on_is_ours_or_the_systems() -> None:
    ours = {unit.name for unit in UNITS.glob("*.service")}
    named = {word for line in lines() for word in line.split() if word.endswith((".service", ".timer"))}
    assert {word for word in named if "sightline" in word and "/" not in word} <= ours
    for line in lines():
        for path in re.findall(r"configs/systemd/\S+", line):
            assert (ROOT / path).is_file()


def calls() -> Iterator[list[str]]:
    """Sightline's own arguments wherever the page calls it: by name, by path, or in the image."""
    for line in lines():
        words = shlex.split(line)
        for index, word in enumerate(words[:-1]):
            called = word == "sightline" and index == 0
            if called or word.endswith("/bin/sightline") or (re.fullmatch(r"sightline:\w+", word) and "run" in words):
                yield words[index + 1 :]
                break


def test_every_call_of_sightline_can_be_typed() -> None:
    found = list(calls())
    assert len(found) > 10
    for verb, *rest in found:
        assert verb in registry.names("sightline.commands"), verb
        parser_of(verb).parse_args(rest)


def test_the_board_is_given_the_packages_and_the_pip_steps_of_the_image() -> None:
    image = " && ".join(step.arguments for step in STEPS if step.name == "RUN")
    wanted = {name for name in apt_packages(image) if name not in ("python3", "ca-certificates")}
    [native] = [line for line in lines() if "python3-libnvinfer" in line]
    given = {word for word in native.split() if re.match(r"(python3|gir|gstreamer)", word)}
    assert given == {name for name in wanted if not name.startswith("lib")}  # those that it brings with it
    flags = {flag for step in re.findall(r"pip (?:install|wheel) ([^&]*)", image) for flag in _flags(step)}
    shown = {flag for line in lines() if "-m pip" in line for flag in _flags(line)}
    assert shown == flags


def _flags(line: str) -> set[str]:
    return {word for word in line.split() if word.startswith("--")}


def test_the_table_of_versions_is_that_of_the_image_and_of_the_locks() -> None:
    values = {row[""]: (row["JetPack 6 (Orin)"], row["JetPack 7.2 (Orin, Thor)"]) for row in table(PAGE, "")}
    stages = {step.stage: step.arguments for step in STEPS if step.name == "ENV" and "L4T_RELEASE" in step.arguments}
    for target, column in zip(script("check-jetson").TARGETS, (0, 1), strict=True):
        release, tensorrt = re.findall(r"L4T_RELEASE=r([\d.]+) TENSORRT_VERSION=(\d+\.\d+)", stages[target.name])[0]
        assert values["system, Python"][column].endswith(f", {target.python}")
        l4t, _cuda, shown = values["L4T, CUDA, TensorRT"][column].split(", ")
        assert (l4t, shown) == (release, tensorrt)
        assert values["locked wheels"][column] == f"constraints/{target.name}.txt"


def test_what_a_cut_costs_is_what_the_configuration_says() -> None:
    assert f"`record.sync_ms` ({RecordConfig().sync_ms:g} ms)" in text(PAGE)
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)", (UNITS / "sightline.service").read_text("utf-8"), re.MULTILINE)
    assert f"`TimeoutStopSec={seconds}`" in text(PAGE)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The place of the models with two of them, and a configuration that names `current`."""
    models = tmp_path / "models"
    for name, model in (("1", "concepts.onnx"), ("2", "pilotnet.onnx")):
        (models / name).mkdir(parents=True)
        shutil.copy(ROOT / "configs" / model, models / name / "model.onnx")
    (models / "current").symlink_to("1")
    (tmp_path / "vehicle.yaml").write_text(f"model: {models}/current/model.onnx\n", encoding="utf-8")
    return tmp_path


def swap(board: Path, block: str) -> None:
    """Do a block's moves of the link, as they stand, in the test's own place."""
    moves = [line for line in block.splitlines() if re.search(r" (ln|mv) ", line)]
    assert len(moves) == 2
    for line in moves:
        command = line.replace("/var/lib/sightline/models", str(board / "models")).replace("sudo -u sightline ", "")
        subprocess.run(shlex.split(command), check=True)


def driven(board: Path, name: str) -> str:
    """The hash of the model that drove, by the record."""
    command = [sys.executable, "-m", "sightline", "run", str(board / "vehicle.yaml"), "--out", str(board / name)]
    source = "proving-ground://lane?seed=1&duration_s=0.2&width=160&height=90"
    subprocess.run([*command, "--source", source], check=True, capture_output=True)
    [drive] = (board / name).iterdir()
    return open_drive(drive).header.model_sha256


def test_a_model_is_swapped_and_rolled_back_by_the_pages_own_commands(board: Path) -> None:
    [update, back] = [block for block in blocks(PAGE, "sh") if "models/next" in block]
    old, new = (read_manifest(board / "models" / name / "model.onnx").graph_sha256 for name in ("1", "2"))
    assert driven(board, "before") == old
    swap(board, update)
    assert driven(board, "after") == new
    swap(board, back)
    assert driven(board, "again") == old
