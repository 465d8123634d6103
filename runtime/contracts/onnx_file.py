"""The outermost fields of an ONNX file (protobuf ModelProto), without the onnx package: the vehicle does not carry it.

Only the metadata is touched: field 14, repeated StringStringEntryProto {key = 1, value = 2} (onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.contracts.errors import ModelError

_METADATA_FIELD = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def metadata(onnx: bytes, where: str) -> dict[str, str]:
    """The file's metadata. Raises ModelError where the bytes are no ONNX file; `where` names them in the error."""
    found = {}
    try:
        for field, start, _, end in _fields(onnx):
            if field == _METADATA_FIELD:
                entry = {number: onnx[a:b] for number, a, b in _entry(onnx, start, end)}
                found[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
    except (ValueError, IndexError) as error:
        raise ModelError(f"model {where} is no ONNX file (protobuf ModelProto): {error}") from error
    return found


def without_metadata(onnx: bytes) -> bytes:
    """The file's bytes without its metadata. Raises ValueError where they are no protobuf."""
    return b"".join(onnx[begin:end] for field, _, begin, end in _fields(onnx) if field != _METADATA_FIELD)


def with_metadata(onnx: bytes, key: str, value: str) -> bytes:
    """The file with one metadata entry added, replacing that key's older one. ValueError where it is no protobuf."""
    kept = []
    for field, start, begin, end in _fields(onnx):
        if field == _METADATA_FIELD:
            entry = {number: onnx[a:b] for number, a, b in _entry(onnx, start, end)}
            if entry.get(1, b"").decode() == key:
                continue
        kept.append(onnx[begin:end])
    entry_bytes = _length_delimited(1, key.encode()) + _length_delimited(2, value.encode())
    return b"".join([*kept, _length_delimited(_METADATA_FIELD, entry_bytes)])


def _fields(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Each field's number, where its value starts, where its tag begins, and where it ends."""
    stop = len(data) if stop is None else stop
    position = start
    while position < stop:
        begin = position
        tag, position = _varint(data, position)
        field, wire = tag >> 3, tag & 7
        if wire == _BYTES:
            size, position = _varint(data, position)
            value, position = position, position + size
        elif wire == _VARINT:
            value = position
            _, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            value, position = position, position + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {wire} at byte {begin}")
        if field == 0 or position > stop:
            raise ValueError(f"field {field} at byte {begin} runs past the end ({position} > {stop})")
        yield field, value, begin, position


def _entry(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    for field, value, _, end in _fields(data, start, stop):
        yield field, value, end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError(f"a varint of more than 64 bits ends at byte {position}")


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length_delimited(field: int, data: bytes) -> bytes:
    return _varint_bytes(field << 3 | _BYTES) + _varint_bytes(len(data)) + data
