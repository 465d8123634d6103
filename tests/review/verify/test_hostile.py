"""Drives made to mislead, to exhaust or to crash whoever verifies them, by somebody without the vehicle's key."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from review.verify.drive import parse_head, verify_drive
from review.verify.report import Verification
from review.verify.standalone import write_standalone
from review.verify.unpack import opened
from runtime.commands.main import main
from runtime.contracts.errors import RecordError
from runtime.record.scan import MAGIC
from runtime.seal.chain import recorded_seals
from runtime.seal.envelope import Envelope, envelope_bytes, make_envelope
from runtime.seal.keys import VehicleKey, new_key
from runtime.seal.leaves_file import parse_leaves
from runtime.seal.statement import PAYLOAD_TYPE, SegmentSeal, key_name, seal_payload
from tests.models import tiny_policy
from tests.review.drives import record_drive, rewrite


@pytest.fixture(scope="module")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vehicle") / "keys"


@pytest.fixture(scope="module")
def key(key_dir: Path) -> VehicleKey:
    return new_key(key_dir)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, key: VehicleKey) -> Path:
    """Two segments."""
    return record_drive(tmp_path_factory.mktemp("drives") / "drive", tiny_policy(), 40, segment_s=1.0, key=key)


@pytest.fixture
def copy(drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / "copies" / drive.name))


@pytest.fixture
def both(key: VehicleKey, key_dir: Path, tmp_path: Path) -> Callable[[Path], tuple[int, int]]:
    """The exit codes of the verb and of the one file; neither may answer with a traceback."""

    def verify(path: Path) -> tuple[int, int]:
        script, public = tmp_path / "sightline_verify.py", str(key_dir / "signing.pub")
        write_standalone(script)
        code = main(["verify", str(path), "--key", public, "--json"])
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path), "--key", public, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return code, done.returncode

    return verify


def kinds(found: Verification) -> list[str]:
    """What was found, each kind once, in order."""
    return list(dict.fromkeys(one.kind for one in found.findings))


def test_an_intact_bundle_within_a_drive_that_was_changed_does_not_answer_for_it(
    drive: Path, copy: Path, both: Callable[[Path], tuple[int, int]]
) -> None:
    """Whoever opens that folder opens the drive."""
    made = Path(make_bundle(drive, Request(), copy.parent / "made").bundle)
    made.rename(copy / made.name)
    rewrite(copy / "segment-0001.mcap", lambda t, _, data: None if t == "/decision" else data)
    assert both(copy) == (1, 1)
    with opened(copy) as found:
        assert (found.folder, found.is_bundle) == (copy, False)


def test_where_a_drive_lies_beside_a_bundle_nobody_chooses_for_whoever_verifies(
    drive: Path, copy: Path, both: Callable[[Path], tuple[int, int]]
) -> None:
    make_bundle(drive, Request(), copy.parent)
    assert both(copy.parent) == (2, 2)
    with pytest.raises(RecordError, match=r"holds 2 drives or bundles \(drive, drive.evidence\)"), opened(copy.parent):
        pytest.fail("one of the two was taken")


def test_names_that_are_no_text_are_told_in_both_forms(copy: Path, both: Callable[[Path], tuple[int, int]]) -> None:
    (copy / os.fsdecode(b"\xff\n\x1b[2J.seal.json")).write_text("{}")
    (copy / os.fsdecode(b"key-\xff.pub")).write_text("")
    (copy / os.fsdecode(b"rotation-\xff.json")).write_text("")
    assert both(copy) == (1, 1)


@pytest.mark.parametrize("name", ["\ud800", "nul\0", "line\nbreak", "\x1b[2J"])
def test_a_forgers_seal_that_speaks_of_what_nobody_can_read_is_damaged(
    copy: Path, tmp_path: Path, both: Callable[[Path], tuple[int, int]], name: str
) -> None:
    forger = new_key(tmp_path / "forger")
    shutil.copy(tmp_path / "forger" / "signing.pub", copy / key_name(forger.key_id))
    path = copy / "segment-0001.seal.json"
    before = path.read_bytes()
    seal = recorded_seals(copy)[1][1]
    assert isinstance(seal, SegmentSeal)
    seal = dataclasses.replace(seal, key_id=forger.key_id)
    for changed in (
        dataclasses.replace(seal, files={name: seal.file}),
        dataclasses.replace(seal, topics={**seal.topics, name: 1}),
    ):
        payload = seal_payload(changed)
        path.write_bytes(envelope_bytes(make_envelope(PAYLOAD_TYPE, payload, forger.key_id, forger.sign)))
        assert both(copy) == (1, 1)
        assert "seal-damaged" in kinds(verify_drive(copy, []))
    path.write_bytes(before)
    first = recorded_seals(copy)[0][0]
    (copy / "segment-0000.seal.json").write_bytes(envelope_bytes(Envelope(PAYLOAD_TYPE, first, name, b"")))
    assert both(copy) == (1, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"../../stolen": {"size_bytes": 1, "sha256": ""}}},
        {"segment": 0, "file_name": "../../stolen"},
        {"drive_id": "../../stolen"},
    ],
)
def test_no_bundle_is_made_by_the_names_of_a_forgers_seal(
    copy: Path, tmp_path: Path, changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """They would be read beside the drive, and written beside the bundle."""
    (tmp_path / "stolen").write_text("of somebody else")
    payload, _ = recorded_seals(copy)[0]
    fields = {**json.loads(payload), **changes}
    envelope = Envelope(PAYLOAD_TYPE, json.dumps(fields).encode(), "nobody", b"")
    (copy / "segment-0000.seal.json").write_bytes(envelope_bytes(envelope))
    out = tmp_path / "a" / "b" / "c" / "d"
    before = sorted(tmp_path.rglob("*"))
    assert main(["bundle", str(copy), "--out", str(out)]) == 2
    assert "it speaks of files outside of the drive" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("head", ["1" * 6000 + ":" + "a" * 64, "[" * 50_000, '{"number": 1e999, "seal_sha256": ""}'])
def test_a_head_that_is_none_is_refused_whatever_its_length(head: str) -> None:
    with pytest.raises(RecordError, match="the head"):
        parse_head(head)


def test_a_file_that_claims_a_terabyte_is_not_read(copy: Path, key: VehicleKey) -> None:
    """It takes no room on the disk, and hours to go through."""
    changed = ["config.yaml", "segment-0000.leaves", "segment-0001.mcap", next(copy.glob("key-*")).name]
    for name in (*changed, "rotation-0000.json", "segment-0001.seal.json"):
        with (copy / name).open("ab") as file:
            file.truncate(1 << 40)
    found = {(one.kind, one.file) for one in verify_drive(copy, [key.public_key]).findings}
    assert found >= {("file-changed", name) for name in changed if not name.endswith(".mcap")}
    assert {("seal-damaged", "segment-0001.seal.json"), ("file-foreign", "rotation-0000.json")} <= found


def chunk(messages: int, payload: bytes) -> bytes:
    """A compressed chunk of so many messages, in few bytes."""

    def record(opcode: int, content: bytes) -> bytes:
        return struct.pack("<BQ", opcode, len(content)) + content

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode()

    content = record(3, struct.pack("<H", 1) + text("x") + text("jsonschema") + struct.pack("<I", 0))
    content += record(4, struct.pack("<HH", 1, 1) + text("/x") + text("json") + struct.pack("<I", 0))
    content += record(5, struct.pack("<HIQQ", 1, 0, 0, 0) + payload) * messages
    packed = zstandard.ZstdCompressor().compress(content)
    head = struct.pack("<QQQI", 0, 0, len(content), zlib.crc32(content))
    return record(6, head + text("zstd") + struct.pack("<Q", len(packed)) + packed)


def test_a_segment_of_few_bytes_that_holds_any_amount_is_judged_within_bounds(copy: Path, key: VehicleKey) -> None:
    large = 16 << 20
    (copy / "segment-0001.mcap").write_bytes(MAGIC + chunk(1, bytes(large)) * 30)
    tracemalloc.start()
    found = verify_drive(copy, [key.public_key])
    _, peak = tracemalloc.get_traced_memory()
    assert kinds(found)[-1] == "bytes-changed"
    assert peak < 8 * large
    tracemalloc.reset_peak()
    (copy / "segment-0001.mcap").write_bytes(MAGIC + chunk(200_000, b"") * 2)
    found = verify_drive(copy, [key.public_key])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kinds(found) == ["chunk-unreadable", "bytes-changed"], "of so many none is named"
    assert peak < 8 * large


def test_what_lies_behind_bytes_that_were_put_in_or_taken_out_is_still_read(copy: Path, key: VehicleKey) -> None:
    path = copy / "segment-0000.mcap"
    leaves = parse_leaves((copy / "segment-0000.leaves").read_bytes())
    first, second, *_ = leaves.chunks
    data = path.read_bytes()
    stray = b"\x05" + (30).to_bytes(8, "little") + bytes(30)  # a message of no channel

    def named(changed: bytes) -> list[tuple[str, range]]:
        path.write_bytes(changed)
        found = [one for one in verify_drive(copy, [key.public_key]).findings if one.message is not None]
        return [(one.kind, range(one.message or 0, (one.last_message or 0) + 1)) for one in found]

    of_first = range(second.first_message)
    middle = (first.start + first.end) // 2
    assert named(data[: first.start] + stray + data[first.start :]) == []
    assert named(data[: first.start] + data[first.end :]) == [("message-removed", range(n, n + 1)) for n in of_first]
    assert named(data[:middle] + data[middle + 7 :]) == [("chunk-unreadable", of_first)]
    assert named(data[:middle] + b"put in" + data[middle:]) == [("chunk-unreadable", of_first)]
    moved = data[:middle] + b"put in" + data[middle : second.end] + data[second.end + 6 :]
    assert named(moved) == [("chunk-unreadable", of_first)], "of the same size as before"


def test_messages_whose_channels_are_not_declared_any_more_are_not_said_to_be_removed(
    copy: Path, key: VehicleKey
) -> None:
    """They are there, and cannot be decoded: the first chunk declared them, and the summary once more."""
    path = copy / "segment-0000.mcap"
    leaves = parse_leaves((copy / "segment-0000.leaves").read_bytes())
    first, second, *_ = leaves.chunks
    data = path.read_bytes()
    path.write_bytes(data[: first.start] + data[first.end : second.end])
    found = [one for one in verify_drive(copy, [key.public_key]).findings if one.message is not None]
    assert {one.kind for one in found if (one.last_message or 0) >= second.first_message} == {"chunk-unreadable"}
