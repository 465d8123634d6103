"""What the fuzz of a drive's readers once found, each with the smallest input that showed it."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from benchmarks.fuzzing.folder_mutation import bomb, forged_chunk
from benchmarks.fuzzing.on_drive import ReaderTarget, RecoveryTarget, VerifyTarget
from benchmarks.fuzzing.seeds import a_drive
from review.info import info
from runtime.commands import console
from runtime.commands.main import main
from runtime.contracts.errors import RecordError, SealError
from runtime.contracts.regular_file import read_regular
from runtime.incident.index import read_index
from runtime.record import scan
from runtime.record.drive import open_drive
from runtime.record.segment import segment_files
from runtime.seal.chain import recorded_seals

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_drive(tmp_path_factory.mktemp("seed"))


@pytest.fixture
def drive(seed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seed, tmp_path / seed.name))


def stand_in(path: Path, what: str) -> None:
    """Put something that is no file in a file's place."""
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path.name}[what])


@pytest.mark.parametrize("what", ["pipe", "folder", "device", "loop"])
def test_what_is_no_file_is_not_read_under_the_name_of_one(drive: Path, what: str) -> None:
    for name in ("segment-0009.mcap", "segment-0010.mcap.journal"):
        stand_in(drive / name, what)
    assert [file.index for file in segment_files(drive)] == [0, 1, 2]
    assert info(drive).ledger.frames > 0
    for name in ("model.onnx", "config.yaml"):
        stand_in(drive / name, what)
    assert len(info(drive).not_as_it_drove) == 2
    stand_in(drive / "segment-0000.seal.json", what)
    with pytest.raises(SealError):
        recorded_seals(drive)
    stand_in(drive / "incidents.json", what)
    with pytest.raises(RecordError):
        read_index(drive)


def test_a_file_beyond_its_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger"):
        read_regular(path, 1000)


def with_chunk(segment: Path, chunk: bytes) -> None:
    """Put a chunk in the place of a segment's first."""
    data = segment.read_bytes()
    first = next(one for one in scan.records(data, len(scan.MAGIC), len(data)) if one.opcode == 0x06)
    segment.write_bytes(data[: first.start - 9] + chunk + data[first.end :])


def test_a_chunk_that_holds_gigabytes_is_refused_before_it_is_decompressed(drive: Path) -> None:
    size = 1 << 31
    with_chunk(drive / "segment-0001.mcap", forged_chunk(size, bomb(size)))
    with pytest.raises(RecordError, match="claims to hold 2147483648 bytes"):
        list(open_drive(drive).messages())


@pytest.mark.parametrize("kind", [b"lz4", b"none", b"zstd\0"])
def test_a_chunk_of_another_compression_is_a_record_error(drive: Path, kind: bytes) -> None:
    body = struct.pack("<QQQI", 0, 0, 9, 0) + struct.pack("<I", len(kind)) + kind + struct.pack("<Q", 9) + bytes(9)
    with_chunk(drive / "segment-0001.mcap", struct.pack("<BQ", 0x06, len(body)) + body)
    with pytest.raises(RecordError, match="does not decompress"):
        list(open_drive(drive).messages())


def test_a_segment_with_more_zeros_in_its_name_stands_for_no_other(drive: Path) -> None:
    shutil.copyfile(drive / "segment-0001.mcap", drive / "segment-00000.mcap")
    assert next(file.path.name for file in segment_files(drive)) == "segment-0000.mcap"


def test_what_a_record_says_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit("red: \x1b[31m, back: \u202e, and a line\nmore")
    console.emit_json({"text": "\x1b[31m\x9b\u202e\U000e0001é"})
    printed = capsys.readouterr().out
    first, rest = printed.split("\n", 1)
    assert first == r"red: \x1b[31m, back: \u202e, and a line"
    assert json.loads(rest.partition("\n")[2])["text"] == "\x1b[31m\x9b\u202e\U000e0001é"
    assert all(one.isprintable() or one == "\n" for one in printed)
    assert console.lines(["one", "two\nthree"]) == "one\ntwo\\nthree"


def test_the_name_of_a_folder_steers_no_terminal(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (drive / "\x1b]0;title\x07.seal.json").write_bytes(b"{}")
    for verb in ("verify", "info"):
        main([verb, str(drive)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "inputs"), [(ReaderTarget, 25), (VerifyTarget, 25), (RecoveryTarget, 15)])
def test_a_drive_made_wrong_in_any_way_is_answered_or_refused(
    kind: type[ReaderTarget | VerifyTarget | RecoveryTarget], inputs: int, tmp_path: Path
) -> None:
    from benchmarks.fuzzing.worker import case_random

    target = kind(tmp_path)
    try:
        for number in range(inputs):
            target.take(target.case(case_random(20261124, kind.__name__, number)))
    finally:
        target.close()
