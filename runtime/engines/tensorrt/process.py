"""Whoever wants a plan built or judged: starts the process for it, hears how it goes, and ends it when told to."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable

import msgspec

from runtime.contracts.errors import EngineError, ModelError
from runtime.engines.tensorrt.progress import CANCEL, Built, Checked, Failed, Job, Step, parse
from runtime.supervise.child import python_child

_BEAT_S = 1.0
_CANCEL_S = 10.0  # a step of a build can take this long; then the process is killed
_LAST_WORDS = 12

OnBeat = Callable[[Step | None], None]
"""Called once a second and at every news with the newest step: whoever waits is never left without a word."""


def run_job(job: Job, on_beat: OnBeat) -> Built | Checked:
    """Do a job in a process of its own; returns what it made.

    Raises:
        EngineError: it could not be done, or the process died.
        KeyboardInterrupt: passed on, once the process has ended.
    """
    child = subprocess.Popen(
        python_child("runtime.engines.tensorrt"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the one who waits, and who then tells the child
    )
    assert child.stdin is not None
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    words: deque[str] = deque(maxlen=_LAST_WORDS)
    readers = (
        threading.Thread(target=_read_out, args=(child, lines), daemon=True),
        threading.Thread(target=_read_words, args=(child, words), daemon=True),
    )
    for reader in readers:
        reader.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # it is dead already: its end is read next
            child.stdin.write(msgspec.json.encode(job) + b"\n")
            child.stdin.flush()
        result = _follow(lines, on_beat)
    except BaseException:
        _cancel(child)
        raise
    finally:
        for reader in readers:
            reader.join(_CANCEL_S)
    code = child.wait()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    if isinstance(result, Failed):
        raise (ModelError if result.of_model else EngineError)(result.error)
    if result is None:
        raise EngineError(_death(code, words))
    return result


def _follow(lines: queue.SimpleQueue[bytes], on_beat: OnBeat) -> Built | Checked | Failed | None:
    """Read what the child tells, to its result or its end."""
    newest: Step | None = None
    on_beat(newest)
    while True:
        try:
            line = lines.get(timeout=_BEAT_S)
        except queue.Empty:
            on_beat(newest)
            continue
        if not line:
            return None
        told = parse(line)
        if isinstance(told, Step):
            newest = told
            on_beat(newest)
        elif told is not None:
            return told


def _cancel(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(CANCEL)
        child.stdin.close()
        child.wait(_CANCEL_S)
    except (OSError, subprocess.TimeoutExpired):
        child.kill()
        child.wait()


def _read_out(child: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    assert child.stdout is not None
    with child.stdout as out:
        for line in out:
            lines.put(line)
    lines.put(b"")


def _read_words(child: subprocess.Popen[bytes], words: deque[str]) -> None:
    assert child.stderr is not None
    with child.stderr as error:
        words.extend(line.decode(errors="replace").rstrip() for line in error)


def _death(code: int, words: deque[str]) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    said = f"; it said last: {' / '.join(words)}" if words else ""
    mend = ""
    if code == -signal.SIGKILL:
        mend = " (out of memory? see dmesg; end other programs, add swap, or lower --workspace-mib)"
    return f"the process that works with TensorRT ended {how}{mend} before it was done{said}"
