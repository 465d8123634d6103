"""How a supervised Python process begins: bound to its parent's life, and to the parent's own copy of the code."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_BOOT = "import sys; sys.path[0] = sys.argv.pop(1); from runtime.supervise.child import main; main()"


def python_child(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line that runs `python -m module arguments` as a child of this process.

    A folder named `runtime` where the user stands would come first in a plain `-m`; here the code that runs this
    process does.
    """
    root = str(Path(__file__).resolve().parents[2])
    return (sys.executable, "-c", _BOOT, root, str(os.getpid()), module, *arguments)


def die_with(parent_pid: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent dies (prctl(2)); end now if it already did."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(128 + signal.SIGTERM)


def main() -> None:
    """Called in the child, with parent's pid, module and arguments on the command line."""
    parent_pid, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent_pid)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
