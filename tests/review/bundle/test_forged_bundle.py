"""A bundle whose other files, seals, manifest or custody log are not what they were."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from review.verify.bundle import verify_bundle
from review.verify.manifest import CUSTODY_NAME, MANIFEST_NAME, README_NAME
from runtime.contracts.errors import RecordError
from runtime.contracts.topics import PICTURE
from runtime.seal.keys import new_key
from runtime.seal.part_file import part_name, proof_name
from tests.models import tiny_policy
from tests.review.bundle.forging import Forger
from tests.review.drives import record_drive

PEOPLE = Request(without_people=True)
WINDOW = Request(from_s=0.5, to_s=1.5)
BOTH = Request(from_s=0.5, to_s=1.5, without_people=True)
Take = Callable[[Request], Forger]


def test_another_model_is_found(forger: Take) -> None:
    held = forger(PEOPLE)
    (held.drive / "model.onnx").write_bytes(tiny_policy(seed=9))
    held.cover_up()
    assert [(one.kind, one.file) for one in held.findings()] == [("file-changed", "model.onnx")]
    (held.drive / "model.onnx").unlink()
    held.cover_up()
    assert held.found() == {"file-missing"}
    held.cover_up(without_files=("model.onnx",))
    found = verify_bundle(held.bundle, [held.key.public_key])
    assert found.verdict == "intact", "a model that is left out is told"
    assert found.bundle is not None and found.bundle.files_left_out == ("model.onnx",)


def test_a_list_of_incidents_with_one_more_is_found(forger: Take) -> None:
    held = forger(PEOPLE)
    index = json.loads((held.drive / "incidents.json").read_bytes())
    index["incidents"] = []
    (held.drive / "incidents.json").write_text(json.dumps(index), encoding="utf-8")
    held.cover_up()
    assert held.found() == {"file-changed"}


def test_a_seal_cannot_be_left_out_nor_that_the_drive_was_closed(forger: Take) -> None:
    held = forger(WINDOW)
    (held.drive / "segment-0002.seal.json").unlink()
    held.cover_up()
    assert {"seal-missing", "segment-missing"} <= held.found()


def test_the_closing_seal_belongs_to_every_part(forger: Take) -> None:
    held = forger(WINDOW)
    next(held.drive.glob("closing-*")).unlink()
    held.cover_up()
    assert "tail-cut" in held.found()


def test_two_drives_of_one_vehicle_do_not_go_together(forger: Take, tmp_path: Path) -> None:
    held = forger(PEOPLE)
    other = record_drive(tmp_path / "other", tiny_policy(), 20, segment_s=1.0, key=held.key)
    made = Path(make_bundle(other, PEOPLE, tmp_path / "made").bundle)
    for name in (part_name(0), proof_name(0)):
        (held.drive / name).write_bytes((made / "drive" / name).read_bytes())
    held.cover_up()
    assert held.found() == {"proof-damaged"}
    (held.drive / "segment-0000.seal.json").write_bytes((made / "drive" / "segment-0000.seal.json").read_bytes())
    held.cover_up()
    assert {"segment-foreign", "seal-missing"} <= held.found()


def test_a_forgers_own_key_is_not_the_vehicles(forger: Take, tmp_path: Path) -> None:
    held = forger(PEOPLE)
    assert {one.kind for one in verify_bundle(held.bundle, []).findings} == {"key-unknown"}
    other = new_key(tmp_path / "forger")
    copy = record_drive(tmp_path / "drive", tiny_policy(), 5, key=other)
    made = Path(make_bundle(copy, PEOPLE, tmp_path / "made").bundle)
    assert {one.kind for one in verify_bundle(made, [held.key.public_key]).findings} == {"key-unknown"}


def test_the_secret_of_a_part_does_not_belong_to_it(forger: Take) -> None:
    held = forger(PEOPLE)
    shutil.copyfile(held.original / "segment-0001.leaves", held.drive / "segment-0001.leaves")
    held.cover_up()
    assert [(one.kind, one.file) for one in held.findings()] == [("file-foreign", "segment-0001.leaves")]
    other = Forger(Path(shutil.copytree(held.bundle, held.bundle.parent / "other")), held.original, held.key)
    (other.drive / "segment-0001.leaves").unlink()
    for name in (part_name(2), proof_name(2)):
        (other.drive / name).unlink()
    shutil.copyfile(held.original / "segment-0002.leaves", other.drive / "segment-0002.leaves")
    other.cover_up(segments=(0, 1))
    assert [(one.kind, one.file) for one in other.findings()] == [("file-foreign", "segment-0002.leaves")]


def test_what_was_changed_on_the_way_is_found_by_the_manifest(forger: Take) -> None:
    held = forger(PEOPLE)
    (held.bundle / README_NAME).write_text("all is well", encoding="utf-8")
    assert [(one.kind, one.file) for one in held.findings()] == [("file-changed", README_NAME)]
    (held.bundle / README_NAME).unlink()
    (held.bundle / "note.txt").write_text("and one more", encoding="utf-8")
    (held.bundle / "link").symlink_to("/etc/hostname")
    found = {(one.kind, one.file) for one in held.findings()}
    assert found == {("file-missing", README_NAME), ("file-foreign", "note.txt"), ("file-foreign", "link")}


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"format": 1}', b"\xff\xfe", b'{"asked": ' + b"9" * 5000 + b"}"],
)
def test_a_manifest_that_is_none_is_told_and_the_seals_still_hold(forger: Take, data: bytes) -> None:
    held = forger(PEOPLE)
    (held.bundle / MANIFEST_NAME).write_bytes(data)
    found = verify_bundle(held.bundle, [held.key.public_key])
    assert {"manifest-wrong", "custody-broken"} <= {one.kind for one in found.findings}
    assert found.bundle is not None
    assert [part.handed for part in found.bundle.parts] == ["part"] * 3


@pytest.mark.parametrize("name", ["picture.mcap", "segment-0001.mcap", "other/segment-0001.mcap"])
def test_what_no_seal_covers_is_not_vouched_for_by_its_makers_manifest(forger: Take, name: str) -> None:
    """Beside the drive it could be taken for a part of it: of an intact bundle all is what the vehicle signed."""
    held = forger(PEOPLE)
    (held.bundle / name).parent.mkdir(exist_ok=True)
    (held.bundle / name).write_bytes(b"never recorded")
    held.cover_up()
    assert [(one.kind, one.file) for one in held.findings()] == [("file-foreign", name)]


def test_a_folder_in_the_place_of_a_file_that_was_left_out_is_told(forger: Take) -> None:
    held = forger(Request(without_people=True, without_model=True))
    (held.drive / "model.onnx").mkdir()
    assert [(one.kind, one.file) for one in held.findings()] == [("file-missing", "model.onnx")]


def test_a_manifest_has_one_spelling(forger: Take) -> None:
    held = forger(PEOPLE)
    path = held.bundle / MANIFEST_NAME
    fields = json.loads(path.read_bytes())
    for data in (json.dumps(fields), json.dumps({**fields, "signed by": "a court"}, indent=1, sort_keys=True) + "\n"):
        path.write_text(data, encoding="utf-8")
        assert held.found() == {"manifest-wrong", "custody-broken"}


def test_a_manifest_of_another_drive_is_told(forger: Take) -> None:
    held = forger(PEOPLE)
    data = (held.bundle / MANIFEST_NAME).read_bytes()
    (held.bundle / MANIFEST_NAME).write_bytes(data.replace(b'"drive_id": "drive"', b'"drive_id": "other"'))
    assert held.found() == {"manifest-wrong", "custody-broken"}


def test_a_custody_log_that_was_changed_is_told(forger: Take) -> None:
    held = forger(PEOPLE)
    path = held.bundle / CUSTODY_NAME
    line = path.read_bytes()
    for data, words in (
        (b"", "no line"),
        (line.replace(b"A. Keeper", b"Somebody"), None),
        (line + line, "does not follow"),
        (line + b"nonsense\n", "line 2 is none"),
        (line.rstrip(b"\n"), "line 1 is none"),
        (line.replace(b'"previous":""', b'"previous":"00"'), "does not follow"),
    ):
        path.write_bytes(data)
        texts = [one.text for one in held.findings()]
        assert (texts == []) if words is None else any(words in text for text in texts), data
    path.unlink()
    assert held.found() == {"file-missing"}


def test_any_byte_that_is_changed_is_found(forger: Take) -> None:
    held = forger(BOTH)
    draw = random.Random(4)
    paths = sorted(path for path in held.bundle.rglob("*") if path.is_file() and path.name != CUSTODY_NAME)
    for number in range(60):
        path = paths[number % len(paths)]
        was = path.read_bytes()
        data = bytearray(was)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        try:
            assert held.findings(), path
        except RecordError:
            pytest.fail(f"{path} changed: it should be told, not given up")
        path.write_bytes(was)
    assert held.findings() == ()


def test_any_byte_of_a_part_or_its_proof_is_found_by_whoever_has_no_manifest_to_trust(forger: Take) -> None:
    held = forger(BOTH)
    draw = random.Random(5)
    for number in range(40):
        path = held.drive / (part_name, proof_name)[number % 2](number % 4 // 2)
        was = path.read_bytes()
        data = bytearray(was)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        held.cover_up()
        assert held.findings(), path
        path.write_bytes(was)
    held.cover_up()
    assert held.findings() == ()


def test_pictures_are_left_out_of_the_whole_bundle(forger: Take) -> None:
    held = forger(PEOPLE)
    name = PICTURE.name.format(camera="front")
    assert held.asked.without_topics == (name,)
