"""Files that somebody else may have put there: a pipe, a device or a folder under a file's name is refused, not read.

Opening a pipe waits for a writer, and a device such as /dev/zero has no end. Whoever expects a file's bytes asks here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading; a link to a file is one. Raises OSError where it is anything else."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file, but a pipe, a device or a folder", str(path))
    return os.fdopen(fd, "rb")


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The file's bytes, if they are not more than `most_bytes`. Raises OSError."""
    with open_regular(path) as file:
        data = file.read(most_bytes + 1) if os.fstat(file.fileno()).st_size <= most_bytes else b""
        if len(data) > most_bytes or os.fstat(file.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes", str(path))
        return data
