"""One build at a time on a device: TensorRT chooses its tactics by timing them, and another build would disturb it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.contracts.errors import EngineError

_POLL_S = 0.2
_NAME = "build.lock"


@contextlib.contextmanager
def build_lock(folder: Path, what: str, on_wait: Callable[[str], None], *, wait: bool) -> Iterator[bool]:
    """Hold the folder's lock; yields whether another build was waited for. It goes with the process, however it ends.

    Args:
        folder: the plan cache.
        what: is being built, for those who wait.
        on_wait: told once who builds, before the wait.
        wait: else EngineError, naming who builds.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EngineError(f"{folder / _NAME} cannot be made: {error.strerror}; choose another --cache") from error
    try:
        waited = False
        while not _taken(descriptor):
            if not wait:
                raise EngineError(f"{_holder(descriptor)} is building a plan; wait for it (leave --no-wait out)")
            if not waited:
                on_wait(_holder(descriptor))
            waited = True
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} ({what}, since {time.strftime('%H:%M:%S')})".encode(), 0)
        yield waited
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace") or "another process"
