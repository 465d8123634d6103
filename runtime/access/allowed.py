"""The list of who may connect: `connections.json` in the folder of the keys, of ours alone (mode 0600).

It is read again whenever it changed, so that whoever is entered can connect at once. Where it cannot be used, nobody
on it is let in. Whoever changes it holds a lock (flock(2) on `connections.lock` beside it) from reading to writing, so
that none writes back who was taken off meanwhile; readers need none, since it is swapped in whole.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from runtime.access.keys import NAME, check_name, is_key
from runtime.access.roles import OPENS, Door, Role
from runtime.contracts.errors import AccessError
from runtime.record.journal import sync_directory
from runtime.seal.private import Kept, private_file, read_private, refuse_open

LIST_NAME = "connections.json"
_LOCK_NAME = "connections.lock"  # no lock on the folder: NFS gives one only on what is open to be written
_KEPT = Kept("list of who may connect", "others could enter themselves", AccessError)


class AllowedClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may connect: a name for people, a role, and the public half of its pair in Z85."""

    name: Annotated[str, Meta(pattern=rf"\A{NAME.pattern}\Z")]
    role: Role
    public_key: str

    def __post_init__(self) -> None:
        """A key that no client could have is a slip, and better told now."""
        if not is_key(self.public_key):
            raise ValueError(f"{self.public_key!r} is no public key of a connection")


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clients: tuple[AllowedClient, ...] = ()


def allowed_clients(key_dir: Path) -> tuple[AllowedClient, ...]:
    """Who is on the list; empty where there is none. Raises AccessError where it is damaged or not ours alone."""
    path = key_dir / LIST_NAME
    try:
        data = read_private(path, _KEPT)
    except FileNotFoundError:
        return ()
    try:
        return msgspec.json.decode(data, type=_List).clients
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AccessError(f"{path} is no list of who may connect: {error}; see `sightline keys connections`") from error


def allow(key_dir: Path, client: AllowedClient) -> None:
    """Enter a client. Raises AccessError where its name or key is on the list already, or the list cannot be kept."""
    check_name(client.name)
    with _alone(key_dir):
        clients = allowed_clients(key_dir)
        for known in clients:
            if known.name == client.name or known.public_key == client.public_key:
                raise AccessError(
                    f"{known.name} is on the list as a {known.role} with the key {known.public_key} already; first: "
                    f"sightline keys revoke {known.name}"
                )
        _keep(key_dir, (*clients, client))


def revoke(key_dir: Path, name: str) -> AllowedClient:
    """Take a client off the list. Raises AccessError where it is not on it, or the list cannot be kept."""
    with _alone(key_dir):
        clients = allowed_clients(key_dir)
        found = next((client for client in clients if client.name == name), None)
        if found is None:
            there = ", ".join(client.name for client in clients) or "nobody"
            raise AccessError(f"{name!r} is not on the list in {key_dir}; there is: {there}")
        _keep(key_dir, tuple(client for client in clients if client is not found))
        return found


@contextmanager
def _alone(key_dir: Path) -> Iterator[None]:
    """Nobody else changes the list meanwhile. It waits for who does, and goes with the process, however that ends."""
    try:
        key_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_open(key_dir, key_dir.stat(), 0o700, _KEPT)
        with (key_dir / _LOCK_NAME).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise AccessError(f"the list of who may connect in {key_dir} cannot be kept: {error.strerror}") from error


def _keep(key_dir: Path, clients: tuple[AllowedClient, ...]) -> None:
    data = msgspec.json.format(msgspec.json.encode(_List(clients)), indent=2) + b"\n"
    private_file(key_dir, LIST_NAME, data).replace(key_dir / LIST_NAME)
    sync_directory(key_dir)  # who was taken off it does not come back with a power failure


class AllowList:
    """Who may pass which door now: the list in a folder as it is at this moment, and `always`. Any thread may ask."""

    def __init__(self, key_dir: Path, always: Iterable[AllowedClient] = ()) -> None:
        """`always`: clients beside the list, those of the run itself."""
        self._key_dir, self._always = key_dir, tuple(always)
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._listed: tuple[AllowedClient, ...] = ()

    def keys(self, door: Door) -> frozenset[str]:
        """The public keys that open a door."""
        return frozenset(client.public_key for client in self._clients() if door in OPENS[client.role])

    def _clients(self) -> tuple[AllowedClient, ...]:
        with self._lock:
            seen = _state(self._key_dir)
            if seen != self._seen:
                try:
                    self._listed = allowed_clients(self._key_dir)
                except AccessError:
                    self._listed = ()  # a list that others may have written is nobody's word
                self._seen = seen
            return (*self._always, *self._listed)


def _state(key_dir: Path) -> tuple[int, ...]:
    """What differs once the list, or who can get at it, was changed."""
    found: list[int] = []
    for path in (key_dir, key_dir / LIST_NAME):
        try:
            status = path.stat()
        except OSError:
            return ()
        found += [status.st_ino, status.st_mode, status.st_uid]
    return (*found, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
