"""The keys of one run, in its private folder: the vehicle's pair, and one for each client that the run itself is.

The run's own clients live as long as it does. They are let in beside the list, by what the plan says of them, so that
no private half of theirs is ever kept. The vehicle's pair is handed over as it was when the run began: one that is
changed meanwhile changes nothing for the processes that start again.
"""

from __future__ import annotations

import os
from pathlib import Path

from runtime.access.allowed import AllowedClient, AllowList, allowed_clients
from runtime.access.gate import ServerAccess
from runtime.access.keys import ConnectionKey, Credentials, certificate, ensure_server_key, load_pair, new_pair
from runtime.access.roles import Role
from runtime.contracts.errors import AccessError

_OWN: tuple[Role, ...] = ("driver", "marker")  # the driving process, and whoever marks a moment on the vehicle itself
_SERVER = "server"


def make_run_keys(run_dir: Path, key_dir: Path) -> tuple[AllowedClient, ...]:
    """Make the keys of a run; returns its own clients. Raises AccessError where the vehicle's pair cannot be had, or
    the list of who may connect cannot be used.
    """
    allowed_clients(key_dir)
    _hand_over(run_dir, _SERVER, ensure_server_key(key_dir))
    clients = []
    for role in _OWN:
        pair = new_pair()
        _hand_over(run_dir, role, pair)
        clients.append(AllowedClient(f"this-run-{role}", role, pair.public))
    return tuple(clients)


def run_access(run_dir: Path, key_dir: Path, clients: tuple[AllowedClient, ...]) -> ServerAccess:
    """What a serving process of a run needs. Raises AccessError."""
    return ServerAccess(_of_run(run_dir, _SERVER), AllowList(key_dir, clients))


def run_credentials(run_dir: Path, role: Role) -> Credentials:
    """What a client connects with that belongs to the run. Raises AccessError."""
    return Credentials(_of_run(run_dir, role), _of_run(run_dir, _SERVER).public)


def _hand_over(run_dir: Path, name: str, pair: ConnectionKey) -> None:
    path = run_dir / f"{name}.key"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(certificate(pair.public, pair.secret))
    except OSError as error:
        raise AccessError(f"the keys of this run cannot be written to {path}: {error.strerror}") from error


def _of_run(run_dir: Path, name: str) -> ConnectionKey:
    try:
        return load_pair(run_dir / f"{name}.key")
    except FileNotFoundError:
        raise AccessError(f"{run_dir} holds no key of a {name}; it is the folder of a run over tcp") from None
