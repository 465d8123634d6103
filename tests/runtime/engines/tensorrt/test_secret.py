"""The secret is made once, whole, for its owner alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.secret import device_secret, known_secret


def test_it_is_made_at_the_first_call_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "sightline" / "plan-secret"
    assert known_secret(path) is None
    first = device_secret(path)
    assert len(first) == 32
    assert device_secret(path) == first == known_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["plan-secret"]


def test_many_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "sightline" / "plan-secret"
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(device_secret, [path] * 64))) == 1


def test_a_damaged_one_is_refused_and_an_impossible_place_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(EngineError, match="has 1 bytes, not 32"):
        device_secret(tmp_path / "short")
    with pytest.raises(EngineError, match=r"XDG_DATA_HOME|cannot be read"):
        device_secret(tmp_path / "short" / "below")
