"""What a bundle holds, what it leaves out, and that nothing else happens to the drive."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from mcap.reader import make_reader

from review.bundle.choice import Request, choose
from review.bundle.cut import sealed_leaves
from review.bundle.make import make_bundle
from review.verify.account import BundleAccount
from review.verify.bundle import verify_bundle
from review.verify.manifest import CUSTODY_NAME, MANIFEST_NAME, README_NAME, VERIFIER_NAME
from review.verify.moment import utc
from review.verify.plain_file import hash_plain
from runtime.commands.main import main
from runtime.contracts import onnx_file
from runtime.contracts.model import manifest_of
from runtime.contracts.topics import DECISION, HEADER, MODEL_INPUT, PEOPLE_FROM_PX, PICTURE, STORED
from runtime.record.drive import open_drive
from runtime.record.recover import recover
from runtime.seal.chain import DriveSealer, recorded_seals
from runtime.seal.envelope import public_key_pem
from runtime.seal.keys import VehicleKey
from runtime.seal.part_file import parse_proof, part_name, proof_name
from runtime.seal.statement import SegmentSeal
from tests.review.bundle.conftest import INCIDENT
from tests.review.bundle.forging import Forger
from tests.review.drives import UTC_NS

Made = Callable[[Request], Path]
PICTURES = PICTURE.name.format(camera="front")


def account(bundle: Path, key: VehicleKey) -> BundleAccount:
    """What verifying tells of a bundle in which nothing is found."""
    found = verify_bundle(bundle, [key.public_key])
    assert found.findings == ()
    assert found.bundle is not None
    return found.bundle


def messages(path: Path) -> list[tuple[str, int, int, int, bytes, bytes]]:
    """Every message of a segment in the file's order, by the official reader with its checksums on."""
    with path.open("rb") as stream:
        return [
            (
                channel.topic,
                message.sequence,
                message.log_time,
                message.publish_time,
                message.data,
                b"" if schema is None else schema.data,
            )
            for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages(log_time_order=False)
        ]


def seals_of(drive: Path) -> list[SegmentSeal]:
    """The seals of its segments."""
    return [seal for _, seal in recorded_seals(drive) if isinstance(seal, SegmentSeal)]


def test_a_whole_drive_is_handed_over_as_it_was_recorded(made: Made, drive: Path, key: VehicleKey) -> None:
    bundle = made(Request())
    there = {path.name: hash_plain(path) for path in drive.iterdir()}
    assert {path.name: hash_plain(path) for path in (bundle / "drive").iterdir()} == there
    told = account(bundle, key)
    assert [part.handed for part in told.parts] == ["whole"] * 3
    assert {path.name for path in bundle.iterdir()} == {
        *(MANIFEST_NAME, CUSTODY_NAME, README_NAME, VERIFIER_NAME),
        "drive",
    }


def test_the_drive_itself_is_not_touched(drive: Path, tmp_path: Path) -> None:
    before = {path.name: (hash_plain(path), path.stat().st_mtime_ns, path.stat().st_ino) for path in drive.iterdir()}
    bundle = Path(make_bundle(drive, Request(from_s=1.0, without_people=True), tmp_path).bundle)
    after = {path.name: (hash_plain(path), path.stat().st_mtime_ns, path.stat().st_ino) for path in drive.iterdir()}
    assert after == before
    originals = {path.stat().st_ino for path in drive.iterdir()}
    assert originals.isdisjoint(path.stat().st_ino for path in bundle.rglob("*")), "a link would let one change both"


def test_a_drive_of_which_a_part_is_being_handed_over_verifies_as_ever(
    drive: Path, key: VehicleKey, tmp_path: Path
) -> None:
    public, codes = str(tmp_path / "signing.pub"), []
    Path(public).write_bytes(public_key_pem(key.public_key))

    def verify(_: int) -> None:
        codes.append(main(["verify", str(drive), "--key", public]))
        assert recover(drive).outcome == "in-use", "and nothing of it goes meanwhile"

    make_bundle(drive, Request(segments=(1,)), tmp_path, on_bytes=verify)
    assert codes == [0]


def test_a_part_opens_in_the_official_reader_and_has_every_message_that_was_asked_for_and_no_other(
    made: Made, drive: Path
) -> None:
    bundle = made(Request(without_people=True))
    for seal in seals_of(drive):
        wanted = [one for one in messages(drive / seal.file_name) if one[0] != PICTURES]
        path = bundle / "drive" / part_name(seal.segment)
        assert messages(path) == wanted
        with path.open("rb") as stream:
            summary = make_reader(stream, validate_crcs=True).get_summary()
        assert summary is not None and summary.statistics is not None
        topics = {number: channel.topic for number, channel in summary.channels.items()}
        counts = {topics[number]: count for number, count in summary.statistics.channel_message_counts.items()}
        assert counts == Counter(one[0] for one in wanted)
        assert sum(index.uncompressed_size for index in summary.chunk_indexes) < path.stat().st_size
        with path.open("rb") as stream:
            jumped = list(make_reader(stream).iter_messages(topics=[DECISION.name]))
        assert len(jumped) == counts[DECISION.name], "by its index"


def test_what_was_left_out_is_counted_by_topic_and_placed_by_its_neighbours(
    made: Made, drive: Path, key: VehicleKey
) -> None:
    told = account(made(Request(from_s=0.5, to_s=1.5)), key)
    for part in told.parts[:2]:
        every = messages(drive / f"segment-{part.segment:04d}.mcap")
        kept = {
            place
            for place, one in enumerate(every)
            if one[0] in (HEADER.name, STORED.name, "/ledger/gap") or UTC_NS + 5e8 <= one[2] <= UTC_NS + 15e8
        }
        assert part.kept == len(kept)
        left_out = Counter(one[0] for place, one in enumerate(every) if place not in kept)
        assert part.left_out == left_out
        holes = {place for hole in part.holes for place in range(hole.first, hole.last + 1)}
        assert holes == set(range(len(every))) - kept
        for hole in part.holes:
            assert hole.after_log_time_ns == every[hole.first - 1][2]
            assert hole.before_log_time_ns == every[hole.last + 1][2]
            assert not hole.asked
    assert (told.parts[2].handed, told.parts[2].kept) == ("left out", 0)
    assert told.parts[2].left_out == seals_of(drive)[2].topics
    assert verify_bundle(made(Request(from_s=0.5, to_s=1.5)), [key.public_key]).duration_s == 1.0


def test_neither_the_secret_nor_the_salt_of_what_was_left_out_is_in_a_part(made: Made, drive: Path) -> None:
    bundle = made(Request(without_people=True))
    handed = b"".join(path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file())
    for seal in seals_of(drive):
        leaves = sealed_leaves(drive, seal)
        assert leaves.secret not in handed
        assert leaves.secret.hex().encode() not in handed
        proof = parse_proof((bundle / "drive" / proof_name(seal.segment)).read_bytes())
        shown = {one.index for one in proof.kept}
        hidden = [one.topic for place, one in enumerate(leaves.messages) if place not in shown]
        assert set(hidden) == {PICTURES}
    # What lies in JSON is base64, and a part is not compressed.
    pictures = [
        data
        for segment in sorted(drive.glob("*.mcap"))
        for topic, *_, data, _ in messages(segment)
        if topic == PICTURES
    ]
    assert len(pictures) > 50
    assert not [data for data in pictures if data[200:264] in handed]
    assert not [data for data in pictures if PICTURE.decode(data).data[200:264] in handed]
    assert b"\xff\xd8\xff" not in handed, "no JPEG"


def test_the_hash_of_a_whole_segment_confirms_no_guess_of_what_was_left_out(made: Made, drive: Path) -> None:
    """It is signed and in every part. Who writes the segment anew with a guess lacks the salt in the file."""
    bundle = made(Request(without_people=True))
    handed = b"".join(path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file())
    salts = {open_drive(drive).note(seal.segment) for seal in seals_of(drive)}
    assert len(salts) == 3
    for note in salts:
        assert note is not None
        assert len(note.salt) >= 64
        assert note.salt.encode() not in handed


def test_an_incident_is_its_segments_whole_or_its_window_cut(made: Made, key: VehicleKey) -> None:
    whole = account(made(Request(incident=0)), key)
    assert [(part.segment, part.handed) for part in whole.parts if part.handed != "left out"] == [(1, "whole")]
    cut = account(made(Request(incident=0, cut=True)), key)
    assert (cut.from_log_time_ns, cut.to_log_time_ns) == (UTC_NS + INCIDENT.t_from_ns, UTC_NS + INCIDENT.t_to_ns)
    assert cut.parts[1].handed == "part"
    assert "hard-brake" in cut.asked


def test_only_some_topics_come_with_what_belongs_to_every_part(made: Made) -> None:
    bundle = made(Request(segments=(1,), topics=("/dec*",)))
    topics = {one[0] for one in messages(bundle / "drive" / part_name(1))}
    assert topics == {DECISION.name, HEADER.name, STORED.name}


def test_where_nothing_of_a_segment_is_left_out_it_is_handed_over_whole(made: Made, key: VehicleKey) -> None:
    told = account(made(Request(from_s=-1.0, to_s=1.0)), key)
    assert [part.handed for part in told.parts] == ["whole", "left out", "left out"]


def large(folder: Path, *, pixels: int) -> None:
    """Give a drive's model an image input of another size; nothing is run here."""
    path = folder / "model.onnx"
    manifest = manifest_of(path.read_bytes(), "")
    image = msgspec.structs.replace(manifest.images[0], width=pixels, height=10)
    text = msgspec.json.encode(msgspec.structs.replace(manifest, images=(image,))).decode()
    path.write_bytes(onnx_file.with_metadata(path.read_bytes(), "sightline.manifest", text))


def test_without_people_a_large_model_input_goes_too_and_a_small_one_stays(drive: Path, tmp_path: Path) -> None:
    seals = seals_of(drive)
    people = Request(without_people=True)
    assert choose(open_drive(drive), seals, people).without_topics == (PICTURES,)
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    large(copy, pixels=PEOPLE_FROM_PX)
    assert choose(open_drive(copy), seals, people).without_topics == (PICTURES,)
    large(copy, pixels=PEOPLE_FROM_PX + 1)
    assert choose(open_drive(copy), seals, people).without_topics == (PICTURES, MODEL_INPUT.name)
    (copy / "model.onnx").write_bytes(b"no model")
    assert choose(open_drive(copy), seals, people).without_topics == (PICTURES, MODEL_INPUT.name)


def test_without_people_a_topic_that_nobody_knows_may_show_anything(drive: Path) -> None:
    seals = [dataclasses.replace(one, topics={**one.topics, "/lidar/points": 3}) for one in seals_of(drive)]
    asked = choose(open_drive(drive), seals, Request(without_people=True))
    assert asked.without_topics == (PICTURES, "/lidar/points")


def test_a_part_without_pictures_may_be_shown_with_them_later(made: Made, forger: Callable[[Request], Forger]) -> None:
    """The other half of what salts are for."""
    held = forger(Request(segments=(1,), without_people=True))
    full = made(Request(segments=(1,)))
    for name in (part_name(1), proof_name(1)):
        (held.drive / name).unlink()
    for name in ("segment-0001.mcap", "segment-0001.leaves"):
        shutil.copyfile(full / "drive" / name, held.drive / name)
    held.cover_up(without_topics=(), without_people=False)
    assert held.findings() == ()


def test_without_its_model_and_its_incidents_a_bundle_says_so(made: Made, key: VehicleKey) -> None:
    bundle = made(Request(without_model=True, without_incidents=True))
    assert sorted(account(bundle, key).files_left_out) == ["incidents.json", "model.onnx"]
    assert not (bundle / "drive" / "model.onnx").exists()
    assert "the file model.onnx" in (bundle / README_NAME).read_text(encoding="utf-8")


def test_a_segment_that_the_vehicle_deleted_is_told_and_nobody_is_blamed(
    drive: Path, key: VehicleKey, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    DriveSealer(copy, key).bury(0, "the quota of 1 GiB was reached", freed_bytes=1, gone={})
    for name in ("segment-0000.mcap", "segment-0000.leaves"):
        (copy / name).unlink()
    for request in (Request(), Request(from_s=0.0, to_s=1.5, without_people=True)):
        bundle = Path(make_bundle(copy, request, tmp_path / f"made-{request.without_people}").bundle)
        told = account(bundle, key)
        assert (told.parts[0].handed, told.parts[0].messages) == ("deleted", seals_of(drive)[0].messages)
        assert "deleted by the vehicle itself" in (bundle / README_NAME).read_text(encoding="utf-8")


def test_the_readme_tells_a_stranger_what_was_asked_what_is_here_and_what_is_not(made: Made) -> None:
    text = (made(Request(incident=0, without_people=True)) / README_NAME).read_text(encoding="utf-8")
    for words in (
        "Asked for: incident 0 (hard-brake), its segments whole; without what shows people",
        "python sightline_verify.py . --key ../signing.pub",
        "segment 1: a part, ",
        "segment 0: left out, ",
        f"x {PICTURES}",
    ):
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 110
    assert "segment-N.leaves" not in text, "no whole segment is here"
    cut = (made(Request(incident=0, cut=True)) / README_NAME).read_text(encoding="utf-8")
    assert f"Time:      {utc(UTC_NS + INCIDENT.t_from_ns)} to {utc(UTC_NS + INCIDENT.t_to_ns)}" in cut


def test_custody_names_who_made_it_and_what_they_say(drive: Path, tmp_path: Path) -> None:
    report = make_bundle(drive, Request(segments=(2,)), tmp_path, by="A. Keeper\n", note="case \x1b[31m4711")
    [line] = (Path(report.bundle) / CUSTODY_NAME).read_text(encoding="utf-8").splitlines()
    fields = json.loads(line)
    assert (fields["by"], fields["note"], fields["what"]) == ("A. Keeper\\n", "case \\x1b[31m4711", "made")
    assert fields["manifest_sha256"] == report.manifest_sha256 == hash_plain(Path(report.bundle) / MANIFEST_NAME).sha256


def test_the_command_makes_one_and_verifies_it(
    drive: Path, tmp_path: Path, key: VehicleKey, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "signing.pub").write_bytes(next(drive.glob("key-*")).read_bytes())
    out = str(tmp_path / "out")
    options = ["--incident", "0", "--without-people", "--by", "A. Keeper", "--zip", "--out", out, "--json"]
    assert main(["bundle", str(drive), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bundle"].endswith("drive-incident-0-without-people.evidence.zip")
    assert Path(report["bundle"]).stat().st_size == report["size_bytes"]
    public = str(tmp_path / "signing.pub")
    assert main(["verify", report["bundle"], "--key", public]) == 0
    said = capsys.readouterr().out
    assert "a part of a drive, and every message in it is as the vehicle sealed it" in said
    assert f"x {PICTURES}" in said
    assert "made by A. Keeper" in said
    assert main(["verify", report["bundle"], "--key", public, "--head", f"3:{'0' * 64}", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["kind"] == "head-unknown"
    assert main(["bundle", str(drive), "--segment", "2", "--out", out]) == 0
    assert "segment    2: whole" in capsys.readouterr().out
