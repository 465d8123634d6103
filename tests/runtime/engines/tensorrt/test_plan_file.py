"""A plan reaches TensorRT only where this device built it and no byte has changed since."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.plan_file import held_sha256, open_plan, read_record, sealed, write_plan
from tests.runtime.engines.tensorrt.records import ORIN, PLAN, on, record

SECRET = b"s" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a plan that this device built."""
    write_plan(tmp_path / "one.plan", sealed(record(), SECRET), PLAN)
    return tmp_path / "one.plan"


def test_an_own_plan_is_opened_as_it_was_built(path: Path) -> None:
    found, plan = open_plan(path, SECRET, ORIN.device)
    assert plan == PLAN
    assert msgspec.structs.replace(found, seal="") == record()
    assert held_sha256(path) == hashlib.sha256(PLAN).hexdigest()


def test_no_byte_of_the_file_can_change(path: Path) -> None:
    good = path.read_bytes()
    for position in [*range(0, len(good) - len(PLAN), 7), len(good) - len(PLAN), len(good) - 1]:
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(EngineError):
            open_plan(path, SECRET, ORIN.device)


@pytest.mark.parametrize("change", [lambda good: good[:-1], lambda good: good + b"x", lambda good: good[:100]])
def test_a_file_that_was_cut_or_grew_is_refused(path: Path, change: object) -> None:
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(EngineError, match=r"is damaged|cannot read"):
        open_plan(path, SECRET, ORIN.device)


def test_another_plan_under_a_good_record_is_refused(path: Path) -> None:
    write_plan(path, sealed(record(), SECRET), PLAN[::-1])
    with pytest.raises(EngineError, match="its bytes are not those that were built; it is not loaded"):
        open_plan(path, SECRET, ORIN.device)


@pytest.mark.parametrize("secret", [b"t" * 32, None], ids=["another device's", "none yet"])
def test_a_plan_that_another_device_sealed_is_refused_however_well_its_record_fits(
    path: Path, secret: bytes | None
) -> None:
    with pytest.raises(EngineError, match=r"was not built by this user on this device .*Orin.*: it is not loaded"):
        open_plan(path, secret, ORIN.device)


def test_the_refusal_says_in_what_the_device_differs(path: Path) -> None:
    newer = on(ORIN, tensorrt="10.16.0", gpu="Thor").device
    with pytest.raises(EngineError) as refused:
        open_plan(path, SECRET, newer)
    assert "built on gpu 'Orin' (here 'Thor'), tensorrt '10.3.0' (here '10.16.0')" in str(refused.value)


def test_what_is_no_plan_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "engine.plan").write_bytes(b"ftrt" * 100)
    with pytest.raises(EngineError, match=r"engine\.plan is no plan that Sightline wrote"):
        read_record(tmp_path / "engine.plan")
    with pytest.raises(EngineError, match="No such file"):
        open_plan(tmp_path / "nothing.plan", SECRET, ORIN.device)


def test_a_record_of_a_later_version_is_refused_and_says_why(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"schema_version":1', b'"schema_version":2'))
    with pytest.raises(EngineError, match="a record that this version cannot read"):
        read_record(path)
