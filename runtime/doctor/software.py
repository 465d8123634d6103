"""Interpreter, packages, names, sources, and the configuration."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.contracts import registry
from runtime.contracts.config import DEFAULT_CONFIG, Config, load_config
from runtime.contracts.errors import SightlineError
from runtime.doctor.finding import Finding

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pyzmq", "av", "msgspec", "mcap", "cryptography")


def python() -> Finding:
    """The interpreter, and the system that it runs on."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Finding("python", "warn", found, "the runtime is built for Linux; elsewhere nothing was tried")
    return Finding("python", "ok", found)


def packages() -> Finding:
    """The packages that the vehicle needs, with their versions."""
    return Finding("packages", "ok", ", ".join(f"{package} {_version(package)}" for package in _PACKAGES))


def name_clashes() -> Finding:
    """Whether another package shadows one of ours."""
    import sightline

    elsewhere = sightline.shadowed(Path(sightline.__file__).resolve().parent)
    if elsewhere:
        return Finding("names", "fail", f"imported from elsewhere: {elsewhere}", "use an environment of its own")
    return Finding("names", "ok", "no other package takes the name of one of ours")


def sources() -> Finding:
    """What frames can come from."""
    return Finding("sources", "ok", ", ".join(registry.names("sightline.sources")))


def configuration(path: Path | None) -> tuple[Finding, Config | None]:
    """Whether the configuration can be read, and it."""
    try:
        config = load_config(path or Path(DEFAULT_CONFIG))
    except SightlineError as error:
        return Finding("config", "fail", str(error), "correct the file, or leave --config out"), None
    return Finding("config", "ok", str(path or DEFAULT_CONFIG)), config


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(under another name)"  # e.g. onnxruntime-gpu in place of onnxruntime
