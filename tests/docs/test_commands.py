"""Commands in the docs."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from collections import defaultdict

import pytest

from runtime.contracts import registry
from tests.docs.pages import ROOT, Command, commands

GLOBAL_OPTIONS = ("--help", "--version")
VERBS = registry.names("sightline.commands")
SIGHTLINE = [command for command in commands("sightline") if len(command.words) > 1]
MODULES = [
    command
    for program in ("python", "python3")
    for command in commands(program)
    if len(command.words) > 2 and command.words[1] == "-m"
]


def parser_of(verb: str) -> argparse.ArgumentParser:
    """A verb's own parser."""
    parser = argparse.ArgumentParser(prog=f"sightline {verb}")
    registry.load("sightline.commands", verb).add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    return parser


def options(words: tuple[str, ...]) -> set[str]:
    """The long options among the words of a command."""
    return {word.partition("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("command", SIGHTLINE, ids=str)
def test_a_sightline_command_in_the_docs_can_be_typed(command: Command) -> None:
    verb, arguments = command.words[1], list(command.words[2:])
    if verb in GLOBAL_OPTIONS:
        return
    assert verb in VERBS, f"there is no verb {verb!r}"
    parser = parser_of(verb)
    if command.whole and "--help" not in arguments:
        try:
            parser.parse_args(arguments)
        except SystemExit:
            pytest.fail(f"sightline {verb} refuses {arguments}")
    known = set(re.findall(r"--[a-z][a-z-]*", parser.format_help()))
    assert options(command.words) <= known


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_shown_in_the_docs_as_it_can_be_typed(verb: str) -> None:
    assert [command for command in SIGHTLINE if command.whole and command.words[1] == verb]


@pytest.mark.parametrize("module", sorted({command.words[2] for command in MODULES}))
def test_a_module_that_the_docs_run_exists_and_knows_the_options_shown(module: str) -> None:
    assert importlib.util.find_spec(module) is not None, f"there is no module {module!r}"
    shown: dict[str, set[str]] = defaultdict(set)
    for command in MODULES:
        shown[command.words[2]] |= options(command.words)
    if module.partition(".")[0] not in ("benchmarks", "proving_ground", "export", "runtime", "review"):
        return
    if module.startswith("export.") and importlib.util.find_spec("torch") is None:
        pytest.skip("the export extra (torch) is not installed")
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert shown[module] <= set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def test_every_make_target_in_the_docs_exists_and_every_one_that_exists_is_in_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    shown = {word for command in commands("make") for word in command.words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)}
    assert shown == targets
