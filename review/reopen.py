"""A recorded drive made ready to decide again: its own model, its own configuration, both proven to be the recorded."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from review.verify.find import find_drive_or_bundle, is_bundle
from runtime.contracts.config import Config, parse_config
from runtime.contracts.engine import Engine
from runtime.contracts.errors import EngineError, RecordError
from runtime.contracts.model import Manifest, read_manifest
from runtime.contracts.regular_file import read_regular
from runtime.decision.policy import Policy
from runtime.engines.open import open_engine
from runtime.engines.tensorrt.plan_file import held_sha256
from runtime.record.drive import Drive, open_drive
from runtime.seal.part_file import BUNDLE_DRIVE

_LARGEST_CONFIG_BYTES = 4 * 1024 * 1024
_ELSEWHERE = "let another back-end answer within the model's tolerance: sightline replay DRIVE --backend onnxruntime"


@dataclass(frozen=True, slots=True)
class ReopenedDrive:
    """A drive with what drove it, loaded again."""

    drive: Drive
    manifest: Manifest
    config: Config
    engine: Engine
    policy: Policy

    @property
    def fingerprint_matches(self) -> bool:
        """Whether this machine's engine promises the recorded bits."""
        return self.engine.fingerprint == self.drive.header.fingerprint


def find_drive(path: Path) -> Path:
    """The folder of a drive, or of a bundle's part of one: `path` itself, or that of the one drive or bundle in it.

    Raises RecordError naming those there are.
    """
    if not path.exists():
        raise RecordError(f"{path} does not exist; give the folder of a drive, as `sightline run --out` makes it")
    if zipfile.is_zipfile(path):
        raise RecordError(f"{path} is a zip file, which only `sightline verify` opens; unpack it, and give its folder")
    if not path.is_dir():
        raise RecordError(f"{path} is a file; give the folder of a drive, as `sightline run --out` makes it")
    found = find_drive_or_bundle(path)
    return found / BUNDLE_DRIVE if is_bundle(found) else found


def expected_frames(path: Path, first: int = 0, last: int | None = None) -> int | None:
    """How many frames of the sequences `first` to `last` a drive is likely to hold, by its segments' notes: for
    progress only. None where a segment has no note."""
    drive = open_drive(path)
    notes = [drive.note(file.index) for file in drive.segments]
    held = [note for note in notes if note is not None]
    if len(held) < len(notes):
        return None
    end = max((note.last_frame for note in held), default=-1)
    return max(0, (end if last is None else min(last, end)) - first + 1)


def reopen(path: Path, backend: str | None = None) -> ReopenedDrive:
    """Open a drive, its model and its configuration, and load the model as it was loaded when it drove.

    Args:
        path: the drive's folder, or one that holds a single drive.
        backend: another back-end than the one that drove, e.g. where its plan belongs to another device.

    Raises:
        RecordError: no drive, or its model, plan or configuration is not the one that its header names.
        ModelError, EngineError: the model cannot be run on this machine.
    """
    drive = open_drive(find_drive(path))
    manifest, config = recorded_manifest(drive), recorded_config(drive)
    engine = _recorded_engine(drive, config) if backend is None else _another_engine(drive, config, backend)
    policy = Policy(manifest, engine, config, drive.header.drive_id, drive.header.mode)
    return ReopenedDrive(drive, manifest, config, engine, policy)


def _recorded_engine(drive: Drive, config: Config) -> Engine:
    plan = recorded_plan(drive)
    try:
        return open_engine(config.engine, drive.model_path, plan)
    except EngineError as error:
        if plan is None:
            raise
        raise EngineError(f"{error}; replay it on the device that drove, or {_ELSEWHERE}") from error


def _another_engine(drive: Drive, config: Config, backend: str) -> Engine:
    return open_engine(msgspec.structs.replace(config.engine, backend=backend), drive.model_path)


def recorded_plan(drive: Drive) -> Path | None:
    """The plan that the drive's engine ran, None where its back-end runs none; it is read, and nothing of it is run.

    Raises RecordError where the drive does not hold the plan which its header names.
    """
    wanted, path = drive.header.fingerprint.plan_sha256, drive.engine_plan_path
    if not wanted:
        return None
    if not path.is_file():
        raise RecordError(f"{path}, the plan that drove, is not there; put it back, or {_ELSEWHERE}")
    try:
        found = held_sha256(path)
    except EngineError as error:
        raise RecordError(f"{error}; put the recorded plan back, or {_ELSEWHERE}") from error
    if found != wanted:
        raise RecordError(
            f"{path} is not the plan that drove: its hash is {found[:12]}…, the header says {wanted[:12]}…; put the "
            f"recorded plan back, or {_ELSEWHERE}"
        )
    return path


def recorded_manifest(drive: Drive) -> Manifest:
    """The manifest of the drive's own model. Raises RecordError where that is not the model which the header names, or
    another manifest was put into it.
    """
    manifest = read_manifest(drive.model_path)
    if manifest.graph_sha256 != drive.header.model_sha256:
        raise RecordError(
            f"{drive.model_path} is not the model that drove: its hash is {manifest.graph_sha256[:12]}…, the header "
            f"says {drive.header.model_sha256[:12]}…; put the recorded model back"
        )
    found = hashlib.sha256(drive.model_path.read_bytes()).hexdigest()
    if drive.header.model_file_sha256 not in ("", found):
        raise RecordError(
            f"{drive.model_path} holds the network that drove, but not the manifest (scales, ranges, geometry) that it "
            f"drove with: the file's hash is {found[:12]}…, the header says {drive.header.model_file_sha256[:12]}…; "
            "put the recorded model back"
        )
    return manifest


def recorded_config(drive: Drive) -> Config:
    """The drive's own configuration. Raises RecordError where it is not the one which the header names."""
    path = drive.config_path
    try:
        data = read_regular(path, _LARGEST_CONFIG_BYTES)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; a drive keeps the configuration that drove") from error
    found = hashlib.sha256(data).hexdigest()
    if found != drive.header.config_sha256:
        raise RecordError(
            f"{path} is not the configuration that drove: its hash is {found[:12]}…, the header says "
            f"{drive.header.config_sha256[:12]}…; put the recorded configuration back"
        )
    try:
        return parse_config(data.decode(), str(path))
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is no configuration: {error}") from error
