"""The frame of the command `sightline`: finds the verb, parses its options, and turns every error into one clear line.

A verb is a module registered under `sightline.commands` with SUMMARY, EXAMPLE, `add_arguments(parser)` and
`run(args) -> int`. Verbs import what is heavy inside `run`, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from runtime import __version__
from runtime.commands import console
from runtime.contracts import registry
from runtime.contracts.errors import ExitCode, SightlineError, UsageError

_EXAMPLE = "example: "

_GROUP: registry.Group = "sightline.commands"
_ORDER = (
    *("demo", "run", "mark", "incidents", "replay", "info", "overlay", "clip", "verify", "recover", "bundle"),
    *("custody", "export", "model", "engine", "doctor", "config", "keys"),
)


class Verb(Protocol):
    """What a verb's module has."""

    SUMMARY: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's options."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code."""
        ...


class _Help(argparse.HelpFormatter):
    """Wraps to the terminal, but for the example: that is to be copied, and a line break would cut it in two."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sightline ARGV…` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(arguments[0] if arguments else "")
        args = parser.parse_args(arguments)
        if args.verb is None:
            parser.print_help()
            return ExitCode.COULD_NOT
        code = int(cast(Verb, args.module).run(args))
        console.flush()
        return code
    except SightlineError as error:
        console.fail(str(error), json="--json" in arguments)
        return ExitCode.COULD_NOT
    except PermissionError as error:  # of a path that somebody named; what can refuse in mid-drive is told there
        what = f"{error.filename} may not be used by this user" if error.filename else str(error)
        console.fail(f"{what}; run it as who owns it, or change its mode", json="--json" in arguments)
        return ExitCode.COULD_NOT
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        what = f"{error.filename} is too long for a path, or a name in it is; give another"
        console.fail(what, json="--json" in arguments)
        return ExitCode.COULD_NOT
    except KeyboardInterrupt:
        console.fail("interrupted", json="--json" in arguments)
        return ExitCode.COULD_NOT
    except console.OutputRefusedError as error:
        _forget_output()
        if not isinstance(error.__cause__, BrokenPipeError):  # of `| head` nothing is to be said
            console.fail(str(error), json=False)
        return ExitCode.COULD_NOT


def _forget_output() -> None:
    """What is still buffered for a standard output that nobody takes goes nowhere, so that the exit does not trip."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(wanted: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sightline",
        description="Explainable driving at the edge: decide, explain, record, replay.",
        epilog=f"{_EXAMPLE}sightline demo",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"sightline {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    known = _verbs()
    for name in known:
        if wanted in known and name != wanted:
            verbs.add_parser(name)
            continue
        try:
            module = cast(Verb, registry.load(_GROUP, name))
        except UsageError as error:
            if name == wanted:
                raise
            verbs.add_parser(name, help=f"not usable: {error}".replace("%", "%%"))  # a verb from outside may be broken
            continue
        one = verbs.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=f"{_EXAMPLE}{module.EXAMPLE}",
            formatter_class=_Help,
        )
        module.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
        one.set_defaults(module=module)
    return parser


def _verbs() -> tuple[str, ...]:
    found = registry.names(_GROUP)
    return tuple(sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)))
