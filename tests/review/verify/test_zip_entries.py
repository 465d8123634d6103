"""Zip files from which another tool would unpack something else than what was verified."""

from __future__ import annotations

import copy
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from review.verify.unpack import opened
from runtime.contracts.errors import RecordError

SEGMENT, TEXT = "x/drive/segment-0001.mcap", b"what is signed\n" * 100
TIMES = struct.pack("<HHBI", 0x5455, 5, 1, 0)
OWNER = struct.pack("<HHBBHBH", 0x7875, 7, 1, 2, 0, 2, 0)
ALIAS = struct.pack("<HHBI", 0x7075, 5 + len(SEGMENT), 1, zlib.crc32(b"x/notes.txt")) + SEGMENT.encode()


def packed(
    path: Path, change: Callable[[zipfile.ZipFile], object] = lambda _: None, *, method: int = zipfile.ZIP_STORED
) -> Path:
    """A zip file of a bundle's names, changed before its list of files is written."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in ("x/manifest.json", SEGMENT, "x/README.txt"):
            archive.writestr(name, TEXT)
        archive.writestr(zipfile.ZipInfo("x/"), b"")
        change(archive)
    return path


def head(archive: zipfile.ZipFile, name: str, **told: object) -> None:
    """Write a file's own header anew, which says otherwise than the list."""
    assert archive.fp is not None
    other = copy.copy(archive.getinfo(name))
    for field, value in told.items():
        setattr(other, field, value)
    archive.fp.seek(other.header_offset)
    archive.fp.write(other.FileHeader())
    archive.fp.seek(archive.start_dir)


def refused(path: Path, words: str) -> None:
    with pytest.raises(RecordError, match=f"{words}.*; it is not unpacked"), opened(path):
        pytest.fail("it was unpacked")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_common_tools_write_is_unpacked(tmp_path: Path, method: int) -> None:
    def timed(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("x/timed")
        info.extra, info.compress_type = TIMES + OWNER, method
        archive.writestr(info, TEXT)
        with archive.open("x/large", "w", force_zip64=True) as file:
            file.write(TEXT)

    with opened(packed(tmp_path / "x.zip", timed, method=method)) as found:
        assert found.is_bundle
        assert {(found.folder / name).read_bytes() for name in ("timed", "large", "README.txt")} == {TEXT}


@pytest.mark.parametrize("extra", [ALIAS, b"\x75\x63\x00\x00", TIMES * 2, TIMES[:-1], TIMES + b"\0"])
@pytest.mark.parametrize("in_list", [True, False])
def test_a_field_that_may_name_another_file_is_refused_wherever_it_stands(
    tmp_path: Path, extra: bytes, in_list: bool
) -> None:
    """Info-ZIP's unzip puts such notes under the segment's name."""

    def added(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("x/notes.txt")
        info.extra = b"" if in_list else extra
        archive.writestr(info, TEXT)
        info.extra = extra if in_list else b""

    path = packed(tmp_path / "x.zip", added)
    with pytest.raises(RecordError, match=r"which no bundle does|bytes beside its files|Corrupt extra"), opened(path):
        pytest.fail("it was unpacked")


def test_a_folder_that_holds_bytes_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", lambda archive: archive.writestr("x/notes/", TEXT))
    refused(path, "which no bundle does")


@pytest.mark.parametrize(
    "told",
    [
        {"compress_type": zipfile.ZIP_DEFLATED},
        {"flag_bits": 8},
        {"flag_bits": 0x800},
        {"filename": SEGMENT.replace("1", "2")},
        {"file_size": 7},
        {"compress_size": 7},
        {"CRC": 0},
    ],
)
def test_a_file_that_its_own_header_tells_otherwise_than_the_list_is_refused(
    tmp_path: Path, told: dict[str, object]
) -> None:
    """Who unpacks a stream has not seen the list."""
    refused(packed(tmp_path / "x.zip", lambda archive: head(archive, SEGMENT, **told)), "bytes beside its files")
    folder = packed(tmp_path / "x.zip", lambda archive: head(archive, "x/", filename="y/"))
    refused(folder, "bytes beside its files")


@pytest.mark.parametrize("behind", [b"", b"another file"])
def test_bytes_behind_what_a_file_is_unpacked_from_are_refused(tmp_path: Path, behind: bytes) -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    raw = deflate.compress(TEXT) + deflate.flush() + behind

    def added(archive: zipfile.ZipFile) -> None:
        archive.writestr("x/notes.txt", raw)
        info = archive.getinfo("x/notes.txt")
        info.compress_type, info.file_size, info.CRC = zipfile.ZIP_DEFLATED, len(TEXT), zlib.crc32(TEXT)
        head(archive, "x/notes.txt")

    path = packed(tmp_path / "x.zip", added)
    if behind:
        refused(path, "bytes beside its files")
    else:
        with opened(path) as found:
            assert (found.folder / "notes.txt").read_bytes() == TEXT


def test_a_stored_file_that_takes_more_bytes_than_it_has_is_refused(tmp_path: Path) -> None:
    def shortened(archive: zipfile.ZipFile) -> None:
        info = archive.getinfo(SEGMENT)
        info.file_size, info.CRC = 7, zlib.crc32(TEXT[:7])
        head(archive, SEGMENT)

    refused(packed(tmp_path / "x.zip", shortened), "bytes beside its files")
