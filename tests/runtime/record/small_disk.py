"""A filesystem of a few MiB that can be filled and freed: a tmpfs, which only root may mount. A limit for anybody."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024
_FILLER = "filler"
_PAGE_BYTES = 4096


class SmallDisk:
    """A mounted one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free_bytes(self) -> int:
        """What may still be written."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but so much; whoever writes meanwhile may get some of it."""
        with (self.path / _FILLER).open("ab") as file:
            while (more := (self.free_bytes() - leave_bytes) // _PAGE_BYTES * _PAGE_BYTES) > 0:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)

    def free(self) -> None:
        """Give all that was taken back."""
        (self.path / _FILLER).unlink(missing_ok=True)


@contextmanager
def mounted(path: Path, size_mib: int) -> Iterator[SmallDisk]:
    """Mount one for as long as it is needed; the test is skipped where that is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "sightline-test", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount(8) to make a small filesystem with")
    if done.returncode != 0:
        pytest.skip(f"a small filesystem cannot be mounted: {done.stderr.strip() or 'it needs root'}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def a_disk_that_takes(most_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so much meanwhile: whoever writes more meets EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
