"""`sightline verify`: whether a drive, or what was handed over of one, is what its vehicle sealed."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

SUMMARY = "prove that a drive or a bundle is what its vehicle sealed, or name what was changed"
EXAMPLE = "sightline verify drives/20261123T211500Z-9f3a01c4 --key signing.pub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "drive",
        nargs="?",
        type=Path,
        metavar="DRIVE",
        help="a drive's folder, one that holds a single drive, or a bundle: its folder or its zip file",
    )
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=None,
        metavar="PUBLIC",
        help="the vehicle's public key, had from elsewhere than with the drive (default: this machine's own keys)",
    )
    parser.add_argument(
        "--head",
        default=None,
        metavar="HEAD",
        help="a head that was kept elsewhere: NUMBER:SHA256, or the JSON of /seal/head, or its file",
    )
    parser.add_argument(
        "--standalone",
        type=Path,
        default=None,
        metavar="FILE",
        help="write the verifier itself as one Python file that needs nothing of Sightline, and verify nothing",
    )


def run(args: argparse.Namespace) -> int:
    """0: intact; 1: something is not as it was sealed, or not by a known key."""
    if args.standalone is not None:
        from review.verify.standalone import write_standalone
        from runtime.record.evidence import refuse_in_evidence

        refuse_in_evidence(args.standalone, "--standalone")
        write_standalone(args.standalone)
        if args.json:
            console.emit_json({"standalone": str(args.standalone)})
        else:
            console.emit(
                f"written: {args.standalone}; it needs Python and cryptography: python {args.standalone} DRIVE"
            )
        return ExitCode.YES
    if args.drive is None:
        raise UsageError("no drive is named; give its folder: sightline verify DRIVE")
    from review.verify.bundle import verify_bundle
    from review.verify.drive import parse_head, verify_drive
    from review.verify.unpack import opened
    from runtime.record.lock import DriveInUseError, in_use
    from runtime.seal.keys import default_key_dir, known_keys, read_public_key

    trusted = known_keys(default_key_dir()) if args.key is None else tuple(read_public_key(path) for path in args.key)
    head = None if args.head is None else parse_head(args.head)
    with opened(args.drive) as one, console.progress(None, "verify", quiet=args.json) as bar:
        if not one.is_bundle and in_use(one.folder):
            raise DriveInUseError(
                f"the drive {one.shown} is being recorded, recovered or deleted from, and what is not finished would "
                "be told as damage; verify it when that has ended, or verify a copy"
            )
        bar.unit, bar.unit_scale = "B", True
        found = (verify_bundle if one.is_bundle else verify_drive)(one.folder, trusted, head, bar.update)
        found = dataclasses.replace(found, drive=one.shown)
    if args.json:
        console.emit_json(found)
    else:
        from review.verify.words import words

        console.emit(words(found))
    return ExitCode.YES if found.verdict == "intact" else ExitCode.NO
