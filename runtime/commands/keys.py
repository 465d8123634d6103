"""`sightline keys`: the key that signs this vehicle's records, and the keys of who may connect to it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.commands.connections import ACTIONS, act
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runtime.seal.keys import VehicleKey

SUMMARY = "the key that signs this vehicle's records, and the keys of who may connect to it"
EXAMPLE = "sightline keys allow viewer tablet --public-key tablet.pub"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The key in use. `retired`: the identities of those before it."""

    folder: str
    key_id: str
    public_key: str  # PEM
    retired: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "what",
        choices=("new", "show", "rotate", *ACTIONS),
        help="of the signing key: make the first one (new); show it; change it for a new one, which the old one signs "
        "(rotate). Of connections: show the vehicle's public key and the list of who may connect (connections); enter "
        "a ROLE and NAME on it (allow); take a NAME off it (revoke); make a key pair for a NAME (client)",
    )
    parser.add_argument(
        "who",
        nargs="*",
        metavar="ROLE NAME",
        help="for allow: viewer, recorder, marker or driver, and a name; for revoke and client: a name",
    )
    parser.add_argument(
        "--public-key",
        default=None,
        metavar="KEY",
        help="for allow: the client's .pub file, or its 40 characters (default: that of a pair made here)",
    )
    parser.add_argument(
        "--key-dir",
        default=None,
        metavar="FOLDER",
        help="where the keys are (default: sightline/keys under XDG_DATA_HOME; for `run`, record.key_dir)",
    )


def run(args: argparse.Namespace) -> int:
    """Do it and say which key is in use now."""
    from runtime.seal.keys import key_dir_of, load_key, new_key, rotate_key

    folder = key_dir_of(args.key_dir)
    if args.what in ACTIONS:
        return act(args.what, tuple(args.who), args.public_key, folder, as_json=args.json)
    if args.who or args.public_key is not None:
        raise UsageError(f"`sightline keys {args.what}` is of the signing key, and takes no name; see --help")
    if args.what == "new":
        key = new_key(folder)
    elif args.what == "rotate":
        _, key = rotate_key(folder)
    else:
        key = load_key(folder)
    report = _report(folder, key)
    if args.json:
        console.emit_json(report)
    else:
        console.emit(_words(report))
    return ExitCode.YES


def _report(folder: Path, key: VehicleKey) -> KeyReport:
    from runtime.seal.envelope import key_id_of, public_key_pem
    from runtime.seal.keys import known_keys

    retired = tuple(key_id_of(one) for one in known_keys(folder) if one != key.public_key)
    return KeyReport(str(folder), key.key_id, public_key_pem(key.public_key).decode(), retired)


def _words(report: KeyReport) -> str:
    from runtime.seal.keys import PUBLIC_NAME

    return "\n".join(
        [
            f"key      {report.key_id}",
            f"folder   {report.folder}",
            *(f"before   {key_id}" for key_id in report.retired),
            f"public   {Path(report.folder) / PUBLIC_NAME}: for whoever is to verify this vehicle's drives",
            "         (sightline verify DRIVE --key signing.pub)",
            report.public_key.rstrip(),
        ]
    )
