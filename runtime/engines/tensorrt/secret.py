"""The secret by which this device knows its own plans: without it a record is a claim that anybody can write."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from runtime.contracts.errors import EngineError

_BYTES = 32


def secret_path() -> Path:
    """Where the secret is: `sightline/plan-secret` under XDG_DATA_HOME."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sightline" / "plan-secret"


def device_secret(path: Path | None = None) -> bytes:
    """The secret of this user on this device, made at the first call (readable by its owner only).

    Raises EngineError where it can be neither read nor made, or is not what was made.
    """
    path = path or secret_path()
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}; it is this device's mark on its plans") from error
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
        return _read(path)
    except OSError as error:
        raise EngineError(
            f"{path} cannot be made: {error.strerror}; plans are marked with it: set XDG_DATA_HOME to a folder that "
            "can be written"
        ) from error


def known_secret(path: Path | None = None) -> bytes | None:
    """The secret, None where this device has made none yet: then it has built no plan. Raises EngineError as above."""
    path = path or secret_path()
    return device_secret(path) if path.exists() else None


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    if len(data) != _BYTES:
        raise EngineError(f"{path} has {len(data)} bytes, not {_BYTES}: it is damaged; remove it and build plans again")
    return data


def _make(path: Path) -> None:
    """Whole or not at all, and never over another process's."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
