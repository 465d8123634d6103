"""A bundle is read as a drive is: accounted for, drawn, decided again as far as it holds what that takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from review.incidents import incidents
from review.info import info
from review.replay import replay
from review.verify.manifest import DRIVE_FOLDER, MANIFEST_NAME
from runtime.commands.main import main
from runtime.contracts.errors import ExitCode, RecordError, SightlineError
from runtime.contracts.topics import ATTRIBUTION, DECISION, LEDGER, PICTURE, STORED
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey
from tests.models import tiny_policy
from tests.review.bundle.conftest import FRAMES
from tests.review.bundle.forging import Forger
from tests.review.bundle.test_forged import changed
from tests.review.drives import record_drive

Made = Callable[[Request], Path]
PEOPLE = Request(without_people=True)


def test_whole_segments_are_decided_again_bit_for_bit(made: Made) -> None:
    report = replay(made(Request(incident=0)))
    assert (report.verdict, report.frames, report.left_out) == ("identical", 21, 0)


def test_a_part_without_people_is_decided_again_frame_by_frame(made: Made) -> None:
    report = replay(made(PEOPLE))
    assert (report.verdict, report.frames, report.left_out) == ("identical", FRAMES - 1, 0)
    report = replay(made(PEOPLE), workers=2)
    assert (report.verdict, report.frames) == ("identical", FRAMES - 1)


def test_several_processes_pass_over_no_part_between_whole_segments(forger: Callable[[Request], Forger]) -> None:
    held = forger(PEOPLE)
    shutil.copyfile(held.original / "segment-0001.mcap", held.drive / "segment-0001.mcap")
    assert replay(held.bundle, workers=2).frames == FRAMES - 1


def test_a_cut_begins_in_mid_segment_on_the_memory_that_its_record_names(made: Made) -> None:
    report = replay(made(Request(from_s=0.5, to_s=1.5, without_people=True)))
    assert (report.verdict, report.frames, report.left_out) == ("identical", 21, 0)


def test_a_decision_that_does_not_follow_is_found_in_a_part_too(forger: Callable[[Request], Forger]) -> None:
    held = forger(PEOPLE)
    decisions = [frame.raw(DECISION) for frame in open_drive(held.drive).frames(DECISION, segment=1)]
    assert decisions[7] is not None
    held.rewrite(1, changed(DECISION.name, payload=decisions[7]))
    assert replay(held.bundle).verdict == "diverged"


@pytest.mark.parametrize(
    ("request_", "verdict", "frames", "left_out"),
    [
        (Request(without_topics=("/model/input",)), "nothing to replay", 0, FRAMES - 1),
        (Request(without_topics=(LEDGER.name,)), "nothing to replay", 0, FRAMES - 1),
        (Request(topics=(PICTURE.name.format(camera="front"),)), "nothing to replay", 0, 0),
        (Request(without_topics=(ATTRIBUTION.name,)), "identical", FRAMES - 1, 0),
    ],
)
def test_what_was_left_out_is_no_divergence(
    made: Made, request_: Request, verdict: str, frames: int, left_out: int
) -> None:
    report = replay(made(request_))
    assert (report.verdict, report.frames, report.left_out) == (verdict, frames, left_out)


def test_without_its_model_nothing_can_be_decided_again(made: Made) -> None:
    with pytest.raises(SightlineError, match=r"model\.onnx"):
        replay(made(Request(without_model=True)))


def test_a_bundle_lacks_nothing_that_it_leaves_out_and_a_drive_lacks_it(made: Made, tmp_path: Path) -> None:
    bundle = made(Request(from_s=1.2, without_people=True))
    assert list(lacks(open_drive(bundle / DRIVE_FOLDER))) == []
    alone = Path(shutil.copytree(bundle / DRIVE_FOLDER, tmp_path / "drive"))
    assert [lack.reason for lack in lacks(open_drive(alone))] == [
        "sets 0 to 21 of the link are not there, and no gap declares their loss"
    ]


def test_it_is_accounted_for_as_what_it_is(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = made(Request(from_s=0.5, to_s=1.5, without_model=True))
    found = info(bundle)
    assert (found.in_bundle, found.totals_agree, found.lacks, found.not_as_it_drove) == (True, None, (), ())
    assert [(one.part, one.first_frame, one.last_frame) for one in found.segments] == [(True, 10, 20), (True, 21, 30)]
    assert {topic.topic: topic.count for topic in found.topics}[DECISION.name] == 21
    assert "not verified here" in found.sealed
    assert main(["info", str(bundle)]) == 0
    said = capsys.readouterr().out
    assert "a bundle of a part" in said
    assert "it is not in what was handed over" in said
    assert main(["replay", str(made(Request(without_topics=("/model/input",))))]) == 2
    assert f"left out    {FRAMES - 1} frames cannot be decided again" in capsys.readouterr().out


def test_a_bundle_of_what_the_vehicle_had_deleted_says_so_by_any_of_its_paths(
    drive: Path, key: VehicleKey, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(drive, tmp_path / "drives" / "drive"))
    DriveSealer(copy, key).bury(0, "room was short", freed_bytes=1, gone={})
    for name in ("segment-0000.mcap", "segment-0000.leaves"):
        (copy / name).unlink()
    bundle = Path(make_bundle(copy, Request(segments=(0,)), tmp_path / "evidence").bundle)
    for path in (bundle, bundle.parent, bundle / DRIVE_FOLDER):
        for look in (info, replay, incidents):
            with pytest.raises(RecordError, match=r"holds nothing more: segment 0 .* room was short"):
                look(path)


def test_a_list_of_incidents_that_was_left_out_is_not_told_as_none(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(made(Request(segments=(1,), without_incidents=True)))
    assert (info(Path(bundle)).incidents, incidents(Path(bundle)).incidents) == (None, ())
    for verb in ("info", "incidents"):
        assert main([verb, bundle]) == ExitCode.YES
        said = capsys.readouterr().out
        assert "incidents  not known" in said
        assert "incidents.json was not handed over" in said
    assert main(["incidents", bundle, "--expect-none"]) == ExitCode.COULD_NOT
    assert main(["overlay", bundle, "--incident", "0"]) == ExitCode.COULD_NOT
    assert "no incident 0; there are: not known (incidents.json was not handed over)" in capsys.readouterr().err


def test_of_a_drive_without_incidents_a_bundle_says_that_there_are_none(tmp_path: Path, key: VehicleKey) -> None:
    calm = record_drive(tmp_path / "calm", tiny_policy(), 3, key=key)
    bundle = Path(make_bundle(calm, Request(without_incidents=True), tmp_path / "made").bundle)
    assert (info(bundle).incidents, info(bundle).incidents_note) == (0, "")
    assert main(["incidents", str(bundle), "--expect-none"]) == ExitCode.YES


def test_a_drive_that_lies_beside_a_manifest_by_chance_is_no_bundle(drive: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(drive, tmp_path / "drives" / "mine"))
    (tmp_path / "drives" / MANIFEST_NAME).write_text("{}", encoding="utf-8")
    assert not open_drive(copy).in_bundle


def test_pictures_of_a_part_are_drawn(made: Made, tmp_path: Path) -> None:
    bundle = made(Request(from_s=1.0, to_s=1.2))
    assert main(["overlay", str(bundle), "--out", str(tmp_path / "pictures")]) == 0
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5


def test_the_whole_segment_counts_where_a_part_lies_beside_it(made: Made, drive: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made(PEOPLE) / DRIVE_FOLDER, tmp_path / "drive"))
    shutil.copyfile(drive / "segment-0001.mcap", copy / "segment-0001.mcap")
    assert [(file.index, file.part) for file in open_drive(copy).segments] == [(0, True), (1, False), (2, True)]
    held = {message.topic for message in open_drive(copy).messages(segment=1)}
    assert {STORED.name, PICTURE.name.format(camera="front")} <= held
