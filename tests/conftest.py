"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_test_makes_a_key_in_the_home_of_who_runs_it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Drives that tests start, in processes of their own too, are signed with a key that goes with the tests."""
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))
    yield
    if before is None:
        del os.environ["XDG_DATA_HOME"]
    else:
        os.environ["XDG_DATA_HOME"] = before
