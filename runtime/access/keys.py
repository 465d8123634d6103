"""CURVE key pairs of connections, as the certificates that every ZeroMQ binding reads (ZPL).

    connection.key              the vehicle's pair, with its secret half: what its sockets prove themselves by (0600)
    connection.pub              its public half, for whoever is to connect
    clients/tablet.key          a client's pair that was made here (0600)
    clients/tablet.pub          its public half, for the vehicle that is to let it in

They lie in the folder of the signing key (mode 0700). What others can read or write is refused. Keys are Curve25519's
(RFC 7748), as CurveZMQ (ZeroMQ RFC 26) uses them, in Z85 (RFC 32): 40 characters.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85

from runtime.contracts.errors import AccessError
from runtime.record.on_disk import make_folders
from runtime.seal.private import Kept, private_file, public_file, read_private, refuse_open

SERVER_NAME = "connection"
CLIENTS = "clients"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_KEPT = Kept("connection's key", "whoever reads it can pass for its owner", AccessError)
_FIELD = re.compile(rb'^\s*(public-key|secret-key)\s*=\s*"([^"\r\n]*)"\s*$', re.MULTILINE)
_LARGEST_FILE_BYTES = 65_536


@dataclass(frozen=True)
class ConnectionKey:
    """A key pair in Z85. The secret half stays out of what is printed."""

    public: str
    secret: str

    def __repr__(self) -> str:
        """Without the secret half."""
        return f"ConnectionKey({self.public})"


@dataclass(frozen=True)
class Credentials:
    """What a client connects with: its own pair, and the public half of the vehicle that it means to reach."""

    own: ConnectionKey
    server: str

    def put_on(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket use them. Before it connects."""
        socket.curve_publickey = self.own.public.encode()
        socket.curve_secretkey = self.own.secret.encode()
        socket.curve_serverkey = self.server.encode()


def new_pair() -> ConnectionKey:
    """A fresh pair."""
    public, secret = zmq.curve_keypair()
    return ConnectionKey(public.decode(), secret.decode())


def server_key(key_dir: Path) -> ConnectionKey:
    """The vehicle's pair. Raises AccessError where there is none, it is damaged, or others can get at it."""
    try:
        return load_pair(key_dir / f"{SERVER_NAME}.key")
    except FileNotFoundError:
        raise AccessError(
            f"there is no connection's key in {key_dir}; `sightline keys connections` makes one, and so does a run "
            "over tcp"
        ) from None


def ensure_server_key(key_dir: Path) -> ConnectionKey:
    """The vehicle's pair, made where there is none yet. Raises AccessError."""
    if not (key_dir / f"{SERVER_NAME}.key").exists():
        with contextlib.suppress(FileExistsError):  # another run makes it at this moment
            return make_pair(key_dir, SERVER_NAME)
    return server_key(key_dir)


def client_dir(key_dir: Path) -> Path:
    """Where the pairs of clients are that were made here."""
    return key_dir / CLIENTS


def new_client(key_dir: Path, name: str) -> ConnectionKey:
    """Make a client's pair. Raises AccessError where there is one of that name, or the folder cannot be written."""
    check_name(name)
    try:
        return make_pair(client_dir(key_dir), name)
    except FileExistsError:
        raise AccessError(
            f"there is a client {name} in {client_dir(key_dir)} already; choose another name, or remove its files"
        ) from None


def client_key(key_dir: Path, name: str) -> ConnectionKey:
    """A client's pair that was made here. Raises AccessError."""
    check_name(name)
    try:
        return load_pair(client_dir(key_dir) / f"{name}.key")
    except FileNotFoundError:
        raise AccessError(
            f"there is no client {name} in {client_dir(key_dir)}; make one: sightline keys client {name}"
        ) from None


def check_name(name: str) -> None:
    """Raise AccessError on a name that could not be a file's."""
    if not NAME.fullmatch(name):
        raise AccessError(f"{name!r} is no name of a client: letters, digits, '_', '.' and '-', at most 64")


def make_pair(folder: Path, name: str) -> ConnectionKey:
    """Make a pair in a folder of ours alone. Raises FileExistsError where there is one of that name, AccessError where
    the folder cannot be written, or others can get at it.
    """
    pair = new_pair()
    try:
        for made in (folder.parent, folder):
            make_folders(made, 0o700, exist_ok=True)
        refuse_open(folder, folder.stat(), 0o700, _KEPT)
        temporary = private_file(folder, f"{name}.key", certificate(pair.public, pair.secret))
        try:
            os.link(temporary, folder / f"{name}.key")  # unlike a rename, it replaces none
        finally:
            temporary.unlink()
        public_file(folder / f"{name}.pub", certificate(pair.public))
    except FileExistsError:
        raise
    except OSError as error:
        raise AccessError(
            f"no connection's key can be made in {folder}: {error.strerror}; name another folder"
        ) from error
    return pair


def load_pair(path: Path) -> ConnectionKey:
    """A pair from its file. Raises FileNotFoundError, and AccessError where it is damaged or others can get at it."""
    fields = _fields(path, read_private(path, _KEPT))
    public, secret = fields.get("public-key", ""), fields.get("secret-key", "")
    if not is_key(public) or not is_key(secret) or zmq.curve_public(secret.encode()).decode() != public:
        raise AccessError(f"{path} is no pair of keys of a connection; make another one, or put the right one back")
    return ConnectionKey(public, secret)


def public_key(text: str) -> str:
    """A public key, given as its 40 characters or as a certificate's path. Raises AccessError."""
    if is_key(text):
        return text
    path = Path(text)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise AccessError(f"{path} is no file; give the .pub file of a connection's key, or its 40 characters")
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise AccessError(
            f"{text!r} is neither a public key (40 characters in Z85) nor a file that can be read: {error}"
        ) from error
    key = _fields(path, data).get("public-key", "")
    if not is_key(key):
        raise AccessError(f"{path} holds no public key of a connection; give the .pub file that came with its pair")
    return key


def is_key(text: str) -> bool:
    """Whether a text is 32 bytes in Z85."""
    if len(text) != 40 or not text.isascii():
        return False
    try:
        return z85.encode(z85.decode(text.encode())) == text.encode()
    except (ValueError, KeyError, OverflowError):
        return False


def _fields(path: Path, data: bytes) -> dict[str, str]:
    try:
        return {name.decode(): value.decode("ascii") for name, value in _FIELD.findall(data[:_LARGEST_FILE_BYTES])}
    except UnicodeDecodeError as error:
        raise AccessError(f"{path} is no certificate of a connection: {error}") from error


def certificate(public: str, secret: str = "") -> bytes:
    """A certificate's bytes; without a secret half, a public one."""
    lines = ["metadata", '    program = "sightline"', "curve", f'    public-key = "{public}"']
    return "\n".join([*lines, *([f'    secret-key = "{secret}"'] if secret else []), ""]).encode()
