"""What `sightline verify` says of a drive that was changed, cut, mixed up or never finished."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from review.verify.drive import KeptHead, parse_head, verify_drive
from review.verify.report import Finding, Verification
from review.verify.words import words
from runtime.commands.main import main
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.incident import INDEX_NAME
from runtime.contracts.topics import EVENT, HEADER, SEAL_HEAD
from runtime.record.lock import shared
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer, recorded_seals
from runtime.seal.envelope import envelope_bytes, make_envelope
from runtime.seal.keys import VehicleKey, load_key, new_key, rotate_key, rotation_files
from runtime.seal.statement import PAYLOAD_TYPE, SegmentSeal, seal_payload
from tests.models import tiny_policy
from tests.review.drives import record_drive, rewrite
from tests.runtime.record.recording import a_header


@pytest.fixture(scope="module")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vehicle") / "keys"
    new_key(folder)
    return folder


@pytest.fixture(scope="module")
def key(key_dir: Path) -> VehicleKey:
    return load_key(key_dir)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, key: VehicleKey) -> Path:
    """Three segments."""
    return record_drive(tmp_path_factory.mktemp("drives") / "drive", tiny_policy(), 60, segment_s=1.0, key=key)


@pytest.fixture
def copy(drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / "copies" / drive.name))


def kinds(found: Verification) -> list[str]:
    """What was found, each kind once, in order."""
    return list(dict.fromkeys(one.kind for one in found.findings))


def messages(found: Verification) -> list[Finding]:
    """The findings that name messages."""
    return [one for one in found.findings if one.message is not None]


def test_a_drive_as_it_was_sealed_is_intact(drive: Path, key: VehicleKey) -> None:
    found = verify_drive(drive, [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert (found.level, found.segments, found.ended) == ("messages", 3, "in order")
    assert found.messages == sum(seal.messages for _, seal in recorded_seals(drive) if isinstance(seal, SegmentSeal))
    assert found.head == parse_and_show(found.head)
    assert found.duration_s > 2.9


def parse_and_show(head: str) -> str:
    """A head, read and written again."""
    kept = parse_head(head)
    return f"{kept.number}:{kept.sha256}"


def test_a_changed_payload_is_named_by_topic_and_frame(copy: Path, key: VehicleKey) -> None:
    def lie(topic: str, sequence: int, data: bytes) -> bytes:
        return data.replace(b"steering", b"Steering", 1) if (topic, sequence) == ("/decision", 25) else data

    rewrite(copy / "segment-0001.mcap", lie)
    found = verify_drive(copy, [key.public_key])
    [one] = messages(found)
    assert (one.kind, one.segment, one.topic, one.sequence) == ("message-changed", 1, "/decision", 25)


def test_a_topic_that_was_taken_out_is_named_message_by_message(copy: Path, key: VehicleKey) -> None:
    rewrite(copy / "segment-0000.mcap", lambda topic, _, data: None if topic == EVENT.name else data)
    found = verify_drive(copy, [key.public_key])
    assert [(one.kind, one.topic) for one in messages(found)] == [("message-removed", EVENT.name)]


def test_a_segment_that_is_missing_is_named(copy: Path, key: VehicleKey) -> None:
    (copy / "segment-0001.mcap").unlink()
    found = verify_drive(copy, [key.public_key])
    assert [(one.kind, one.segment) for one in found.findings] == [("segment-missing", 1)]


def test_a_segment_that_was_taken_out_with_its_seal_breaks_the_chain(copy: Path, key: VehicleKey) -> None:
    for path in copy.glob("segment-0001.*"):
        path.unlink()
    assert set(kinds(verify_drive(copy, [key.public_key]))) == {"seal-missing", "segment-missing"}


def test_a_tail_that_was_cut_off_is_told(copy: Path, key: VehicleKey) -> None:
    (copy / "closing-0003.seal.json").unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["tail-cut"]
    for path in copy.glob("segment-0002.*"):
        path.unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["tail-cut"]


def test_a_head_that_was_kept_proves_what_came_before_it(drive: Path, copy: Path, key: VehicleKey) -> None:
    trusted = [key.public_key]
    kept = parse_head(verify_drive(drive, trusted).head)
    assert verify_drive(copy, trusted, kept).verdict == "intact"
    assert verify_drive(copy, trusted, KeptHead(None, kept.sha256)).verdict == "intact"
    # The vehicle's own key cuts the drive and closes it anew: without the head nobody could tell.
    for path in (*copy.glob("segment-0002.*"), copy / "closing-0003.seal.json"):
        path.unlink()
    DriveSealer(copy, key).close()
    assert verify_drive(copy, trusted).verdict == "intact"
    assert kinds(verify_drive(copy, trusted, kept)) == ["tail-cut"]
    assert kinds(verify_drive(copy, trusted, KeptHead(None, kept.sha256))) == ["head-unknown"]
    assert kinds(verify_drive(drive, trusted, KeptHead(2, kept.sha256))) == ["head-unknown"]


def test_a_key_that_nobody_vouches_for_proves_nothing(drive: Path, copy: Path, tmp_path: Path) -> None:
    assert kinds(verify_drive(drive, [])) == ["key-unknown"]
    other = new_key(tmp_path / "forger")
    assert kinds(verify_drive(drive, [other.public_key])) == ["key-unknown"]
    # The forger makes all seals anew with a key of their own, and shows it.
    for path in (*copy.glob("*.seal.json"), *copy.glob("*.leaves"), *copy.glob("key-*")):
        path.unlink()
    sealer = DriveSealer(copy, other)
    for index in range(3):
        sealer.seal_segment(index, recovered=False)
    sealer.close()
    assert verify_drive(copy, [other.public_key]).verdict == "intact"
    assert kinds(verify_drive(copy, [load_key(tmp_path / "forger").public_key[::-1]])) == ["key-unknown"]


def test_an_older_public_key_verifies_drives_signed_by_its_successor(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    first = new_key(keys)
    _, second = rotate_key(keys)
    folder = record_drive(tmp_path / "drive", tiny_policy(), 3, key=second)
    assert kinds(verify_drive(folder, [first.public_key])) == ["key-unknown"]
    for path in rotation_files(keys):
        shutil.copy(path, folder)
    found = verify_drive(folder, [first.public_key])
    assert kinds(found) == ["file-foreign"], "the statement is believed, and is no file of this drive"


def test_a_seal_with_a_signature_of_another_key_or_over_other_words_does_not_hold(
    copy: Path, key: VehicleKey, tmp_path: Path
) -> None:
    _, seal = recorded_seals(copy)[1]
    assert isinstance(seal, SegmentSeal)
    other = new_key(tmp_path / "forger")
    payload = seal_payload(seal).replace(b'"recovered":false', b'"recovered":true')
    forged = make_envelope(PAYLOAD_TYPE, payload, key.key_id, other.sign)
    (copy / "segment-0001.seal.json").write_bytes(envelope_bytes(forged))
    found = verify_drive(copy, [key.public_key])
    assert kinds(found)[0] == "seal-damaged"
    assert "signature does not hold" in found.findings[0].text


def test_a_seal_that_the_vehicles_own_key_made_anew_breaks_the_chain(copy: Path, key: VehicleKey) -> None:
    _, seal = recorded_seals(copy)[1]
    assert isinstance(seal, SegmentSeal)
    payload = seal_payload(dataclasses.replace(seal, late=True))
    again = make_envelope(PAYLOAD_TYPE, payload, key.key_id, key.sign)
    (copy / "segment-0001.seal.json").write_bytes(envelope_bytes(again))
    found = verify_drive(copy, [key.public_key])
    assert [(one.kind, one.file) for one in found.findings] == [("chain-broken", "segment-0002.seal.json")]


def test_a_seal_whose_tree_is_not_that_of_its_file_is_told(copy: Path, key: VehicleKey) -> None:
    _, seal = recorded_seals(copy)[0]
    assert isinstance(seal, SegmentSeal)
    payload = seal_payload(dataclasses.replace(seal, root="00" * 32))
    (copy / "segment-0000.seal.json").write_bytes(
        envelope_bytes(make_envelope(PAYLOAD_TYPE, payload, key.key_id, key.sign))
    )
    told = [one.text for one in verify_drive(copy, [key.public_key]).findings if one.kind == "seal-damaged"]
    assert len(told) == 1
    assert "the sealed tree is not that of its messages" in told[0]


def test_a_public_key_that_is_gone_or_another_is_told(copy: Path, key: VehicleKey, tmp_path: Path) -> None:
    [public] = copy.glob("key-*.pub")
    public.write_bytes((new_key(tmp_path / "other"), (tmp_path / "other" / "signing.pub").read_bytes())[1])
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-changed"]
    public.unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing"]
    assert kinds(verify_drive(copy, []))[0] == "key-missing"


def test_the_file_of_a_key_that_came_in_mid_drive_has_one_name_and_one_spelling(tmp_path: Path) -> None:
    """No seal covers it: the first one was signed before."""
    first = new_key(tmp_path / "keys")
    folder = record_drive(tmp_path / "drive", tiny_policy(), 30, segment_s=1.0, key=first)
    (folder / "closing-0002.seal.json").unlink()
    _, second = rotate_key(tmp_path / "keys")
    for path in rotation_files(tmp_path / "keys"):
        shutil.copy(path, folder)
    DriveSealer(folder, second).close()
    assert verify_drive(folder, [first.public_key]).verdict == "intact"
    path = folder / f"key-{second.key_id[:16]}.pub"
    written = path.read_bytes()
    path.write_bytes(written + b"\n")
    assert [(one.kind, one.file) for one in verify_drive(folder, [first.public_key]).findings] == [
        ("file-changed", path.name)
    ]
    path.write_bytes(written)
    path.with_suffix(".mcap").write_bytes(b"never recorded")
    found = verify_drive(folder, [first.public_key]).findings
    assert [(one.kind, one.file) for one in found] == [("file-foreign", path.with_suffix(".mcap").name)]


def test_without_its_leaves_a_damaged_segment_is_told_as_a_whole(copy: Path, key: VehicleKey) -> None:
    (copy / "segment-0001.leaves").unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing"]
    path = copy / "segment-0001.mcap"
    path.write_bytes(path.read_bytes()[:-1])
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing", "bytes-changed"]


def test_a_changed_byte_of_the_index_is_told_by_its_place_and_names_no_message(copy: Path, key: VehicleKey) -> None:
    path = copy / "segment-0000.mcap"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    [one] = verify_drive(copy, [key.public_key]).findings
    assert (one.kind, one.message) == ("bytes-changed", None)
    assert one.first_byte is not None
    assert one.last_byte is not None
    assert one.first_byte <= len(data) - 40 <= one.last_byte < len(data)


def test_seals_under_each_others_names_are_told(copy: Path, key: VehicleKey) -> None:
    one, two = copy / "segment-0000.seal.json", copy / "segment-0001.seal.json"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    found = verify_drive(copy, [key.public_key])
    assert found.verdict == "damaged"
    assert "under another name" in found.findings[0].text


def test_a_file_that_does_not_belong_to_the_record_is_told(copy: Path, key: VehicleKey) -> None:
    (copy / "model.report.json").write_text("{}")
    (copy / "a folder").mkdir()
    os.mkfifo(copy / "pipe")
    (copy / "link").symlink_to("/dev/zero")
    (copy / os.fsdecode(b"odd-\xff\n")).write_text("")
    shutil.copy(copy / "segment-0000.mcap", copy / "segment-0007.mcap")
    found = verify_drive(copy, [key.public_key])
    assert [one.kind for one in found.findings].count("file-foreign") == 5
    assert kinds(found) == ["file-foreign", "segment-unsealed"]
    json.dumps([str(one) for one in found.findings]).encode()


def test_a_model_that_was_changed_for_a_link_to_the_same_bytes_is_told(copy: Path, key: VehicleKey) -> None:
    (copy / "model.onnx").rename(copy.parent / "elsewhere")
    (copy / "model.onnx").symlink_to(copy.parent / "elsewhere")
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing"]


def test_the_index_of_incidents_is_covered_by_the_closing_seal_and_by_no_other(copy: Path, key: VehicleKey) -> None:
    index = copy / INDEX_NAME
    index.write_text("{}")
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-foreign"], "it was closed without one"
    (copy / "closing-0003.seal.json").unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["tail-cut"], "it grows while the drive does"
    DriveSealer(copy, key).close()
    assert verify_drive(copy, [key.public_key]).verdict == "intact"
    index.write_text("{ }")
    assert [(one.kind, one.file) for one in verify_drive(copy, [key.public_key]).findings] == [
        ("file-changed", INDEX_NAME)
    ]
    index.unlink()
    assert kinds(verify_drive(copy, [key.public_key])) == ["file-missing"]


def test_an_index_of_incidents_that_is_there_before_the_first_seal_may_still_grow(
    tmp_path: Path, key: VehicleKey
) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / INDEX_NAME).write_text("{}")
    store = DriveStore(folder, "session", RecordConfig(), DriveSealer(folder, key))
    store.keep_header(HEADER.encode(a_header()))
    store.append(EVENT.name, EVENT, b"{}", log_time_ns=1, publish_time_ns=1, sequence=-1)
    store.mark(0, 0, frame_sequence=-1, log_time_ns=1, publish_time_ns=1)
    store.rotate()
    while store.sealing.busy():
        time.sleep(0.001)
    (folder / INDEX_NAME).write_text("{ }")
    store.close()
    assert verify_drive(folder, [key.public_key]).verdict == "intact"


def test_a_drive_that_was_killed_and_not_taken_up_says_so(tmp_path: Path, key: VehicleKey) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    store = DriveStore(folder, "session", RecordConfig(), DriveSealer(folder, key))
    store.keep_header(HEADER.encode(a_header()))
    store.append(EVENT.name, EVENT, b"{}", log_time_ns=1, publish_time_ns=1, sequence=-1)
    store.mark(0, 0, frame_sequence=-1, log_time_ns=1, publish_time_ns=1)
    store.sync()
    found = verify_drive(folder, [key.public_key])
    assert kinds(found) == ["journal-open", "seal-missing"]
    again = DriveStore(folder, "session", RecordConfig(), DriveSealer(folder, key))
    again.close()
    assert verify_drive(folder, [key.public_key]).verdict == "intact"


def test_what_a_later_recorder_sealed_is_told_by_segment(copy: Path, key: VehicleKey) -> None:
    """Until then nobody vouched for it: whoever could write there could change it."""
    before = verify_drive(copy, [key.public_key])
    assert (before.sealed_late, before.recovered) == ((), ())
    for path in (*copy.glob("*.seal.json"), *copy.glob("*.leaves")):
        path.unlink()
    DriveStore(copy, "session", RecordConfig(), DriveSealer(copy, key)).close()
    found = verify_drive(copy, [key.public_key])
    assert (found.verdict, found.sealed_late, found.recovered) == ("intact", (0, 1, 2), ())
    assert "late       segments 0, 1, 2: " in words(found)
    assert kinds(verify_drive(copy, [key.public_key], parse_head(before.head))) == ["head-unknown"]


def test_a_seal_that_a_forger_made_leads_nowhere_outside_of_the_drive(copy: Path, tmp_path: Path) -> None:
    other = new_key(tmp_path / "forger")
    _, seal = recorded_seals(copy)[0]
    assert isinstance(seal, SegmentSeal)
    (copy / f"key-{other.key_id[:16]}.pub").write_bytes((tmp_path / "forger" / "signing.pub").read_bytes())
    for changes in (
        {"segment": 10**9, "file_name": "segment-1000000000.mcap"},
        {"file_name": "../../etc/passwd"},
        {"files": {"../model.onnx": {"size_bytes": 1, "sha256": ""}}},
        {"number": 2**63, "first_log_time_ns": -(2**63)},
    ):
        fields = {**json.loads(seal_payload(seal)), "key_id": other.key_id, **changes}
        envelope = make_envelope(PAYLOAD_TYPE, json.dumps(fields).encode(), other.key_id, other.sign)
        name = f"segment-{fields['segment']:04d}.seal.json"
        (copy / name).write_bytes(envelope_bytes(envelope))
        assert verify_drive(copy, []).verdict == "damaged"
        if name != "segment-0000.seal.json":
            (copy / name).unlink()


@given(
    data=st.binary(max_size=400),
    name=st.sampled_from(
        [
            "segment-0000.mcap",
            "segment-0000.leaves",
            "segment-0000.seal.json",
            "closing-0003.seal.json",
            "key",
            "config.yaml",
        ]
    ),
    keep=st.integers(0, 4000),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_any_file_are_judged_and_never_a_crash(
    drive: Path, key: VehicleKey, tmp_path: Path, *, data: bytes, name: str, keep: int
) -> None:
    folder = tmp_path / "fuzzed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(drive, folder)
    path = next(folder.glob("key-*.pub")) if name == "key" else folder / name
    before = path.read_bytes()
    path.write_bytes(before[:keep] + data)
    found = verify_drive(folder, [key.public_key])
    assert (found.verdict == "intact") == (path.read_bytes() == before)


def test_what_is_no_drive_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no drive"):
        verify_drive(tmp_path, [])
    with pytest.raises(RecordError, match="cannot be read"):
        verify_drive(tmp_path / "nowhere", [])


def test_a_head_is_read_in_every_form_that_it_is_kept_in(tmp_path: Path, drive: Path, key: VehicleKey) -> None:
    number, _, sha256 = verify_drive(drive, [key.public_key]).head.partition(":")
    kept = KeptHead(int(number), sha256)
    published = json.dumps({"drive_id": "drive", "number": int(number), "seal_sha256": sha256})
    path = tmp_path / "head.json"
    path.write_text(published)
    assert [parse_head(one) for one in (f"{number}:{sha256}", published, str(path))] == [kept] * 3
    assert parse_head(sha256.upper()) == KeptHead(None, sha256)
    for wrong in ("", "1:2", '{"number": "1", "seal_sha256": ""}', "[", str(tmp_path)):
        with pytest.raises(RecordError, match="head"):
            parse_head(wrong)
    assert SEAL_HEAD.name == "/seal/head"


def test_the_command_answers_with_its_exit_code_and_names_the_message(
    copy: Path, key_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = str(key_dir / "signing.pub")
    assert main(["verify", str(copy.parent), "--key", public]) == 0
    assert "intact: every byte" in capsys.readouterr().out
    assert main(["verify", str(copy)]) == 1, "the tests' own vehicle did not sign it"
    assert "key-unknown" in capsys.readouterr().out
    rewrite(copy / "segment-0002.mcap", lambda t, s, data: None if (t, s) == ("/decision", 50) else data)
    assert main(["verify", str(copy), "--key", public, "--json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["verdict"] == "damaged"
    assert found["realtime_factor"] > 0
    [one] = [one for one in found["findings"] if one["message"] is not None]
    assert (one["kind"], one["segment"], one["topic"], one["sequence"]) == ("message-removed", 2, "/decision", 50)
    assert main(["verify", str(copy / "nowhere"), "--key", public]) == 2
    assert main(["verify", str(copy), "--key", str(copy / "config.yaml")]) == 2
    assert main(["verify"]) == 2
    assert "signing.pub" in capsys.readouterr().err


def test_a_drive_that_is_being_recorded_is_not_judged_and_a_copy_of_it_is(
    copy: Path, key_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with shared(copy):  # as its recorder has it
        assert main(["verify", str(copy), "--key", str(key_dir / "signing.pub")]) == 2
        assert "is being recorded" in capsys.readouterr().err
        elsewhere = shutil.copytree(copy, tmp_path / "elsewhere")
        assert main(["verify", str(elsewhere), "--key", str(key_dir / "signing.pub")]) == 0
    assert main(["verify", str(copy), "--key", str(key_dir / "signing.pub")]) == 0
