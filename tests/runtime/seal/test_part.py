"""A part's file and its proof: one spelling each, and any reader opens the file."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Chunk, MessageIndex
from mcap.stream_reader import StreamReader

from runtime.record.scan import MAGIC
from runtime.seal.leaf import leaf_hash
from runtime.seal.part_file import KeptMessage, PartProof, parse_proof, proof_bytes
from runtime.seal.part_mcap import PartChannel, PartError, PartMessage, read_part, write_part
from runtime.seal.proof import ProofError, multi_proof
from runtime.seal.tree import tree_root

CHANNELS = (
    PartChannel("/decision", "json", "sightline.Decision", "jsonschema", b'{"type": "object"}'),
    PartChannel("/model/input", "msgpack", "sightline.TensorSet", "", b""),
    PartChannel("/bare", "raw", "", "", b""),
    PartChannel("/decision", "json", "sightline.Decision", "jsonschema", b"{}"),
    PartChannel("/träume", "json", "sightline.Decision", "jsonschema", b"{}"),
)
U64 = st.integers(0, 2**64 - 1)
MESSAGES = st.lists(
    st.builds(
        PartMessage,
        st.sampled_from(CHANNELS),
        st.integers(0, 2**32 - 1),
        U64,
        U64,
        st.one_of(st.binary(max_size=40), st.integers(200_000, 700_000).map(lambda size: b"\x07" * size)),
    ),
    max_size=12,
)


def written(messages: list[PartMessage]) -> bytes:
    output = io.BytesIO()
    write_part(messages, output.write)
    return output.getvalue()


@given(MESSAGES)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back_and_by_the_official_reader_too(messages: list[PartMessage]) -> None:
    data = written(messages)
    assert list(read_part(data)) == messages
    found = []
    for schema, channel, message in make_reader(io.BytesIO(data), validate_crcs=True).iter_messages(
        log_time_order=False
    ):
        about = ("", "", b"") if schema is None else (schema.name, schema.encoding, schema.data)
        one = PartChannel(channel.topic, channel.message_encoding, *about)
        found.append(PartMessage(one, message.sequence, message.log_time, message.publish_time, message.data))
    assert found == messages


@given(MESSAGES)
@settings(max_examples=40, deadline=None)
def test_its_index_statistics_and_checksums_are_those_of_its_messages(messages: list[PartMessage]) -> None:
    data = written(messages)
    list(StreamReader(io.BytesIO(data), validate_crcs=True).records)
    summary = make_reader(io.BytesIO(data), validate_crcs=True).get_summary()
    if not messages:
        assert summary is not None and summary.statistics is not None and summary.statistics.message_count == 0
        return
    assert summary is not None and summary.statistics is not None
    times = [one.log_time_ns for one in messages]
    statistics = summary.statistics
    assert (statistics.message_count, statistics.chunk_count) == (len(messages), len(summary.chunk_indexes))
    assert (statistics.message_start_time, statistics.message_end_time) == (min(times), max(times))
    for index in summary.chunk_indexes:
        assert data[index.chunk_start_offset] == 0x06
        content = data[index.chunk_start_offset + 49 : index.chunk_start_offset + index.chunk_length]
        assert len(content) == index.uncompressed_size
        assert zlib.crc32(content).to_bytes(4, "little") == data[index.chunk_start_offset + 33 :][:4]
    places = []
    content = b""
    for record in StreamReader(io.BytesIO(data), emit_chunks=True).records:
        if isinstance(record, Chunk):
            content = record.data
        elif isinstance(record, MessageIndex):
            for time_ns, offset in record.records:
                number, _, at_ns = struct.unpack_from("<HIQ", content, offset + 9)
                assert (content[offset], number, at_ns) == (0x05, record.channel_id, time_ns)
                places.append((record.channel_id, time_ns))
    assert len(places) == len(messages)
    offsets = [offset for index in summary.chunk_indexes for offset in index.message_index_offsets.items()]
    assert all(data[offset] == 0x07 and data[offset + 9 : offset + 11] == struct.pack("<H", n) for n, offset in offsets)


@given(MESSAGES, st.data())
@settings(max_examples=40, deadline=None)
def test_no_other_bytes_give_the_same_messages_and_are_written_so(
    messages: list[PartMessage], data: st.DataObject
) -> None:
    file = bytearray(written(messages))
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = written(list(read_part(bytes(file))))
    except PartError:
        return
    assert again != bytes(file)


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole in (data, MAGIC + data, MAGIC + b"\x06" + len(data).to_bytes(8, "little") + data):
        with contextlib.suppress(PartError):
            list(read_part(whole))


def a_proof() -> PartProof:
    rows = [KeptMessage(n, bytes([n]) * 16, bytes([n]) * 32, "/a" if n % 2 else "/b", n, 1000 + n) for n in range(6)]
    leaves = [one.leaf for one in rows]
    kept = [rows[index] for index in (0, 2, 5)]
    return PartProof(3, tuple(kept), multi_proof(leaves, [0, 2, 5]))


def test_a_proof_leads_to_the_root_from_salts_and_digests() -> None:
    proof = a_proof()
    again = parse_proof(proof_bytes(proof))
    assert again == proof
    leaves = [leaf_hash(bytes([n]) * 16, bytes([n]) * 32) for n in range(6)]
    assert again.root(6) == tree_root(leaves)
    with pytest.raises(ProofError):
        again.root(5)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_a_proof_has_one_spelling_only(data: st.DataObject) -> None:
    file = bytearray(proof_bytes(a_proof()))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] = data.draw(st.integers(0, 255).filter(lambda value: value != file[place]))
    try:
        assert parse_proof(bytes(file)) != a_proof()
    except ProofError:
        return


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
        max_leaves=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_json_is_a_proof_or_refused(value: object) -> None:
    fields = {**json.loads(proof_bytes(a_proof())), "kept": value}
    for data in (json.dumps(value).encode(), json.dumps(fields).encode()):
        with pytest.raises(ProofError):
            parse_proof(data)
