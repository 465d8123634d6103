"""What the model contract needs of an ONNX file, read and written without the onnx package: the vehicle has none.

The file is a protobuf ModelProto; field numbers are those of onnx.proto3. Metadata is the repeated field 14, of
StringStringEntryProto {key = 1, value = 2}. Everything here raises ValueError on bytes that are no such file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_GRAPH_FIELD, _METADATA_FIELD = 7, 14
BYTES = 2  # the wire type of texts, bytes and messages
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5
_MAX_VARINT_BITS = 64
_MAX_DEPTH = 64  # of graphs within nodes within graphs

# Where tensors are, by message and field: the message that the field holds.
_HOLDERS: Mapping[str, Mapping[int, str]] = {
    "model": {_GRAPH_FIELD: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_NAME_FIELD, _TENSOR_EXTERNAL_FIELD, _TENSOR_LOCATION_FIELD = 8, 13, 14


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, its wire type, and where it lies in the bytes."""

    number: int
    wire: int
    begin: int  # of its tag
    start: int  # of its value
    end: int


def metadata(onnx: bytes) -> dict[str, str]:
    """The file's metadata. A key that is there twice has no meaning that all readers share, and is refused."""
    found: dict[str, str] = {}
    has_graph = False
    for field in fields(onnx, 0, len(onnx)):
        has_graph = has_graph or field.number == _GRAPH_FIELD
        if field.number == _METADATA_FIELD:
            key, value = _entry(onnx, field)
            if key in found:
                raise ValueError(f"its metadata holds {key!r} twice")
            found[key] = value
    if not has_graph:
        raise ValueError("it holds no graph")
    return found


def without_metadata(onnx: bytes) -> bytes:
    """The file's bytes without its metadata."""
    kept = (field for field in fields(onnx, 0, len(onnx)) if field.number != _METADATA_FIELD)
    return b"".join(onnx[field.begin : field.end] for field in kept)


def with_metadata(onnx: bytes, key: str, value: str) -> bytes:
    """The file with one metadata entry added at its end, in place of any that has the key."""
    kept = [
        onnx[field.begin : field.end]
        for field in fields(onnx, 0, len(onnx))
        if field.number != _METADATA_FIELD or _entry(onnx, field)[0] != key
    ]
    entry = length_delimited(1, key.encode()) + length_delimited(2, value.encode())
    return b"".join([*kept, length_delimited(_METADATA_FIELD, entry)])


def external_tensor(onnx: bytes) -> str | None:
    """The name of a tensor whose values lie in another file, None where all are in this one."""
    return _external(onnx, "model", 0, len(onnx), 0)


def _external(onnx: bytes, message: str, start: int, end: int, depth: int) -> str | None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"graphs are nested more than {_MAX_DEPTH} deep")
    if message == "tensor":
        return _external_name(onnx, start, end)
    holders = _HOLDERS[message]
    for field in fields(onnx, start, end):
        if field.number in holders and field.wire == BYTES:
            name = _external(onnx, holders[field.number], field.start, field.end, depth + 1)
            if name is not None:
                return name
    return None


def _external_name(onnx: bytes, start: int, end: int) -> str | None:
    name, external = "", False
    for field in fields(onnx, start, end):
        if field.number == _TENSOR_NAME_FIELD and field.wire == BYTES:
            name = onnx[field.start : field.end].decode(errors="replace")
        elif field.number == _TENSOR_LOCATION_FIELD and field.wire == _VARINT:
            external = external or _varint(onnx, field.start)[0] == 1
        external = external or field.number == _TENSOR_EXTERNAL_FIELD
    return name if external else None


def _entry(onnx: bytes, field: Field) -> tuple[str, str]:
    if field.wire != BYTES:
        raise ValueError(f"metadata of wire type {field.wire} at byte {field.begin}")
    texts = {1: "", 2: ""}
    for part in fields(onnx, field.start, field.end):
        if part.number in texts and part.wire == BYTES:
            texts[part.number] = onnx[part.start : part.end].decode()
    return texts[1], texts[2]


def fields(data: bytes, start: int, stop: int) -> Iterator[Field]:
    """The fields of the message at `data[start:stop]`, in their order."""
    position = start
    while position < stop:
        begin = position
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        value, end = _value(data, position, wire, begin)
        if number == 0 or end > stop:
            raise ValueError(f"field {number} at byte {begin} runs past the end ({end} > {stop})")
        yield Field(number, wire, begin, value, end)
        position = end


def _value(data: bytes, position: int, wire: int, begin: int) -> tuple[int, int]:
    """Where a field's value starts and ends."""
    if wire == BYTES:
        size, start = _varint(data, position)
        return start, start + size
    if wire == _VARINT:
        return position, _varint(data, position)[1]
    if wire in (_FIXED64, _FIXED32):
        return position, position + (8 if wire == _FIXED64 else 4)
    raise ValueError(f"wire type {wire} at byte {begin}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MAX_VARINT_BITS, 7):
        if position >= len(data):
            raise ValueError(f"it ends at byte {position} in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"a number of more than {_MAX_VARINT_BITS} bits ends at byte {position}")


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_delimited(field: int, data: bytes) -> bytes:
    """A field of texts, bytes or a message, as it is written."""
    return _varint_bytes(field << 3 | BYTES) + _varint_bytes(len(data)) + data


def number(field: int, value: int) -> bytes:
    """A field of a whole number from 0 on, as it is written."""
    return _varint_bytes(field << 3 | _VARINT) + _varint_bytes(value)
