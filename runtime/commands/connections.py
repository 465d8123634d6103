"""What `sightline keys` does with the keys of connections: who may connect, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

ACTIONS = ("connections", "allow", "revoke", "client")
_NAMES = {"connections": 0, "allow": 2, "revoke": 1, "client": 1}
_HOW = {
    "connections": "sightline keys connections",
    "allow": "sightline keys allow viewer tablet --public-key tablet.pub",
    "revoke": "sightline keys revoke tablet",
    "client": "sightline keys client tablet",
}


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One who may connect: name, role, public key (Z85)."""

    name: str
    role: str
    public_key: str


@dataclass(frozen=True, slots=True)
class ConnectionsReport:
    """The vehicle's public key and file, and who may connect."""

    folder: str
    server_public_key: str
    server_public_file: str
    clients: tuple[ClientReport, ...]


@dataclass(frozen=True, slots=True)
class PairReport:
    """A client's pair that was made here: the files of both halves, and the public one (Z85)."""

    name: str
    secret_file: str
    public_file: str
    public_key: str


def act(what: str, who: tuple[str, ...], given_key: str | None, folder: Path, *, as_json: bool) -> int:
    """Do one of `ACTIONS` and say what holds now. Raises UsageError, AccessError."""
    if len(who) != _NAMES[what] or (given_key is not None and what != "allow"):
        raise UsageError(f"`sightline keys {what}` takes other arguments, as in: {_HOW[what]}")
    if what == "client":
        pair = _new_client(folder, *who)
        _emit(pair, _pair_words(pair), as_json=as_json)
        return ExitCode.YES
    if what == "allow":
        role, name = who
        _allow(folder, role, name, given_key)
    elif what == "revoke":
        from runtime.access.allowed import revoke

        revoke(folder, *who)
    report = _report(folder)
    _emit(report, _words(report), as_json=as_json)
    return ExitCode.YES


def _allow(folder: Path, role: str, name: str, given_key: str | None) -> None:
    from runtime.access.allowed import AllowedClient, allow
    from runtime.access.keys import check_name, client_key, public_key
    from runtime.access.roles import ROLES

    found = next((known for known in ROLES if known == role), None)
    if found is None:
        raise UsageError(f"there is no role {role!r}; there are {', '.join(ROLES)}")
    check_name(name)
    key = client_key(folder, name).public if given_key is None else public_key(given_key)
    allow(folder, AllowedClient(name, found, key))


def _new_client(folder: Path, name: str) -> PairReport:
    from runtime.access.keys import client_dir, new_client

    pair = new_client(folder, name)
    where = client_dir(folder)
    return PairReport(name, str(where / f"{name}.key"), str(where / f"{name}.pub"), pair.public)


def _report(folder: Path) -> ConnectionsReport:
    from runtime.access.allowed import allowed_clients
    from runtime.access.keys import SERVER_NAME, ensure_server_key

    key = ensure_server_key(folder)
    clients = tuple(ClientReport(one.name, one.role, one.public_key) for one in allowed_clients(folder))
    return ConnectionsReport(str(folder), key.public, str(folder / f"{SERVER_NAME}.pub"), clients)


def _emit(report: ConnectionsReport | PairReport, words: str, *, as_json: bool) -> None:
    if as_json:
        console.emit_json(report)
    else:
        console.emit(words)


def _words(report: ConnectionsReport) -> str:
    width = max((len(client.name) for client in report.clients), default=0)
    return "\n".join(
        [
            f"vehicle   {report.server_public_key}",
            f"          {report.server_public_file}: for whoever is to connect, who knows the vehicle by it",
            f"folder    {report.folder}",
            *(f"{client.role:<9} {client.name:<{width}}  {client.public_key}" for client in report.clients),
            *([] if report.clients else ["nobody    may connect from elsewhere (see: sightline keys allow --help)"]),
        ]
    )


def _pair_words(report: PairReport) -> str:
    return "\n".join(
        [
            f"secret    {report.secret_file}: for {report.name} alone",
            f"public    {report.public_file}: for the vehicle,",
            f"          sightline keys allow viewer {report.name} --public-key {Path(report.public_file).name}",
            f"key       {report.public_key}",
        ]
    )
