"""The wheel, built and installed without the repository, and what a base install brings with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("runtime", "export", "review", "ros_bridge", "proving_ground", "configs")
MODULES = ("sightline.py",)
OF_COLCON = ROOT / "ros_bridge" / "ament"  # colcon installs it, and nobody else


def run(*command: object, cwd: Path) -> str:
    """Run a command without this checkout on its import path and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that no earlier build's leftovers are in it."""
    copy = tmp_path_factory.mktemp("source") / "sightline"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "drives", "training")
    shutil.copytree(ROOT, copy, ignore=left_out)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy, cwd=out)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an environment in it that holds the wheel and the closure of its base dependencies, nothing else.

    The closure is copied from this environment: cv2 does not load through a link, and an index may be out of reach.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    for found in base_closure():
        for entry in top_level_entries(found):
            if entry.is_dir():
                shutil.copytree(
                    entry, site / entry.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
                )
            else:
                shutil.copy(entry, site / entry.name)
    yield folder
    shutil.rmtree(folder / "venv")  # some hundred MB, which pytest would keep


def base_closure() -> Iterator[Distribution]:
    """The distributions that `pip install sightline` brings, sightline itself left out."""
    waiting = [Requirement(line) for line in distribution("sightline").requires or ()]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        waiting += [Requirement(line) for line in found.requires or ()]
        yield found


def top_level_entries(found: Distribution) -> set[Path]:
    """The files and folders that a distribution puts into site-packages."""
    site = Path(str(found.locate_file("")))
    return {site / file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}


def test_the_wheel_carries_the_packages_the_configs_and_the_weights_and_nothing_else(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and OF_COLCON not in path.parents
    }
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("dist-info/licenses/LICENSE")]
    assert carried == expected | set(MODULES)
    assert {
        "configs/bench.yaml",
        "configs/concepts.onnx",
        "configs/concepts.report.json",
        "configs/models/vit.yaml",
    } <= carried
    assert len(licences) == 1


def test_the_base_install_brings_no_torch() -> None:
    names = {canonicalize_name(found.name) for found in base_closure()}
    assert {"numpy", "onnxruntime", "mcap"} <= names
    assert not names & {"torch", "onnx", "onnxscript", "opencv-python", "triton"}


def test_no_installed_distribution_ships_a_package_named_like_one_of_ours() -> None:
    providers = packages_distributions()
    for package in (*PACKAGES, "sightline"):
        assert set(providers.get(package, ["sightline"])) == {"sightline"}, package


def test_the_installed_wheel_answers_help_and_finds_its_config_without_the_repository(elsewhere: Path) -> None:
    command = elsewhere / "venv" / "bin" / "sightline"
    assert "usage: sightline" in run(command, "--help", cwd=elsewhere)
    assert "model: " in run(command, "config", cwd=elsewhere)
    where = run(elsewhere / "venv" / "bin" / "python", "-c", "import runtime; print(runtime.__file__)", cwd=elsewhere)
    assert str(ROOT) not in where


def test_the_installed_wheel_runs_the_demo_without_the_repository(elsewhere: Path) -> None:
    python = elsewhere / "venv" / "bin" / "python"
    run(python, "-c", "import sys, importlib.util as i; sys.exit(i.find_spec('torch') is not None)", cwd=elsewhere)
    report = json.loads(run(elsewhere / "venv" / "bin" / "sightline", "demo", "--json", cwd=elsewhere))
    assert report["replay"]["verdict"] == "identical"
    assert report["incident"] is not None
    assert (elsewhere / report["clip"]).stat().st_size > 0


def test_the_command_refuses_to_start_where_another_package_takes_the_name_of_ours(
    elsewhere: Path, tmp_path: Path
) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").touch()
    command = [str(elsewhere / "venv" / "bin" / "sightline"), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"runtime from {tmp_path / 'runtime'}" in done.stderr


def test_every_supported_python_has_its_pinned_versions() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in makefile if line.startswith("OTHER_PYTHONS :=")]
    supported = {"3.11", *line.partition(":=")[2].split()}
    assert {path.stem.removeprefix("py") for path in (ROOT / "constraints").glob("py*.txt")} == supported


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_the_constraints_pin_every_base_dependency_and_nothing_of_cuda(version: str) -> None:
    lines = (ROOT / "constraints" / f"py{version}.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    for requirement in distribution("sightline").requires or ():
        wanted = Requirement(requirement)
        if wanted.marker is None:
            assert canonicalize_name(wanted.name) in pinned
    assert not [name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))]
    assert not [line for line in lines if " @ " in line or "+" in line], "a version of one machine only"
