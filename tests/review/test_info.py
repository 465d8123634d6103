"""Info says what a drive holds, in figures that add up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from review.info import info
from review.verify.moment import utc
from runtime.commands.main import main
from runtime.contracts.messages import Disposition
from runtime.contracts.topics import CLOSING, EVENT, LEDGER, Topic
from runtime.record.lock import exclusive, shared
from runtime.seal.keys import new_key
from runtime.supervise.plan import CONFIG_NAME, MODEL_NAME
from tests import models
from tests.review.drives import FRAME_NS, record_drive, rewrite


def test_the_ledger_the_topics_and_the_segments_of_a_drive_are_told(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 30, dropped={4, 5}, late={9}, segment_s=1.0)
    found = info(drive)
    ledger = found.ledger
    assert (ledger.frames, ledger.decided, ledger.late, ledger.dropped) == (30, 27, 1, 2)
    assert ledger.dropped_by == {"the image is absent": 2}
    assert ledger.late_by == {"decided # ms after capture": 1}
    counts = {topic.topic: topic.count for topic in found.topics}
    assert (counts["/decision"], counts["/ledger"], counts["/drive/closing"]) == (28, 30, 1)
    assert found.duration_s == 29 * FRAME_NS / 1e9
    assert next(t.rate_hz for t in found.topics if t.topic == "/ledger") == 30 / found.duration_s
    assert len(found.segments) > 1
    assert (found.segments[0].first_frame, found.segments[-1].last_frame) == (0, 29)
    assert (found.ended, found.totals_agree, found.gaps) == ("the source ended", True, ())
    assert [event.kind for event in found.events] == ["drive.began"]


def test_totals_that_are_not_the_drives_own_are_told(tmp_path: Path) -> None:
    def lie(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct | None:
        return None if topic is LEDGER and sequence == 2 and isinstance(message, Disposition) else message

    assert info(record_drive(tmp_path / "drive", models.tiny_policy(), 5, change=lie)).totals_agree is False


def test_a_drive_that_was_cut_off_says_so(tmp_path: Path) -> None:
    def cut(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct | None:
        return None if topic is CLOSING else message

    found = info(record_drive(tmp_path / "drive", models.tiny_policy(), 5, change=cut))
    assert (found.ended, found.totals_agree) == ("", None)


def test_a_drive_that_is_being_recorded_is_not_called_broken_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct | None:
        return None if topic is CLOSING else message

    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 5, change=cut)
    assert main(["info", str(drive)]) == 0
    assert "did not end in order" in capsys.readouterr().out
    with shared(drive):  # as its recorder has it
        assert main(["info", str(drive)]) == 0
        said = capsys.readouterr().out
        assert "end        not yet: it is being recorded" in said
        assert "sealed     not yet to its end" in said
        assert info(drive).in_use


def test_a_closed_drive_that_somebody_uses_is_told_as_it_was_sealed(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 5, key=new_key(tmp_path / "keys"))
    before = info(drive)
    assert "seals by the key" in before.sealed
    with exclusive(drive):  # as who deletes from it has it
        assert (info(drive).in_use, info(drive).sealed) == (True, before.sealed)


def test_the_command_prints_a_table_and_an_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 3, dropped={1})
    assert main(["info", str(drive)]) == 0
    said = capsys.readouterr().out
    assert "3 frames = 2 decided + 0 late + 1 dropped" in said
    assert "/model/input" in said
    assert main(["info", str(tmp_path), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["ledger"]["frames"] == 3
    assert len(found["model_sha256"]) == 64
    assert found["fingerprint"]["backend"] == "onnxruntime"


def test_what_was_taken_out_and_what_was_changed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 5)
    assert (info(drive).lacks, info(drive).not_as_it_drove) == ((), ())
    for segment in drive.glob("*.mcap"):
        rewrite(segment, lambda name, frame, data: None if name == EVENT.name else data)
    (drive / MODEL_NAME).unlink()
    (drive / CONFIG_NAME).write_text("vehicle: {wheelbase_m: 3.0}\n", encoding="utf-8")
    found = info(drive)
    assert found.lacks == ("between frames (segment-0000.mcap): 0 messages of set 0 are there, 1 were written",)
    model, config = found.not_as_it_drove
    assert MODEL_NAME in model
    assert "is not the configuration that drove" in config
    assert main(["info", str(drive)]) == 0
    said = capsys.readouterr().out
    assert "missing    between frames" in said
    assert "changed    " in said


def test_times_are_utc_to_the_millisecond() -> None:
    assert utc(1_795_000_000_123_456_789) == "2026-11-18T11:06:40.123Z"
