"""The units for systemd: systemd's own checker takes them, and they agree with what they start."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.contracts import registry
from tests.docs.test_commands import parser_of

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "configs" / "systemd").glob("*.service"))
PROGRAMS = ("opt/sightline/bin/sightline", "usr/bin/docker", "usr/bin/jetson_clocks")
RECORDER_SEALS_WITHIN_S = 60


def lines(unit: Path, key: str) -> list[str]:
    """The values of a key, continued lines joined."""
    text = unit.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{key}=-?(.*)$", text, re.MULTILINE)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A root in which the programs that the units name are there, and systemd's own targets."""
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for program in PROGRAMS:
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    (units / "docker.service").write_text("[Service]\nExecStart=/usr/bin/docker\n", encoding="utf-8")
    for folder in ("/usr/lib/systemd/system", "/lib/systemd/system"):
        for kind in ("target", "mount", "slice", "socket"):
            for found in Path(folder).glob(f"*.{kind}"):
                shutil.copy(found, units / found.name)
    for unit in UNITS:
        shutil.copy(unit, units / unit.name)
    return tmp_path


def verify(board: Path, name: str) -> str:
    """What systemd-analyze has to say against a unit; skips where it is not there, or cannot look into a root."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if int(version.partition(".")[0]) < 250:
        pytest.skip(f"systemd-analyze {version} cannot verify in a root (250 can)")
    done = subprocess.run(
        [program, f"--root={board}", "--man=no", "verify", str(board / "etc" / "systemd" / "system" / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr + ("" if done.returncode == 0 else f"exit code {done.returncode}")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit_without_a_word(unit: Path, board: Path) -> None:
    assert verify(board, unit.name) == ""


def test_systemds_checker_would_tell_a_wrong_key_and_a_program_that_is_not_there(board: Path) -> None:
    unit = board / "etc" / "systemd" / "system" / "sightline.service"
    text = unit.read_text(encoding="utf-8")
    unit.write_text(text.replace("KillMode=", "KilMode=").replace("/opt/sightline", "/opt/elsewhere"), "utf-8")
    told = verify(board, unit.name)
    assert "KilMode" in told
    assert "/opt/elsewhere/bin/sightline" in told


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_starts_of_sightline_can_be_typed(unit: Path) -> None:
    for line in lines(unit, "ExecStart"):
        words = shlex.split(line)
        start = next((i + 1 for i, word in enumerate(words) if re.search(r"sightline$|^sightline:", word)), None)
        if "docker" in words[0]:
            start = next(i + 1 for i, word in enumerate(words) if word.startswith("sightline:"))
        if start is None:
            continue
        assert words[start] in registry.names("sightline.commands")
        parser_of(words[start]).parse_args(words[start + 1 :])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_that_is_enabled_is_started_with_the_board(unit: Path, board: Path) -> None:
    program = shutil.which("systemctl")
    if program is None:
        pytest.skip("systemctl is not installed")
    subprocess.run([program, f"--root={board}", "enable", unit.name], capture_output=True, check=True)
    assert (board / "etc/systemd/system/multi-user.target.wants" / unit.name).is_symlink()


def test_what_the_service_keeps_lies_in_folders_that_systemd_lets_it_write() -> None:
    unit = ROOT / "configs" / "systemd" / "sightline.service"
    kept = dict(word.split("=", 1) for line in lines(unit, "Environment") for word in line.split())
    for key, base, home in (
        ("StateDirectory", "/var/lib", kept["XDG_DATA_HOME"]),
        ("CacheDirectory", "/var/cache", kept["XDG_CACHE_HOME"]),
        ("RuntimeDirectory", "/run", kept["XDG_RUNTIME_DIR"].removesuffix("/sightline")),
    ):
        assert lines(unit, key) == ["sightline"]
        assert home == base
    assert kept["GST_REGISTRY"].startswith("/var/cache/sightline/")


def calls_of(name: str) -> set[str]:
    """The system calls of one of systemd's groups, or the one that is named."""
    if not name.startswith("@"):
        return {name}
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    inside = [line.strip() for line in done.stdout.splitlines()[1:]]
    return {call for word in inside if word and not word.startswith("#") for call in calls_of(word)}


def test_a_drive_makes_no_system_call_that_the_unit_does_not_let_it_make(tmp_path: Path) -> None:
    if shutil.which("strace") is None or shutil.which("systemd-analyze") is None:
        pytest.skip("strace or systemd-analyze is not installed: sudo scripts/system-packages units")
    if subprocess.run(
        ["strace", "--quiet=all", "-o", "/dev/null", "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("nobody may be traced here")
    unit = ROOT / "configs" / "systemd" / "sightline.service"
    allowed = {call for line in lines(unit, "SystemCallFilter") for word in line.split() for call in calls_of(word)}
    source = "proving-ground://lane?seed=1&duration_s=0.5&width=160&height=90"
    command = [sys.executable, "-m", "sightline", "run", "bench.yaml", "--source", source, "--out", str(tmp_path / "d")]
    traced = ["strace", "--follow-forks", "--quiet=all", "-o", str(tmp_path / "calls"), *command]
    subprocess.run(traced, capture_output=True, check=True)
    made = re.findall(r"^\d+ +(\w+)\(", (tmp_path / "calls").read_text(errors="replace"), re.MULTILINE)
    assert "execve" in made
    assert set(made) - allowed == set()


def test_the_units_wait_for_the_last_seal_before_anything_is_killed() -> None:
    service, container = (
        ROOT / "configs" / "systemd" / f"{name}.service" for name in ("sightline", "sightline-container")
    )
    assert lines(service, "KillMode") == ["mixed"], (
        "with another, the recorder would be told before the driving process"
    )
    assert float(*lines(service, "TimeoutStopSec")) > RECORDER_SEALS_WITHIN_S
    [stop] = lines(container, "ExecStop")
    seconds = int(re.findall(r" -t (\d+)", stop)[0])
    assert RECORDER_SEALS_WITHIN_S < seconds < float(*lines(container, "TimeoutStopSec"))
