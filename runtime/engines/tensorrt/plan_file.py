"""A plan in a file: one line that says what it is, one line of record, then the bytes that TensorRT gave.

One file, so that a plan and its record cannot come apart, and one rename swaps both. A plan may embed code for the
host, so nothing of it reaches TensorRT before the record's seal and the plan's hash were held.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.identity import Device, Here
from runtime.engines.tensorrt.judgement import Latency, Parity
from runtime.engines.tensorrt.settings import BuildSettings, Subject

_MAGIC = b"sightline plan 1\n"
_RECORD_BYTES = 1 << 20


class PlanRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a plan is, where it comes from, and how it was judged. `seal` is the HMAC-SHA256 of all the rest under the
    device's secret.
    """

    key: str
    plan_sha256: str
    plan_bytes: int
    subject: Subject
    settings: BuildSettings
    here: Here
    built_utc: str
    build_s: float
    parity: Parity | None = None  # None: not judged yet
    latency: Latency | None = None
    schema_version: Literal[1] = 1
    seal: str = ""


def sealed(record: PlanRecord, secret: bytes) -> PlanRecord:
    """The record with its seal."""
    return msgspec.structs.replace(record, seal=_seal(record, secret))


def write_plan(path: Path, record: PlanRecord, plan: bytes) -> None:
    """Write a plan's file; the caller moves it into place. Raises OSError."""
    with path.open("wb") as file:
        file.writelines((_MAGIC, msgspec.json.encode(record), b"\n", plan))


def read_record(path: Path) -> PlanRecord:
    """The record as it stands there: a claim, until `open_plan` held it. Raises EngineError."""
    try:
        with path.open("rb") as file:
            return _read_record(file, path)
    except OSError as error:
        raise EngineError(f"the plan {path} cannot be read: {error.strerror}") from error


def held_sha256(path: Path) -> str:
    """SHA-256 (hex) of the plan that a file holds, as `tail -n +3 FILE | sha256sum` gives it. Raises EngineError."""
    try:
        with path.open("rb") as file:
            _read_record(file, path)
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise EngineError(f"the plan {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def is_own(record: PlanRecord, secret: bytes | None) -> bool:
    """Whether this device wrote the record."""
    return secret is not None and hmac.compare_digest(_seal(record, secret), record.seal)


def open_plan(path: Path, secret: bytes | None, device: Device) -> tuple[PlanRecord, bytes]:
    """A plan that may be given to TensorRT: this device's own, unchanged.

    Args:
        path: the plan's file.
        secret: this device's, None where it has none.
        device: what the plan must have been built on.

    Raises:
        EngineError: it cannot be read, is damaged, or was not built by this device as it is.
    """
    try:
        with path.open("rb") as file:
            record = _read_record(file, path)
            if not is_own(record, secret):
                raise EngineError(
                    f"the plan {path} was not built by this user on this device (its record says: {record.here.device})"
                    ", and a plan may hold code: it is not loaded"
                )
            if record.here.device != device:
                raise EngineError(
                    f"the plan {path} was built on {_differences(record.here.device, device)}: it is not loaded"
                )
            plan = file.read(record.plan_bytes + 1)
    except OSError as error:
        raise EngineError(f"the plan {path} cannot be read: {error.strerror}") from error
    if len(plan) != record.plan_bytes or hashlib.sha256(plan).hexdigest() != record.plan_sha256:
        raise EngineError(f"the plan {path} is damaged: its bytes are not those that were built; it is not loaded")
    return record, plan


def _read_record(file: BinaryIO, path: Path) -> PlanRecord:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise EngineError(
            f"{path} is no plan that Sightline wrote (it does not begin with {_MAGIC.decode().strip()!r})"
        )
    line = file.readline(_RECORD_BYTES)
    try:
        return msgspec.json.decode(line, type=PlanRecord)
    except msgspec.DecodeError as error:
        raise EngineError(f"the plan {path} has a record that this version cannot read: {error}") from error


def _seal(record: PlanRecord, secret: bytes) -> str:
    text = msgspec.json.encode(msgspec.structs.replace(record, seal=""), order="sorted")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def _differences(built: Device, found: Device) -> str:
    pairs: Iterable[tuple[str, str, str]] = (
        (name, getattr(built, name), getattr(found, name)) for name in Device.__struct_fields__
    )
    return ", ".join(f"{name} {before!r} (here {now!r})" for name, before, now in pairs if before != now)
