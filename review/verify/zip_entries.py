"""What in a zip file another tool could unpack in another way than it is verified here. No bundle has any of it."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from runtime.contracts.errors import RecordError

_MOST_ENTRIES = 1_000_000
_MOST_DEPTH = 4

# APPNOTE.TXT 6.3.10: the end of central directory record, and the header before each file.
_ZIP_END = struct.Struct("<4sHHHHIIH")
_ZIP64_END_BYTES = 56 + 20  # the zip64 record and its locator
_ZIP_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ZIP_HAS_DESCRIPTOR, _ZIP_NAME_IS_UTF8 = 0x08, 0x800
_ZIP_DESCRIPTORS = (12, 16, 20, 24)  # with or without a signature, of 32 or 64 bits
_ZIP64_SIZES, _ZIP64_TOLD = struct.Struct("<QQ"), 0xFFFFFFFF
_ZIP_EXTRA = struct.Struct("<HH")
# Sizes of 64 bits; times of NTFS, of Unix, of Unix as it was written once; the owner. Others may name another file.
_ZIP_EXTRA_SIZES = 0x0001
_ZIP_EXTRAS = frozenset({_ZIP_EXTRA_SIZES, 0x000A, 0x5455, 0x5855, 0x7875})
_ZIP_BLOCK_BYTES = 1 << 14  # of which deflate makes 16 MiB at most


def refuse_odd(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Names that lead elsewhere, links, folders that hold bytes, fields that name another file, and two files of one
    name, of which another tool might take the other. Raises RecordError.
    """
    if len(entries) > _MOST_ENTRIES:
        raise RecordError(f"{path} holds {len(entries)} files, more than any bundle")
    if entries and min(one.header_offset for one in entries) > 0:  # zipfile finds the last one; others the first
        raise RecordError(f"{path} has something else before its files, maybe another zip file; it is not unpacked")
    seen: set[str] = set()
    for one in entries:
        name, parts = one.filename, one.filename.rstrip("/").split("/")
        odd = one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or one.orig_filename != name
        odd = odd or any(part in ("", ".", "..") for part in parts) or "\\" in name or len(parts) > _MOST_DEPTH
        odd = odd or (one.is_dir() and (one.file_size, one.compress_size) != (0, 0)) or _extras(one.extra) is None
        if odd or stat.S_ISLNK(one.external_attr >> 16) or not name.isprintable():
            raise RecordError(f"{path} holds {name!a:.200}, which no bundle does; it is not unpacked")
        if name.casefold() in seen:
            raise RecordError(f"{path} holds {name} twice; nobody can tell which one is meant")
        seen.add(name.casefold())


def refuse_hidden(path: Path, archive: zipfile.ZipFile) -> None:
    """Bytes that belong to none of the files, and a file that its own header tells otherwise than the list of files:
    there another list may lie, or files that no list names, and another tool might take those. Raises RecordError.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _ZIP_END.size))
        end = file.read(_ZIP_END.size)
        magic, *_, list_bytes, _, comment_bytes = _ZIP_END.unpack(end) if len(end) == _ZIP_END.size else (b"", 0, 0, 1)
        between = size - _ZIP_END.size - archive.start_dir - list_bytes
        hidden = magic != b"PK\x05\x06" or comment_bytes != 0 or between not in (0, _ZIP64_END_BYTES)
        position = 0
        slack: tuple[int, ...] = (0,)
        for one in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            hidden = hidden or one.header_offset - position not in slack
            file.seek(one.header_offset)
            hidden = hidden or not _is_headed(file, one) or not _is_filled(file, one)
            position = file.tell()
            slack = _ZIP_DESCRIPTORS if one.flag_bits & _ZIP_HAS_DESCRIPTOR else (0,)
    if hidden or archive.start_dir - position not in slack:
        raise RecordError(
            f"{path} holds bytes beside its files, in which another tool might find others; it is not unpacked"
        )


def _is_headed(file: BinaryIO, one: zipfile.ZipInfo) -> bool:
    """Whether the header before a file says of it what the list says; goes on to the file's bytes."""
    head = file.read(_ZIP_LOCAL.size)
    if len(head) < _ZIP_LOCAL.size:
        return False
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _ZIP_LOCAL.unpack(head)
    name = file.read(name_bytes).decode("utf-8" if flags & _ZIP_NAME_IS_UTF8 else "cp437")
    extras = _extras(file.read(extra_bytes))
    if extras is None or (flags, method, name) != (one.flag_bits, one.compress_type, one.orig_filename):
        return False
    sizes = extras.get(_ZIP_EXTRA_SIZES, b"")
    if _ZIP64_TOLD in (packed, size) and len(sizes) >= _ZIP64_SIZES.size:
        size, packed = _ZIP64_SIZES.unpack_from(sizes)
    told = ((crc, one.CRC), (packed, one.compress_size), (size, one.file_size))
    later = bool(flags & _ZIP_HAS_DESCRIPTOR)  # behind the file
    return all(here == listed or (later and here == 0) for here, listed in told)


def _is_filled(file: BinaryIO, one: zipfile.ZipInfo) -> bool:
    """Whether all bytes that a file has in the zip are the file's; goes on to what follows them. Raises zlib.error."""
    if one.compress_type == zipfile.ZIP_STORED or not one.compress_size:
        file.seek(one.compress_size, 1)
        return one.compress_size == one.file_size
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    left, room = one.compress_size, one.file_size
    while not inflate.eof and room >= 0 and (block := file.read(min(left, _ZIP_BLOCK_BYTES))):
        left -= len(block)
        room -= len(inflate.decompress(block))
    return inflate.eof and not inflate.unused_data and (left, room) == (0, 0)


def _extras(data: bytes) -> dict[int, bytes] | None:
    """The extra fields of a header; None where one is there twice, is cut off, or is of no kind that a bundle has."""
    found: dict[int, bytes] = {}
    while data:
        kind, size = _ZIP_EXTRA.unpack(data[: _ZIP_EXTRA.size].ljust(_ZIP_EXTRA.size, b"\xff"))
        field, rest = data[_ZIP_EXTRA.size : _ZIP_EXTRA.size + size], data[_ZIP_EXTRA.size + size :]
        if kind not in _ZIP_EXTRAS or kind in found or len(field) != size:
            return None
        found[kind], data = field, rest
    return found
