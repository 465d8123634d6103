"""`sightline doctor`: what this machine has, what is missing, and how to mend it."""

from __future__ import annotations

import argparse
from pathlib import Path

from runtime.commands import console
from runtime.contracts.errors import ExitCode

SUMMARY = "tell what this machine has, what is missing, and how to mend it"
EXAMPLE = "sightline doctor --out drives/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", type=Path, help="the configuration to check for (default: bench.yaml)")
    parser.add_argument("--out", type=Path, default=Path("drives"), help="where drives would be written")


def run(args: argparse.Namespace) -> int:
    """Print one line per check. Exit code 1 where one failed."""
    from runtime.doctor.checkup import checkup

    findings = checkup(args.config, args.out)
    failed = sum(finding.verdict == "fail" for finding in findings)
    if args.json:
        console.emit_json({"checks": findings, "failed": failed})
    else:
        for finding in findings:
            mend = f"  -> {finding.mend}" if finding.mend else ""
            console.emit(f"{finding.verdict:4}  {finding.check:14} {finding.found}{mend}")
    return ExitCode.NO if failed else ExitCode.YES
