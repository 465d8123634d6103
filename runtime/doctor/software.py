"""Interpreter, packages, names, sources, and the configuration."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from runtime.contracts import registry
from runtime.contracts.config import DEFAULT_CONFIG, Config, load_config
from runtime.contracts.errors import SightlineError, SourceError
from runtime.doctor.finding import Finding
from runtime.sources.cameras.address import SCHEMES as CAMERAS
from runtime.sources.cameras.address import parse
from runtime.sources.location import located, without_password
from runtime.sources.open import check_address, source_name

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pyzmq", "av", "msgspec", "mcap", "cryptography")
_NEEDED = {"ros2": ("cyclonedds", "dds"), "rosbag": ("rosbags", "ros")}  # a source's package, and the extra with it
_ARGUS_SOCKET = "tmp/argus_socket"
_OF_FILES = ("video", "images", "udacity")


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


def source(config: Config, root: Path = Path("/")) -> Finding:
    """Whether what the configuration drives from is there. Nothing is opened: a camera may be in use."""
    uri = config.source
    if uri is None:
        return Finding("source", "ok", "the configuration names none; give one to sightline run by --source")
    shown, mend = without_password(uri), "name another by `source:` in the configuration, or by --source"
    try:
        name = source_name(uri)
        package, extra = _NEEDED.get(name, ("", ""))
        if package and find_spec(package) is None:
            mend = f"in a checkout of Sightline: python -m pip install '.[{extra}]'"
            raise SourceError(f"{shown} needs {package}, which is not here")
        if name in CAMERAS:
            address = parse(uri)
            if address.kind == "v4l2" and not (root / address.place.lstrip("/")).exists():
                mend = f"plug it in, or {mend} (v4l2-ctl --list-devices); a container is given it by --device"
                raise SourceError(f"there is no {address.place}")
            if address.kind == "csi" and not (root / _ARGUS_SOCKET).exists():
                mend = "sudo systemctl restart nvargus-daemon; a container is given its socket (docs/jetson.md)"
                raise SourceError(f"there is no /{_ARGUS_SOCKET}: the daemon of the CSI cameras does not run")
        elif name in _OF_FILES:
            located(uri)
        else:
            check_address(uri)
    except SightlineError as error:
        return Finding("source", "fail", without_password(str(error)), mend)
    return Finding("source", "ok", shown)


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
