"""What several tests of the runtime are given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.record.small_disk import SmallDisk, mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A filesystem of 32 MiB."""
    with mounted(tmp_path / "disk", 32) as disk:
        yield disk
