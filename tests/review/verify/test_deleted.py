"""A drive that lost segments to make room, by the vehicle's own word and without it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from review.verify.drive import parse_head, verify_drive
from review.verify.report import Verification
from review.verify.words import words
from runtime.contracts.incident import INDEX_NAME
from runtime.seal.chain import DriveSealer, file_hash, recorded_seals
from runtime.seal.envelope import envelope_bytes, make_envelope
from runtime.seal.keys import VehicleKey, new_key, rotate_key, rotation_files
from runtime.seal.statement import (
    PAYLOAD_TYPE,
    FileHash,
    Seal,
    SegmentSeal,
    TombstoneSeal,
    leaves_name,
    seal_hash,
    seal_name,
    seal_payload,
)
from tests.models import tiny_policy
from tests.review.drives import record_drive

REASON = "room was short: it was the oldest that no incident pins"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> VehicleKey:
    return new_key(tmp_path_factory.mktemp("vehicle") / "keys")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, key: VehicleKey) -> Path:
    """Three segments."""
    return record_drive(tmp_path_factory.mktemp("drives") / "drive", tiny_policy(), 60, segment_s=1.0, key=key)


@pytest.fixture
def copy(drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / "copies" / drive.name))


def bury(folder: Path, key: VehicleKey, index: int, gone: dict[str, FileHash] | None = None) -> None:
    """Sign for a segment's deletion, and delete nothing."""
    DriveSealer(folder, key).bury(index, REASON, freed_bytes=1, gone=gone or {})


def delete(folder: Path, index: int) -> None:
    """Take a segment and its leaves away."""
    (folder / f"segment-{index:04d}.mcap").unlink()
    (folder / leaves_name(index)).unlink()


def add_seal(folder: Path, key: VehicleKey, seal: Seal) -> None:
    """Put a seal into the folder that no recorder would write."""
    payload = seal_payload(seal)
    (folder / seal_name(seal)).write_bytes(envelope_bytes(make_envelope(PAYLOAD_TYPE, payload, key.key_id, key.sign)))


def a_tombstone(folder: Path, key: VehicleKey, index: int) -> TombstoneSeal:
    """The tombstone that `bury` writes; it is not left in the folder."""
    bury(folder, key, index)
    [tombstone] = [seal for _, seal in recorded_seals(folder) if isinstance(seal, TombstoneSeal)]
    (folder / seal_name(tombstone)).unlink()
    return tombstone


def pin(folder: Path, *segments: int) -> None:
    """An incident that pins segments."""
    (folder / INDEX_NAME).write_text(json.dumps({"incidents": [{"number": 4, "segments": segments}]}))


def kinds(found: Verification) -> list[str]:
    """What was found, each kind once, in order."""
    return list(dict.fromkeys(one.kind for one in found.findings))


def test_a_segment_that_went_with_a_tombstone_is_told_and_is_no_finding(copy: Path, key: VehicleKey) -> None:
    before = verify_drive(copy, [key.public_key])
    for index in (0, 1):
        bury(copy, key, index)
        delete(copy, index)
    found = verify_drive(copy, [key.public_key], parse_head(before.head))
    assert (found.verdict, found.findings) == ("intact", ())
    assert [(one.segment, one.reason) for one in found.deleted] == [(0, REASON), (1, REASON)]
    assert found.segments == 1
    assert found.messages + sum(one.messages for one in found.deleted) == before.messages
    assert found.ended == "in order"
    assert found.head.startswith("5:")
    told = words(found)
    assert "segments 0, 1" in told
    assert REASON in told


def test_of_a_drive_that_lost_its_middle_only_what_is_there_counts_as_verified_time(
    copy: Path, key: VehicleKey
) -> None:
    whole = verify_drive(copy, [key.public_key])
    assert whole.duration_s == pytest.approx(2.95)
    bury(copy, key, 1)
    delete(copy, 1)
    found = verify_drive(copy, [key.public_key])
    spans = [s.last_log_time_ns - s.first_log_time_ns for _, s in recorded_seals(copy) if isinstance(s, SegmentSeal)]
    assert found.duration_s == pytest.approx((spans[0] + spans[2]) / 1e9)
    assert found.realtime_factor == pytest.approx(found.duration_s / found.wall_s)
    (copy / "segment-0002.mcap").unlink()
    found = verify_drive(copy, [key.public_key])
    assert (kinds(found), found.segments) == (["segment-missing"], 1)
    assert found.duration_s == pytest.approx(spans[0] / 1e9)


def test_a_segment_that_is_still_there_is_held_against_its_seal_whatever_its_tombstone_says(
    copy: Path, key: VehicleKey
) -> None:
    """Whoever deleted died between the two."""
    bury(copy, key, 0)
    found = verify_drive(copy, [key.public_key])
    assert (found.verdict, found.deleted, found.segments) == ("intact", (), 3)
    path = copy / "segment-0000.mcap"
    path.write_bytes(path.read_bytes()[:-1])
    assert kinds(verify_drive(copy, [key.public_key])) == ["bytes-changed"]
    path.unlink()
    assert verify_drive(copy, [key.public_key]).verdict == "intact", "its leaves are left"
    (copy / leaves_name(0)).write_bytes(b"")
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-changed"]


@pytest.mark.parametrize("name", ["segment-0000.mcap", leaves_name(0), "model.onnx"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder"])
def test_what_was_deleted_is_not_there_and_nothing_else_is_in_its_place(
    copy: Path, key: VehicleKey, tmp_path: Path, name: str, kind: str
) -> None:
    """Whoever opens the drive would follow a link, and take another segment for what the vehicle sealed."""
    bury(copy, key, 0, {"model.onnx": file_hash(copy / "model.onnx")})
    delete(copy, 0)
    (copy / "model.onnx").unlink()
    assert verify_drive(copy, [key.public_key]).verdict == "intact"
    (tmp_path / "other").write_bytes((copy / "segment-0001.mcap").read_bytes())
    if kind == "folder":
        (copy / name).mkdir()
    else:
        (copy / name).symlink_to(tmp_path / ("other" if kind == "link" else "nothing"))
    found = verify_drive(copy, [key.public_key])
    assert name in {one.file for one in found.findings}


def test_a_segment_that_went_without_its_own_tombstone_is_missing(copy: Path, key: VehicleKey) -> None:
    bury(copy, key, 0)
    delete(copy, 0)
    delete(copy, 1)
    found = verify_drive(copy, [key.public_key])
    assert {(one.kind, one.segment) for one in found.findings} == {("segment-missing", 1), ("file-missing", 1)}


def test_a_segment_that_an_incident_pins_must_not_go(copy: Path, key: VehicleKey) -> None:
    (copy / "closing-0003.seal.json").unlink()
    pin(copy, 1)
    DriveSealer(copy, key).close()
    bury(copy, key, 1)
    assert verify_drive(copy, [key.public_key]).verdict == "intact", "nothing is lost yet"
    delete(copy, 1)
    [one] = verify_drive(copy, [key.public_key]).findings
    assert (one.kind, one.segment) == ("deletion-wrong", 1)
    assert "incident 4" in one.text


@pytest.mark.parametrize("change", ["root", "messages", "segment", "file"])
def test_a_tombstone_of_something_else_than_was_sealed_excuses_nothing(
    copy: Path, key: VehicleKey, change: str
) -> None:
    tombstone = a_tombstone(copy, key, 0)
    values: dict[str, Any] = {"root": "00", "messages": 1, "segment": 7, "file": FileHash(1, "00")}
    name = "segment-0007.mcap" if change == "segment" else tombstone.file_name
    add_seal(copy, key, dataclasses.replace(tombstone, **{change: values[change]}, file_name=name))
    delete(copy, 0)
    assert {"deletion-wrong", "segment-missing"} <= set(kinds(verify_drive(copy, [key.public_key])))


def test_a_tombstone_that_somebody_else_signed_excuses_nothing(copy: Path, key: VehicleKey, tmp_path: Path) -> None:
    other = new_key(tmp_path / "forger")
    tombstone = a_tombstone(copy, key, 0)
    delete(copy, 0)
    payload = seal_payload(tombstone)
    path = copy / seal_name(tombstone)
    path.write_bytes(envelope_bytes(make_envelope(PAYLOAD_TYPE, payload, key.key_id, other.sign)))
    assert {"seal-damaged", "segment-missing"} <= set(kinds(verify_drive(copy, [key.public_key])))
    (copy / f"key-{other.key_id[:16]}.pub").write_bytes((tmp_path / "forger" / "signing.pub").read_bytes())
    add_seal(copy, other, dataclasses.replace(tombstone, key_id=other.key_id))
    assert kinds(verify_drive(copy, [key.public_key])) == ["key-unknown"]


def test_a_tombstone_of_another_drive_excuses_nothing(copy: Path, key: VehicleKey, tmp_path: Path) -> None:
    other = record_drive(tmp_path / "other", tiny_policy(), 60, segment_s=1.0, key=key)
    bury(other, key, 0)
    shutil.copy(other / "tombstone-0004.seal.json", copy)
    delete(copy, 0)
    assert {"segment-foreign", "segment-missing"} <= set(kinds(verify_drive(copy, [key.public_key])))


def test_a_tombstone_that_was_taken_away_leaves_a_missing_segment_or_a_hole(copy: Path, key: VehicleKey) -> None:
    for index in (0, 1):
        bury(copy, key, index)
        delete(copy, index)
    (copy / "tombstone-0004.seal.json").unlink()
    assert {"seal-missing", "segment-missing"} <= set(kinds(verify_drive(copy, [key.public_key])))


def test_only_tombstones_may_follow_the_closing_seal(copy: Path, key: VehicleKey) -> None:
    _, closing = recorded_seals(copy)[3]
    (copy / seal_name(closing)).unlink()
    bury(copy, key, 0)
    delete(copy, 0)
    assert kinds(verify_drive(copy, [key.public_key])) == ["tail-cut"]
    DriveSealer(copy, key).close()
    assert verify_drive(copy, [key.public_key]).verdict == "intact"
    sealer = DriveSealer(copy, key)
    assert sealer.closed
    assert sealer.close() is None


def test_a_tombstone_before_the_seal_of_its_segment_excuses_nothing(copy: Path, key: VehicleKey) -> None:
    seals = recorded_seals(copy)
    tombstone = a_tombstone(copy, key, 2)
    for _, seal in seals[2:]:
        (copy / seal_name(seal)).unlink()
    early = dataclasses.replace(tombstone, number=2, previous=seal_hash(seals[1][0]))
    add_seal(copy, key, early)
    third = dataclasses.replace(seals[2][1], number=3, previous=seal_hash(seal_payload(early)))
    add_seal(copy, key, third)
    closing = dataclasses.replace(seals[3][1], number=4, previous=seal_hash(seal_payload(third)))
    add_seal(copy, key, closing)
    assert kinds(verify_drive(copy, [key.public_key])) == ["deletion-wrong"]
    delete(copy, 2)
    assert {"deletion-wrong", "segment-missing"} <= set(kinds(verify_drive(copy, [key.public_key])))


def test_files_that_went_with_the_last_segment_are_named_by_its_tombstone(copy: Path, key: VehicleKey) -> None:
    model = copy / "model.onnx"
    was = file_hash(model)
    for index in (0, 1, 2):
        bury(copy, key, index, {"model.onnx": was} if index == 2 else None)
        delete(copy, index)
    found = verify_drive(copy, [key.public_key])
    assert (found.verdict, found.segments, len(found.deleted)) == ("intact", 0, 3)
    model.unlink()
    assert verify_drive(copy, [key.public_key]).verdict == "intact"
    (copy / "config.yaml").unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing"]


def test_a_tombstone_by_a_newer_key_brings_the_statement_that_leads_to_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    first = new_key(keys)
    folder = record_drive(tmp_path / "drive", tiny_policy(), 30, segment_s=1.0, key=first)
    _, second = rotate_key(keys)
    for path in rotation_files(keys):
        shutil.copy(path, folder)
    bury(folder, second, 0)
    delete(folder, 0)
    found = verify_drive(folder, [first.public_key])
    assert (found.verdict, found.findings) == ("intact", ())


def test_an_index_of_incidents_that_is_no_such_thing_pins_nothing_and_is_no_crash(copy: Path, key: VehicleKey) -> None:
    (copy / "closing-0003.seal.json").unlink()
    for text in ("", "[", "[]", '{"incidents": [3]}', '{"incidents": [{"segments": ["0"], "number": 0}]}'):
        (copy / INDEX_NAME).write_text(text)
        bury(copy, key, 0)
        assert kinds(verify_drive(copy, [key.public_key])) == ["tail-cut"]
