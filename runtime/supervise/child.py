"""How a supervised Python process begins: bound to its parent's life, and to the parent's own copy of the code. And how
it tells the parent something: never waiting for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import select
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


def tell_parent(line: bytes, *, wait: bool = False) -> bool:
    """Write a line to standard output; whether it went there. One that is gone is no error.

    Without `wait`, a line of up to PIPE_BUF bytes (pipe(7)) that has no room is dropped: a parent that was stopped
    (Ctrl-Z), or whose own terminal takes nothing (Ctrl-S, a connection that stalls), must not stop its children.
    """
    poller = select.poll()
    poller.register(sys.stdout.fileno(), select.POLLOUT)
    if not wait and not poller.poll(0):
        return False
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    return True


def main() -> None:
    """Called in the child, with parent's pid, module and arguments on the command line."""
    parent_pid, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent_pid)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
