"""`colcon build` of ros_bridge/ament with colcon from PyPI, without --symlink-install, and what it installs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PINS = ROOT / "constraints" / "colcon.txt"
PACKAGE = "sightline_ros"


def run(*command: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COLCON", "AMENT"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )


pytestmark = pytest.mark.skipif(find_spec("rclpy") is not None, reason="ROS is here: build with its own colcon")


@pytest.fixture(scope="module")
def colcon() -> Path:
    """colcon in an environment of its own, made once and kept under .cache/."""
    name = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / "colcon" / name
    if not (folder / "made").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        made = run(sys.executable, "-m", "venv", folder, cwd=ROOT)
        if made.returncode == 0:
            pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
            made = run(*pip, "setuptools==79.0.1", cwd=ROOT)
            made = made if made.returncode else run(*pip, "--no-build-isolation", "--requirement", PINS, cwd=ROOT)
        if made.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"colcon cannot be had from the package index: {made.stderr.strip()[-200:]}")
        (folder / "made").touch()
    return folder / "bin" / "colcon"


@pytest.fixture(scope="module")
def install(colcon: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The install space of a workspace that holds the checkout's ros_bridge/."""
    workspace = tmp_path_factory.mktemp("ws")
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ros_bridge", workspace / "src" / "ros_bridge", ignore=left_out)
    done = run(colcon, "build", cwd=workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Finished <<< {PACKAGE}" in done.stdout
    yield workspace / "install"
    shutil.rmtree(workspace)


def site_of(install: Path) -> Path:
    [site] = (install / PACKAGE / "lib").glob("python*/site-packages")
    return site


def test_the_nodes_script_is_where_ros2_run_looks_and_leads_to_the_node(install: Path) -> None:
    script = install / PACKAGE / "lib" / PACKAGE / "bridge"
    assert os.access(script, os.X_OK)
    sourced = f". {install}/setup.sh && exec '{sys.executable}' {script}"
    done = run("sh", "-c", sourced, cwd=ROOT)
    shell = f"{PACKAGE}/rclpy_shell.py"
    assert shell in done.stderr, done.stderr
    assert "No module named 'rclpy'" in done.stderr, "as far as it goes without ROS"


def test_the_entry_points_are_found_in_the_install_space_and_name_what_is_there(install: Path) -> None:
    [metadata] = site_of(install).glob(f"{PACKAGE}*.egg-info")
    found = {(one.group, one.name): one.value for one in PathDistribution(metadata).entry_points}
    assert found == {
        ("console_scripts", "bridge"): f"{PACKAGE}.rclpy_shell:main",
        ("sightline.sources", "rclpy"): f"{PACKAGE}.rclpy_shell:open_source",
        ("sightline.bridges", "rclpy"): f"{PACKAGE}.rclpy_shell:bridge",
    }
    shell = (site_of(install) / PACKAGE / "rclpy_shell.py").read_text(encoding="utf-8")
    for value in found.values():
        assert f"def {value.rpartition(':')[2]}(" in shell


def test_sightline_finds_them_once_the_install_space_is_sourced(install: Path) -> None:
    script = (
        "from runtime.contracts import registry\n"
        "print('rclpy' in registry.names('sightline.sources'), 'rclpy' in registry.names('sightline.bridges'))"
    )
    sourced = f". {install}/setup.sh && '{sys.executable}' -c \"{script}\""
    done = run("sh", "-c", sourced, cwd=ROOT)
    assert done.stdout.strip() == "True True", done.stderr
    without = run(sys.executable, "-c", script, cwd=ROOT)
    assert without.stdout.strip() == "False False", without.stderr


def test_launch_file_parameters_and_the_index_are_where_ros_looks_for_them(install: Path) -> None:
    share = install / PACKAGE / "share"
    assert (share / "ament_index" / "resource_index" / "packages" / PACKAGE).is_file()
    assert (share / PACKAGE / "package.xml").is_file()
    launch = (share / PACKAGE / "launch" / "sightline.launch.py").read_text(encoding="utf-8")
    compile(launch, "sightline.launch.py", "exec")
    assert (share / PACKAGE / "config" / "sightline.yaml").is_file()


def test_it_depends_on_sightline_and_installs_nothing_that_the_wheel_does(install: Path) -> None:
    [metadata] = site_of(install).glob(f"{PACKAGE}*.egg-info")
    assert "sightline" in (PathDistribution(metadata).requires or [])
    installed = {path.name for path in site_of(install).iterdir() if path.is_dir() and path.suffix != ".egg-info"}
    assert installed == {PACKAGE}
    modules = {path.name for path in (site_of(install) / PACKAGE).glob("*.py")}
    assert modules == {path.name for path in (ROOT / "ros_bridge" / "ament" / "node").glob("*.py")}
