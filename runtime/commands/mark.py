"""`sightline mark`: say that this moment of a running drive is worth keeping."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runtime.access.keys import Credentials

SUMMARY = "mark this moment of a running drive: what is around it is kept, with the reason"
EXAMPLE = 'sightline mark --reason "swerved for no reason"'
_REASON = "marked by hand"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--reason", default=_REASON, metavar="TEXT", help=f"why, in at most 500 characters ({_REASON})")
    parser.add_argument("--by", default=None, metavar="NAME", help="who says so (default: the name of this login)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--run", type=Path, default=None, metavar="DRIVE", help="the drive's folder, where several runs are under way"
    )
    where.add_argument(
        "--endpoint",
        default=None,
        metavar="ENDPOINT",
        help="where a run on another machine takes marks: tcp://HOST:PORT",
    )
    parser.add_argument(
        "--vehicle",
        default=None,
        metavar="PUBLIC",
        help="with --endpoint: the vehicle's connection.pub, or its 40 characters",
    )
    parser.add_argument(
        "--client", default=None, metavar="NAME", help="with --vehicle: whose pair this is (sightline keys client NAME)"
    )
    parser.add_argument(
        "--key-dir",
        default=None,
        metavar="FOLDER",
        help="where that pair is (default: sightline/keys under XDG_DATA_HOME)",
    )
    parser.add_argument("--timeout-s", type=float, default=5.0, metavar="SECONDS", help="how long to wait (5)")


def run(args: argparse.Namespace) -> int:
    """0 once the mark is on the disk, 2 where it is not."""
    from runtime.contracts.clock import SystemClock
    from runtime.incident.marks import send_mark
    from runtime.supervise.running import find_run

    if args.endpoint is None:
        plan = find_run(args.run)
        endpoint, credentials = plan.marks, plan.credentials("marker")
    else:
        endpoint, credentials = args.endpoint, _credentials(args)
    by = _login() if args.by is None else args.by
    marked = send_mark(
        endpoint, args.reason, by, timeout_s=args.timeout_s, clock=SystemClock(), credentials=credentials
    )
    if args.json:
        console.emit_json({"drive_id": marked.drive_id, "incident": marked.incident})
    else:
        console.emit(f"marked: incident {marked.incident} of the drive {marked.drive_id}")
    return ExitCode.YES


def _credentials(args: argparse.Namespace) -> Credentials | None:
    """What a recorder on another machine asks for; None where it asks for nothing."""
    from runtime.access.keys import Credentials, client_key, public_key
    from runtime.seal.keys import key_dir_of

    if args.vehicle is None and args.client is None:
        return None
    if args.vehicle is None or args.client is None:
        raise UsageError("keys go in pairs: give --vehicle PUBLIC and --client NAME")
    return Credentials(client_key(key_dir_of(args.key_dir), args.client), public_key(args.vehicle))


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return ""
