"""The stand-alone verifier's command."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import traceback
from pathlib import Path

from review.verify.bundle import verify_bundle
from review.verify.drive import parse_head, verify_drive
from review.verify.unpack import opened
from review.verify.words import words
from runtime.contracts.errors import RecordError
from runtime.seal.envelope import EnvelopeError, parse_public_key
from runtime.seal.statement import printable


def command() -> int:
    """`main` for a shell, where a defect must not end with the exit code of a changed drive."""
    try:
        return main(sys.argv[1:])
    except Exception:  # noqa: BLE001  # whatever it is, nothing was verified
        traceback.print_exc()
        sys.stderr.write("this is a defect of the verifier; nothing is said of the drive\n")
        return 2


def _public_key(path: Path) -> bytes:
    try:
        return parse_public_key(path.read_bytes())
    except (OSError, EnvelopeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RecordError(f"the public key {path} cannot be read: {why}; give the vehicle's signing.pub") from error


def main(arguments: list[str]) -> int:
    """Verify one drive or bundle; 0 intact, 1 not, 2 could not."""
    parser = argparse.ArgumentParser(
        description="Verify a drive that Sightline sealed, or a part of one that was handed over."
    )
    parser.add_argument("drive", type=Path, help="the folder of a drive or a bundle, or a bundle's zip file")
    parser.add_argument("--key", type=Path, action="append", default=[], help="the vehicle's public key (PEM)")
    parser.add_argument("--head", default=None, help="a head that was kept elsewhere, NUMBER:SHA256")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(arguments)
    try:
        keys = [_public_key(path) for path in args.key]
        head = None if args.head is None else parse_head(args.head)
        with opened(args.drive) as one:
            found = (verify_bundle if one.is_bundle else verify_drive)(one.folder, keys, head)
            found = dataclasses.replace(found, drive=one.shown)
    except (RecordError, EnvelopeError, OSError, ImportError) as error:
        sys.stderr.write(printable(str(error)) + "\n")
        return 2
    told = json.dumps(dataclasses.asdict(found), indent=2) if args.json else words(found)
    encoding = sys.stdout.encoding or "utf-8"  # which may lack a letter of a name
    sys.stdout.write(told.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    return 0 if found.verdict == "intact" else 1
