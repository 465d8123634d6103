"""The page of the Jetson: each command block says what it is worth, what it names exists, and a model is swapped."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from runtime.contracts import registry
from runtime.contracts.config import RecordConfig, load_config
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


def functions() -> list[str]:
    """The two that stand for the command: first the one in a container, then the one on the board."""
    found = [line for line in lines() if line.startswith("sightline() {")]
    assert [("docker run" in line) for line in found] == [True, False]
    return found


def options(words: list[str], *names: str) -> set[tuple[str, str]]:
    """What is given to options of these names, with quotes and braces of a variable taken off."""
    return {(word, re.sub(r"[${}]", "", after)) for word, after in pairwise(words) if word in names}


def test_what_is_typed_on_the_board_has_the_user_the_folders_and_the_plans_of_the_service() -> None:
    unit = (UNITS / "sightline.service").read_text("utf-8")
    wanted = set(" ".join(re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)).split())
    words = shlex.split(functions()[1])
    typed = {word for word in words if re.match(r"[A-Z_]+=", word)}
    assert typed == {one for one in wanted if not one.startswith("PYTHON")}
    assert f"User={words[words.index('-u') + 1]}\n" in unit
    [made] = [line for line in lines() if "useradd" in line]
    [groups] = re.findall(r"^SupplementaryGroups=(.*)$", unit, re.MULTILINE)
    assert made.split()[made.split().index("--groups") + 1].split(",") == groups.split()
    [built] = [shlex.split(line) for line in lines() if "systemd-run" in line]
    assert {value for _, value in options(built, "--setenv")} <= typed


def test_what_is_typed_in_a_container_sees_what_the_containers_unit_sees() -> None:
    unit = (UNITS / "sightline-container.service").read_text("utf-8").replace("\\\n", " ")
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    names = ("--volume", "--mount", "--group-add", "--runtime", "--network")
    typed, started = (options(shlex.split(text), *names) for text in (functions()[0], start))
    assert typed == started
    assert {value for name, value in typed if name == "--group-add"} == {"VIDEO_GID", "RENDER_GID"}
    [written] = [line for line in lines() if line.startswith("printf")]
    assert f"EnvironmentFile={written.split()[-1]}\n" in unit


def test_the_numbers_of_the_groups_are_written_as_systemd_reads_them() -> None:
    [line] = [line for line in lines() if line.startswith("printf")]
    command = line.replace("getent group video render", "printf 'video:x:44:\\nrender:x:104:a,b\\n'").partition(
        "| sudo"
    )[0]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "VIDEO_GID=44\nRENDER_GID=104\n"


def test_whoever_may_sudo_may_type_it() -> None:
    for line in lines():
        words = shlex.split(line)
        assert words[0] not in ("docker", "systemctl", "apt", "mkfs.ext4", "sgdisk", "partprobe"), line
        if words[:3] == ["sudo", "-u", "sightline"]:  # who may not look into the home folder that the checkout lies in
            assert not [word for word in words[4:] if "/" in word and not word.startswith("/")], line


def test_no_partition_is_formatted_but_one_that_was_made_for_it() -> None:
    formatted = [line.split()[-1] for line in lines() if "mkfs" in line]
    made = [name for line in lines() for name in re.findall(r"--change-name=0:(\w+)", line)]
    assert formatted == [f"/dev/disk/by-partlabel/{name}" for name in made]


def calls() -> Iterator[list[str]]:
    """Sightline's own arguments wherever the page calls it: by name, by path, or in the image."""
    for line in lines():
        words = [] if line in functions() else shlex.split(line)
        for index, word in enumerate(words[:-1]):
            called = word == "sightline" and index == 0
            if called or word.endswith("/bin/sightline") or (re.fullmatch(r"sightline:\w+", word) and "run" in words):
                yield words[index + 1 :]
                break


def test_every_call_of_sightline_can_be_typed() -> None:
    found = list(calls())
    assert len(found) >= 9
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


def test_the_configuration_is_made_to_name_the_link_by_the_pages_own_command(tmp_path: Path) -> None:
    [line] = [line for line in lines() if " sed " in line]
    mine = tmp_path / "vehicle.yaml"
    shutil.copy(ROOT / "configs" / "jetson-orin-csi.yaml", mine)
    command = line.replace("/etc/sightline/vehicle.yaml", str(mine)).replace("/var/lib/sightline/models", str(tmp_path))
    (tmp_path / "1").mkdir()
    shutil.copy(ROOT / "configs" / "concepts.onnx", tmp_path / "1" / "model.onnx")
    (tmp_path / "current").symlink_to("1")
    subprocess.run(shlex.split(command.removeprefix("sudo ")), check=True)
    assert f"model: {tmp_path}/current/model.onnx\n" in mine.read_text("utf-8")
    assert load_config(mine).model == str(tmp_path / "1" / "model.onnx")  # where the link leads now


def test_a_model_is_swapped_and_rolled_back_by_the_pages_own_commands(board: Path) -> None:
    [update, back] = [block for block in blocks(PAGE, "sh") if "models/next" in block]
    old, new = (read_manifest(board / "models" / name / "model.onnx").graph_sha256 for name in ("1", "2"))
    assert driven(board, "before") == old
    swap(board, update)
    assert driven(board, "after") == new
    swap(board, back)
    assert driven(board, "again") == old
