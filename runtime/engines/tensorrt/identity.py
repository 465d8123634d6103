"""On which device, and in which software, a plan was built."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from runtime.engines.tensorrt import bindings
from runtime.engines.tensorrt.cuda import Cuda

_OS_RELEASE, _TEGRA_RELEASE = Path("/etc/os-release"), Path("/etc/nv_tegra_release")


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan is bound to: it runs nowhere else."""

    gpu: str
    compute_capability: str
    uuid: str  # "" where the driver gives none
    machine: str  # of the host code that a plan may embed
    tensorrt: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.gpu} (compute capability {self.compute_capability}), TensorRT {self.tensorrt}"


class Software(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes how a plan is built, or how it runs, without making it unusable."""

    cuda: str  # the newest that the driver serves
    os: str
    jetpack: str  # the L4T release, "" off a Jetson


class Here(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """This machine, now."""

    device: Device
    software: Software


def identify() -> Here:
    """Ask driver and TensorRT. Raises EngineError where one is missing, the driver first."""
    gpu = Cuda().gpu()
    version = str(bindings.load().__version__)
    device = Device(gpu.name, gpu.compute_capability, gpu.uuid, platform.machine(), version)
    return Here(device, Software(gpu.cuda, os_release(_OS_RELEASE), jetpack_release(_TEGRA_RELEASE)))


def os_release(path: Path) -> str:
    """The system's name and version as os-release(5) gives them."""
    for line in _lines(path):
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return platform.system()


def jetpack_release(path: Path) -> str:
    """The L4T release, e.g. `R36 (release), REVISION: 4.3`; without board and build date, which differ by image."""
    first = next(iter(_lines(path)), "")
    return ", ".join(part.strip(" #") for part in first.split(",")[:2])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
