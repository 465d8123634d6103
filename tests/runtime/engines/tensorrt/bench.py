"""An environment in which a GPU and TensorRT seem to be there: a stand-in of each, found as the real ones are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.models import tiny_policy

STAND_IN = Path(__file__).parent / "stand_in"
BINDINGS = ("10.3.0", "10.13.3.9", "10.16.0.72", "11.4.0.106")
CUDA_HEADERS = ("12.6", "13.0")


def fetched(*arguments: str) -> Path:
    """A folder that scripts/tensorrt-bindings makes; skips with its reason where it cannot."""
    script = str(ROOT / "scripts" / "tensorrt-bindings")
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def cuda_library(folder: Path, version: str) -> Path:
    """The stand-in of libcuda, compiled with the headers of a CUDA version; its folder."""
    headers = fetched("--cuda", version)
    folder.mkdir(parents=True, exist_ok=True)
    flags = ("-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC", "-I", str(headers))
    subprocess.run(["gcc", *flags, "-o", str(folder / "libcuda.so.1"), str(STAND_IN / "cuda.c")], check=True)
    return folder


@dataclass(frozen=True)
class Bench:
    """A device of one's own: its caches, its secret, and the stand-ins. Commands run in processes of their own."""

    folder: Path
    libraries: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What a process needs to find them."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.libraries),
            "PYTHONPATH": f"{STAND_IN}{os.pathsep}{ROOT}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "OMP_NUM_THREADS": "1",
            **more,
        }

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`sightline ARGUMENTS`, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "sightline", *_patient(arguments)],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """`sightline ARGUMENTS`, going on."""
        return subprocess.Popen(
            [sys.executable, "-m", "sightline", *_patient(arguments)],
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def python(self, code: str, **more: str) -> str:
        """Run code; what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def model(self, onnx: bytes, name: str = "model.onnx") -> str:
        """A model's file in this folder; its name there."""
        (self.folder / name).write_bytes(onnx)
        return name

    @property
    def cache(self) -> Path:
        """The folder of plans."""
        return self.folder / "cache" / "sightline" / "engines"

    @property
    def plans(self) -> list[Path]:
        """The plans in the cache."""
        return sorted(self.cache.glob("*.plan"))


def _patient(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """A pass may take as long as it likes, where a test says nothing else: its machine may be busy with others."""
    if arguments[0] != "engine" or "--limit-ms" in arguments:
        return arguments
    return (*arguments, "--limit-ms", "60000")


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-in libcuda."""
    return cuda_library(tmp_path_factory.mktemp("libcuda"), CUDA_HEADERS[0])


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, libraries: Path) -> Bench:
    """A device that has built the plan of `model.onnx` (the tiny policy). Copied, never used."""
    pytest.importorskip("onnx", reason="the stand-in of TensorRT reads ONNX with the onnx package")
    made = Bench(tmp_path_factory.mktemp("workshop"), libraries)
    done = made.run("engine", "build", made.model(tiny_policy()))
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def built(tmp_path: Path, workshop: Bench) -> Bench:
    """A device of one's own that has built the plan of `model.onnx`."""
    shutil.copytree(workshop.folder, tmp_path / "device")
    return Bench(tmp_path / "device", workshop.libraries)


@pytest.fixture
def bench(tmp_path: Path, libraries: Path) -> Bench:
    """A fresh device."""
    pytest.importorskip("onnx", reason="the stand-in of TensorRT reads ONNX with the onnx package")
    return Bench(tmp_path, libraries)
