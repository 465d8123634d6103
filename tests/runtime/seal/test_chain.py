"""Segments sealed as the recorder finishes them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from mcap.reader import make_reader

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import SealError
from runtime.contracts.messages import SealHead
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer, recorded_seals
from runtime.seal.keys import VehicleKey, new_key
from runtime.seal.leaf import channel_prefix, leaf_hash, message_digest, salt_of, schema_hash
from runtime.seal.leaves_file import parse_leaves
from runtime.seal.statement import ClosingSeal, SegmentSeal, seal_hash
from runtime.seal.tree import inclusion_proof, is_included
from tests.models import tiny_policy
from tests.review.drives import record_drive


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> VehicleKey:
    return new_key(tmp_path_factory.mktemp("vehicle") / "keys")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, key: VehicleKey) -> Path:
    """Three segments, one declared gap."""
    folder = tmp_path_factory.mktemp("drives") / "drive"
    return record_drive(folder, tiny_policy(), 60, unrecorded={30}, segment_s=1.0, key=key)


@pytest.fixture
def copy(drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / drive.name))


def test_every_seal_names_the_one_before_it_and_the_last_closes_the_drive(drive: Path, key: VehicleKey) -> None:
    seals = recorded_seals(drive)
    assert [seal.number for _, seal in seals] == [0, 1, 2, 3]
    assert [seal.previous for _, seal in seals] == ["", *(seal_hash(payload) for payload, _ in seals[:-1])]
    assert {seal.key_id for _, seal in seals} == {key.key_id}
    closing = seals[-1][1]
    assert isinstance(closing, ClosingSeal)
    assert (closing.segments, closing.ended) == (3, "in order")


def test_a_seal_says_what_its_segment_holds(drive: Path) -> None:
    segments = [seal for _, seal in recorded_seals(drive) if isinstance(seal, SegmentSeal)]
    for one in segments:
        data = (drive / one.file_name).read_bytes()
        assert (one.file.size_bytes, one.file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        with (drive / one.file_name).open("rb") as stream:
            summary = make_reader(stream).get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert one.messages == summary.statistics.message_count == sum(one.topics.values())
        times = (summary.statistics.message_start_time, summary.statistics.message_end_time)
        assert (one.first_log_time_ns, one.last_log_time_ns) == times
        assert not one.late
        assert one.drive_id == "drive"
    assert [len(one.gaps) for one in segments] == [0, 1, 0]
    assert set(segments[0].files) == {"model.onnx", "config.yaml", *(path.name for path in drive.glob("key-*.pub"))}
    assert [one.files for one in segments[1:]] == [{}, {}]


def test_a_message_is_proven_by_its_own_salt_without_the_secret(drive: Path) -> None:
    """What a redacted bundle will do: the message, its salt, a path; nothing else of the segment."""
    one = next(seal for _, seal in recorded_seals(drive) if isinstance(seal, SegmentSeal))
    leaves = parse_leaves((drive / "segment-0000.leaves").read_bytes())
    hashes = [message.leaf for message in leaves.messages]
    with (drive / one.file_name).open("rb") as stream:
        found = list(make_reader(stream).iter_messages(log_time_order=False))
    for index in (0, 7, len(found) - 1):
        schema, channel, message = found[index]
        assert schema is not None
        sealed_schema = schema_hash(channel.message_encoding, schema.name, schema.encoding, schema.data)
        prefix = channel_prefix(channel.topic, sealed_schema)
        digest = message_digest(prefix, message.log_time, message.publish_time, message.sequence, message.data)
        shown_salt = salt_of(leaves.secret, digest)
        proof = inclusion_proof(hashes, index)
        assert is_included(leaf_hash(shown_salt, digest), index, one.messages, proof, bytes.fromhex(one.root))
        assert not is_included(leaf_hash(bytes(16), digest), index, one.messages, proof, bytes.fromhex(one.root))


def test_a_recorder_that_died_between_the_swap_and_the_seal_has_its_segment_sealed_late(
    copy: Path, key: VehicleKey
) -> None:
    for name in ("segment-0002.seal.json", "segment-0002.leaves", "closing-0003.seal.json"):
        (copy / name).unlink()
    store = DriveStore(copy, "session", RecordConfig(), DriveSealer(copy, key))
    store.close()
    heads = store.sealing.take_heads()
    assert [(head.number, head.segment, head.closes) for head in heads] == [(2, 2, False), (3, None, True)]
    assert isinstance(heads[0], SealHead)
    sealed = [seal for _, seal in recorded_seals(copy) if isinstance(seal, SegmentSeal)]
    assert [one.late for one in sealed] == [False, False, True]


def test_a_drive_that_is_closed_is_not_closed_again(copy: Path, key: VehicleKey) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    store = DriveStore(copy, "session", RecordConfig(), DriveSealer(copy, key))
    store.close()
    assert store.sealing.take_heads() == []
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_damaged_seal_stops_the_chain_with_its_name(copy: Path, key: VehicleKey) -> None:
    (copy / "segment-0001.seal.json").write_bytes(b"{}")
    with pytest.raises(SealError, match=r"segment-0001\.seal\.json is damaged"):
        DriveSealer(copy, key)


def test_a_segment_that_cannot_be_read_back_is_not_sealed(copy: Path, key: VehicleKey) -> None:
    for path in (*copy.glob("*.seal.json"), *copy.glob("*.leaves")):
        path.unlink()
    path = copy / "segment-0001.mcap"
    data = bytearray(path.read_bytes())
    data[3000] ^= 0xFF
    path.write_bytes(data)
    sealer = DriveSealer(copy, key)
    sealer.seal_segment(0, recovered=False)
    with pytest.raises(SealError, match=r"segment-0001\.mcap cannot be sealed: its bytes \d+ to \d+"):
        sealer.seal_segment(1, recovered=False)
    assert not (copy / "segment-0001.seal.json").exists()


def test_the_official_reader_opens_sealed_segments_with_its_checksums_on(drive: Path) -> None:
    leaves = 0
    for path in sorted(drive.glob("*.mcap")):
        with path.open("rb") as stream:
            count = sum(1 for _ in make_reader(stream, validate_crcs=True).iter_messages())
        assert count == len(parse_leaves(path.with_suffix(".leaves").read_bytes()).messages)
        leaves += count
    assert leaves == sum(seal.messages for _, seal in recorded_seals(drive) if isinstance(seal, SegmentSeal))
