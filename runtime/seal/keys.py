"""The vehicle's signing key: one Ed25519 pair in a private folder, made, shown, and changed for a new one.

    signing.key                 the private half (PKCS#8, PEM), mode 0600
    signing.pub                 the public half (PEM), for whoever is to verify
    retired-0123456789abcdef.pub       public halves that were in use before
    rotation-0123456789abcdef.json     the new key, signed by the one before it (DSSE)

The folder has mode 0700. What others can read or write is refused.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.contracts.errors import SealError
from runtime.record.journal import sync_directory
from runtime.record.on_disk import make_folders
from runtime.seal.envelope import (
    EnvelopeError,
    envelope_bytes,
    key_id_of,
    make_envelope,
    parse_public_key,
    public_key_pem,
)
from runtime.seal.private import Kept, private_file, public_file, read_private, refuse_open
from runtime.seal.rotation import ROTATION_TYPE, Rotation, rotation_payload
from runtime.seal.statement import KEY_PREFIX, KEY_SUFFIX, key_name

KEY_NAME, PUBLIC_NAME = "signing.key", "signing.pub"
_RETIRED_PREFIX = "retired-"
_KEPT = Kept("signing key", "nobody could trust its signatures", SealError)


@dataclass(frozen=True)
class VehicleKey:
    """A key pair: what signs, and what its signatures are checked with (32 bytes)."""

    key_id: str
    public_key: bytes
    sign: Callable[[bytes], bytes]


def default_key_dir() -> Path:
    """Where the key is, if nothing else is said: `sightline/keys` under XDG_DATA_HOME."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sightline" / "keys"


def key_dir_of(configured: str | None) -> Path:
    """The folder that a configuration or an option names, or the default."""
    return default_key_dir() if configured is None else Path(configured).expanduser()


def load_key(folder: Path) -> VehicleKey:
    """The vehicle's key. Raises SealError where there is none, it is damaged, or others can get at it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = folder / KEY_NAME
    try:
        data = read_private(path, _KEPT)
    except FileNotFoundError:
        make = "sightline keys new" + ("" if folder == default_key_dir() else f" --key-dir {shlex.quote(str(folder))}")
        raise SealError(f"there is no signing key in {folder}; make one: {make}") from None
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise SealError(f"{path} is no private key in PEM: {error}; put the vehicle's key back") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise SealError(f"{path} is a key of another kind than Ed25519; put the vehicle's key back")
    key = _vehicle_key(private)
    _show_public_half(folder, key)
    return key


def new_key(folder: Path) -> VehicleKey:
    """Make the vehicle's key. Raises SealError where there is one already, or the folder cannot be written."""
    key, pem = _generate()
    try:
        make_folders(folder, 0o700, exist_ok=True)
        refuse_open(folder, folder.stat(), 0o700, _KEPT)
        temporary = private_file(folder, KEY_NAME, pem)
        try:
            os.link(temporary, folder / KEY_NAME)  # unlike a rename, it replaces none
        finally:
            temporary.unlink()
        public_file(folder / PUBLIC_NAME, public_key_pem(key.public_key))
    except FileExistsError:
        raise SealError(
            f"there is a signing key in {folder} already; see it by `sightline keys show`, or change it for a new one "
            "by `sightline keys rotate`"
        ) from None
    except OSError as error:
        raise SealError(f"no signing key can be made in {folder}: {error.strerror}; name another folder") from error
    return key


def ensure_key(folder: Path) -> tuple[VehicleKey, bool]:
    """The vehicle's key, made where there is none yet, and whether it was made now. Raises SealError."""
    if not (folder / KEY_NAME).exists():
        try:
            return new_key(folder), True
        except SealError:
            if not (folder / KEY_NAME).exists():
                raise
            # another run made it at this moment
    return load_key(folder), False


def rotate_key(folder: Path) -> tuple[VehicleKey, VehicleKey]:
    """Change the key for a new one: the old one, which signs who follows it and is then gone, and the new one.

    That statement is on the disk before the old key goes: nobody could make it afterwards.
    """
    old = load_key(folder)
    new, pem = _generate()
    rotation = Rotation(old.key_id, new.key_id, new.public_key.hex(), time.time_ns())
    envelope = make_envelope(ROTATION_TYPE, rotation_payload(rotation), old.key_id, old.sign)
    try:
        public_file(folder / _retired_name(old.key_id), public_key_pem(old.public_key))
        public_file(folder / f"rotation-{new.key_id[:16]}.json", envelope_bytes(envelope))
        private_file(folder, KEY_NAME, pem).replace(folder / KEY_NAME)
        sync_directory(folder)
        public_file(folder / PUBLIC_NAME, public_key_pem(new.public_key))
    except OSError as error:
        raise SealError(f"the key in {folder} cannot be changed: {error.strerror}") from error
    return old, new


def known_keys(folder: Path) -> tuple[bytes, ...]:
    """The public keys of this vehicle, the newest first; empty where there are none. Raises SealError on a damaged
    one.
    """
    paths = [path for path in (folder / PUBLIC_NAME,) if path.is_file()]
    return tuple(read_public_key(path) for path in (*paths, *retired_files(folder)))


def copies_in_drives(folder: Path) -> frozenset[str]:
    """The names of the files by which drives show the keys of this vehicle. Those before today's need not be readable.
    Raises SealError where today's is damaged.
    """
    today = [path for path in (folder / PUBLIC_NAME,) if path.is_file()]
    return frozenset(
        [key_name(key_id_of(read_public_key(path))) for path in today]
        + [copy_of_retired(path) for path in retired_files(folder)]
    )


def copy_of_retired(path: Path) -> str:
    """The name that a retired public half has in the drives that it signed."""
    return path.name.replace(_RETIRED_PREFIX, KEY_PREFIX)


def retired_files(folder: Path) -> tuple[Path, ...]:
    """The public halves that were in use before."""
    return tuple(sorted(folder.glob(f"{_RETIRED_PREFIX}*{KEY_SUFFIX}")))


def rotation_files(folder: Path) -> tuple[Path, ...]:
    """The signed statements that lead from each key to its successor."""
    return tuple(sorted(folder.glob("rotation-*.json")))


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of a public key's file. Raises SealError."""
    try:
        return parse_public_key(path.read_bytes())
    except OSError as error:
        raise SealError(
            f"the public key {path} cannot be read: {error.strerror}; give the vehicle's {PUBLIC_NAME}, which "
            "`sightline keys show` finds on the vehicle"
        ) from error
    except EnvelopeError as error:
        raise SealError(f"{path}: {error}; give the vehicle's {PUBLIC_NAME}") from error


def _show_public_half(folder: Path, key: VehicleKey) -> None:
    """Who made or changed the key may have died before its public half was written: it is not there, or that of a
    retired one.
    """
    path = folder / PUBLIC_NAME
    with contextlib.suppress(OSError, EnvelopeError):  # no room, or no right to write: it can sign nevertheless
        shown = key_id_of(parse_public_key(path.read_bytes())) if path.is_file() else ""
        if not shown or (shown != key.key_id and (folder / _retired_name(shown)).exists()):
            public_file(path, public_key_pem(key.public_key))


def _retired_name(key_id: str) -> str:
    return f"{_RETIRED_PREFIX}{key_id[:16]}{KEY_SUFFIX}"


def _vehicle_key(private: Any) -> VehicleKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return VehicleKey(key_id_of(public), public, private.sign)


def _generate() -> tuple[VehicleKey, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    return _vehicle_key(private), private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
