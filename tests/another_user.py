"""A test as a user to whom what it looks at is closed, also where root runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """A folder that this process may not look into meanwhile: mode 0, and root has given its rights away."""
    rights = os.geteuid()
    folder.chmod(0)
    if rights == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(rights)
        folder.chmod(0o700)
