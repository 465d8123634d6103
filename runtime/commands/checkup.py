"""The doctor's checks. Each looks at one thing for real and says what it found and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from runtime.bus.ring import PictureRing
from runtime.contracts import registry
from runtime.contracts.clock import SystemClock, tie
from runtime.contracts.config import DEFAULT_CONFIG, Config, load_config
from runtime.contracts.errors import LinkError, SightlineError
from runtime.contracts.model import read_manifest
from runtime.contracts.units import NS_PER_MS
from runtime.engines.open import open_engine

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pyzmq", "msgspec", "mcap")
_FREE_GIB_WANTED = 5.0
_PICTURE_BYTES = 1280 * 720 * 3
_SYNCS = 50
_SYNC_BYTES = 1 << 20
_SYNC_P99_MS_WANTED = 50.0


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor: what was checked, ok / warn / fail, what was found, how to mend it."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""


def checkup(config_path: Path | None, out: Path) -> tuple[Finding, ...]:
    """Run every check for a configuration and for the folder that drives would be written to."""
    findings = [_python(), _packages(), _name_clashes(), _sources()]
    try:
        config = load_config(config_path or Path(DEFAULT_CONFIG))
        findings.append(Finding("config", "ok", str(config_path or DEFAULT_CONFIG)))
    except SightlineError as error:
        findings.append(Finding("config", "fail", str(error), "correct the file, or leave --config out"))
        config = None
    if config is not None:
        onnxruntime = config.engine.backend == "onnxruntime"
        findings += [_engine(config, one) for one in (config.engine.providers if onnxruntime else ("",))]
        findings.append(_shared_memory(config))
    folder = _nearest_folder(out)
    findings += [_disk(folder), _sync(folder), _clock()]
    return tuple(findings)


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Finding("python", "warn", found, "the runtime is built for Linux; elsewhere nothing was tried")
    return Finding("python", "ok", found)


def _packages() -> Finding:
    return Finding("packages", "ok", ", ".join(f"{package} {_version(package)}" for package in _PACKAGES))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(under another name)"  # e.g. onnxruntime-gpu in place of onnxruntime


def _name_clashes() -> Finding:
    import sightline

    elsewhere = sightline.shadowed(Path(sightline.__file__).resolve().parent)
    if elsewhere:
        return Finding("names", "fail", f"imported from elsewhere: {elsewhere}", "use an environment of its own")
    return Finding("names", "ok", "no other package takes the name of one of ours")


def _sources() -> Finding:
    return Finding("sources", "ok", ", ".join(registry.names("sightline.sources")))


def _engine(config: Config, provider: str) -> Finding:
    """Whether the back-end runs the model; `provider` is the one to try by itself, "" where it has none."""
    check = f"engine {provider.removesuffix('ExecutionProvider') or config.engine.backend}"
    try:
        manifest = read_manifest(Path(config.model))
        alone = msgspec.structs.replace(config.engine, providers=(provider,)) if provider else config.engine
        engine = open_engine(alone, Path(config.model))  # proves the provider with one real inference
    except SightlineError as error:
        return Finding(check, "fail", str(error), "choose another under engine:, or install what it needs")
    fingerprint = engine.fingerprint
    engine.close()
    return Finding(check, "ok", f"ran {manifest.name} on {fingerprint.backend} {fingerprint.backend_version}")


def _disk(folder: Path) -> Finding:
    free_gib = shutil.disk_usage(folder).free / 2**30
    found = f"{free_gib:.1f} GiB free at {folder}"
    if free_gib < _FREE_GIB_WANTED:
        return Finding("disk", "warn", found, f"have {_FREE_GIB_WANTED:.0f} GiB, or write drives elsewhere (--out)")
    return Finding("disk", "ok", found)


def _sync(folder: Path) -> Finding:
    try:
        times_ms = sorted(_sync_times_ms(folder))
    except OSError as error:
        return Finding("disk sync", "fail", f"{folder} cannot be written: {error.strerror}", "choose another --out")
    p50, p99 = times_ms[len(times_ms) // 2], times_ms[-1 - len(times_ms) // 100]
    found = f"1 MiB to the disk: median {p50:.1f} ms, p99 {p99:.1f} ms"
    if p99 > _SYNC_P99_MS_WANTED:
        return Finding("disk sync", "warn", found, "record to a faster disk: acknowledgements wait for this")
    return Finding("disk sync", "ok", found)


def _sync_times_ms(folder: Path) -> list[float]:
    block = os.urandom(_SYNC_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        times_ms = []
        for _ in range(_SYNCS):
            start_ns = time.monotonic_ns()
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
            times_ms.append((time.monotonic_ns() - start_ns) / NS_PER_MS)
    return times_ms


def _shared_memory(config: Config) -> Finding:
    slots = config.record.picture_slots
    try:
        ring = PictureRing(slots, _PICTURE_BYTES)
    except LinkError as error:
        return Finding("shared memory", "fail", str(error), "a kernel from 3.17 on, or fewer record.picture_slots")
    ring.close()
    return Finding("shared memory", "ok", f"{slots} pictures of 1280x720 for the recorder")


def _clock() -> Finding:
    synchronised = tie(SystemClock()).utc_synchronised
    if synchronised is None:
        return Finding("clock", "warn", "the kernel does not tell whether UTC is synchronised")
    if not synchronised:
        return Finding("clock", "warn", "UTC is not synchronised", "run chrony or systemd-timesyncd; records say so")
    return Finding("clock", "ok", "UTC is synchronised")


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
