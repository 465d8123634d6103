"""The verifier as one file: the modules that `sightline verify` runs, one behind the other, and a small command.

They import nothing but the standard library and `cryptography` (zstandard where it is there), and no two of them give
one name to two things; a test holds both. What the expert reads is what the command runs.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from runtime import __version__
from runtime.contracts.errors import RecordError

MODULES = (
    "runtime.contracts.errors",
    "runtime.contracts.regular_file",
    "runtime.record.scan",
    "runtime.seal.leaf",
    "runtime.seal.tree",
    "runtime.seal.envelope",
    "runtime.seal.rotation",
    "runtime.seal.statement",
    "runtime.seal.leaves_file",
    "runtime.seal.sealed_file",
    "runtime.seal.proof",
    "runtime.seal.part_file",
    "runtime.seal.part_mcap",
    "review.verify.moment",
    "review.verify.custody",
    "review.verify.account",
    "review.verify.report",
    "review.verify.plain_file",
    "review.verify.align",
    "review.verify.segments",
    "review.verify.seals",
    "review.verify.deleted",
    "review.verify.manifest",
    "review.verify.left_out",
    "review.verify.part",
    "review.verify.handed",
    "review.verify.drive",
    "review.verify.bundle",
    "review.verify.find",
    "review.verify.zip_entries",
    "review.verify.unpack",
    "review.verify.words",
    "review.verify.script",
)
"""Each after those that it imports."""

_HEAD = '''#!/usr/bin/env python3
"""Verifies a drive that Sightline {version} sealed, or an evidence bundle of a part of one. It needs Python 3.10 or
later and `cryptography`, nothing else; where `zstandard` is installed it reads every message, elsewhere it compares
every whole segment with its signed hash.

    python {name} DRIVE --key signing.pub [--head NUMBER:SHA256] [--json]

Exit code 0: intact. 1: something was changed, or the key is not the one given. 2: it could not be checked.
"""

from __future__ import annotations

{imports}
'''
_OURS = ("runtime", "review")


def write_standalone(path: Path) -> None:
    """Write the file. Raises RecordError where the disk refuses."""
    try:
        path.write_text(standalone_source(path.name), encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {error.strerror}; name another file") from error


def standalone_source(name: str = "sightline_verify.py") -> str:
    """The file's text."""
    imports: set[str] = set()
    bodies = [_body(module, imports) for module in MODULES]
    plain = sorted(line for line in imports if line.startswith("import "))
    named = sorted(line for line in imports if line.startswith("from "))
    head = _HEAD.format(version=__version__, name=name, imports="\n".join([*plain, *named]))
    return "\n".join([head, *bodies]) + '\nif __name__ == "__main__":\n    sys.exit(command())\n'


def module_path(module: str) -> Path:
    """A module's file."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return Path(spec.origin)


def _body(module: str, imports: set[str]) -> str:
    """A module's text without its imports; those of the standard library are collected."""
    text = module_path(module).read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[number] = ""
        top = node.module.partition(".")[0] if isinstance(node, ast.ImportFrom) and node.module else ""
        if top in _OURS or top == "__future__":
            continue
        start = "import " if isinstance(node, ast.Import) else f"from {node.module} import "
        for alias in node.names:
            imports.add(f"{start}{alias.name}" + (f" as {alias.asname}" if alias.asname else ""))
    body = "\n".join(lines).strip()
    while "\n\n\n\n" in body:
        body = body.replace("\n\n\n\n", "\n\n\n")
    return f"\n# ---- {module} ----\n\n{body}\n"
