"""Replay makes every recorded decision again, bit for bit, and names the first that it cannot."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from review.replay import ReplayReport, replay
from runtime.commands.main import main
from runtime.contracts.config import Config, EngineConfig
from runtime.contracts.errors import ExitCode, RecordError
from runtime.contracts.messages import Attribution, Decision, Disposition, TensorSet, VehicleSample
from runtime.contracts.model import attach_manifest, manifest_of
from runtime.contracts.topics import ATTRIBUTION, DECISION, LEDGER, MODEL_INPUT, MODEL_OUTPUT, VEHICLE, Topic
from runtime.contracts.vehicle import Control
from runtime.decision.tensors import pack, unpack
from runtime.record.segment import read_note, sealed_path
from runtime.supervise.plan import CONFIG_NAME, MODEL_NAME
from tests import models
from tests.review.drives import Change, record_drive, rewrite, unseal


def flipped(row: Topic, frame: int, name: str, bit: int = 0) -> Change:
    """One bit of one tensor of one frame changed in an otherwise valid record."""

    def change(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is not row or sequence != frame or not isinstance(message, TensorSet):
            return message
        arrays = {key: array.copy() for key, array in unpack(message).items()}
        arrays[name].reshape(-1).view(np.uint8)[0] ^= 1 << bit
        return pack(arrays, message.sequence, message.t_source_ns)

    return change


@pytest.mark.parametrize("policy", [models.tiny_policy, models.recurrent_policy, models.two_camera_policy])
def test_a_drive_replays_identically_through_drops_and_late_frames(tmp_path: Path, policy: Callable[[], bytes]) -> None:
    drive = record_drive(tmp_path / "drive", policy(), 24, dropped={5, 6}, late={10}, segment_s=1.0)
    report = replay(drive)
    assert (report.frames, report.identical, report.verdict) == (22, 22, "identical")
    assert (report.max_abs_diff, report.first_difference, report.fingerprint_matches) == (0.0, None, True)
    assert report.realtime_factor > 0.0


def test_several_processes_give_the_same_answer_as_one(tmp_path: Path) -> None:
    drive = record_drive(
        tmp_path / "drive",
        models.recurrent_policy(),
        60,
        dropped={31},
        late={14},
        segment_s=1.0,
        change=flipped(MODEL_OUTPUT, 44, "steering"),
    )
    alone, together = replay(drive, workers=1), replay(drive, workers=2)
    assert (alone.frames, alone.identical, alone.diverged) == (59, 58, 1)
    assert timeless(together) == timeless(alone)


def without_note(drive: Path, index: int) -> None:
    """A segment as another tool writes it."""
    rewrite(sealed_path(drive, index), lambda topic, frame, data: data)


def noted(first: int, last: int) -> Callable[[Path, int], None]:
    """A segment rewritten with a note that names other frames than it holds."""

    def lie(drive: Path, index: int) -> None:
        path = sealed_path(drive, index)
        note = msgspec.structs.replace(read_note(path), first_frame=first, last_frame=last)
        rewrite(path, lambda topic, frame, data: data, note=note)

    return lie


def gone(drive: Path, index: int) -> None:
    """A segment taken away."""
    sealed_path(drive, index).unlink()


DISORDER: dict[str, dict[int, Callable[[Path, int], None]]] = {
    "a journal first": {0: unseal},
    "a journal between sealed segments": {2: unseal},
    "a journal last": {4: unseal},
    "journals only but one": dict.fromkeys((0, 1, 3, 4), unseal),
    "one rewritten by another tool": {2: without_note},
    "one that is gone": {1: gone},
    "a note of no frames": {2: noted(-1, -1)},
    "a note of another segment's frames": {2: noted(0, 19)},
    "a note of frames that end before they begin": {2: noted(59, 40)},
    "one of everything": {0: unseal, 1: without_note, 2: unseal, 3: noted(0, 500)},
}
"""What is done to which segment."""


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("altered") / "drive"
    change = flipped(MODEL_OUTPUT, 50, "steering")
    return record_drive(folder, models.tiny_policy(), 100, segment_s=1.0, change=change)


@pytest.mark.parametrize("disorder", DISORDER)
def test_whatever_the_segments_are_several_processes_pass_over_no_frame(
    altered: Path, tmp_path: Path, disorder: str
) -> None:
    drive = Path(shutil.copytree(altered, tmp_path / "drive"))
    for index, change in DISORDER[disorder].items():
        change(drive, index)
    alone, together = replay(drive, workers=1), replay(drive, workers=2)
    assert alone.diverged == 1
    assert timeless(together) == timeless(alone)


def timeless(report: ReplayReport) -> ReplayReport:
    return dataclasses.replace(report, wall_s=0.0, realtime_factor=0.0)


@pytest.mark.parametrize("name", ["steering", "acceleration", "attribution"])
def test_one_changed_bit_of_an_output_is_found_and_named(tmp_path: Path, name: str) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 8, change=flipped(MODEL_OUTPUT, 3, name))
    report = replay(drive)
    assert (report.verdict, report.identical, report.diverged) == ("diverged", 7, 1)
    assert report.first_difference is not None
    assert report.first_difference.frame == 3
    assert report.first_difference.field.startswith(f"output {name}[")


def test_a_changed_input_is_found(tmp_path: Path) -> None:
    report = replay(
        record_drive(tmp_path / "a", models.tiny_policy(), 6, change=flipped(MODEL_INPUT, 2, "image", bit=7))
    )
    assert (report.verdict, report.diverged) == ("diverged", 1)
    report = replay(record_drive(tmp_path / "b", models.tiny_policy(), 6, change=flipped(MODEL_INPUT, 2, "speed_mps")))
    assert report.first_difference is not None
    assert report.first_difference.field == "input speed_mps[0,0]"


def test_a_changed_word_of_a_decision_is_found_and_named(tmp_path: Path) -> None:
    def lie(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is DECISION and sequence == 4 and isinstance(message, Decision):
            return msgspec.structs.replace(message, reason="steers straight: nothing to see here")
        return message

    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), 6, change=lie))
    assert report.first_difference is not None
    assert (report.first_difference.frame, report.first_difference.field) == (4, "decision.reason")
    assert report.first_difference.recorded == "steers straight: nothing to see here"


def test_a_changed_map_and_a_changed_speed_are_found(tmp_path: Path) -> None:
    def lie(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is ATTRIBUTION and sequence == 1 and isinstance(message, Attribution):
            return msgspec.structs.replace(message, values=((0.0, *message.values[0][1:]), *message.values[1:]))
        if topic is VEHICLE and sequence == 3 and isinstance(message, VehicleSample):
            return msgspec.structs.replace(
                message, state=msgspec.structs.replace(message.state, speed_mps=None, assumed=True)
            )
        return message

    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), 6, change=lie))
    assert report.diverged == 2
    assert report.first_difference is not None
    assert report.first_difference.field == "attribution.values[0][0]"


def test_a_late_command_passed_off_as_used_breaks_the_chain(tmp_path: Path) -> None:
    def lie(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is LEDGER and sequence == 3 and isinstance(message, Disposition):
            return msgspec.structs.replace(message, disposition="decided", reason="")
        return message

    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), 6, late={3}, change=lie))
    assert report.first_difference is not None
    assert (report.diverged, report.first_difference.frame) == (1, 4)
    assert report.first_difference.field in {"state of validity", "state of envelope"}


def test_after_a_hole_in_the_record_the_next_frame_stands_alone(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.recurrent_policy(), 8, unrecorded={3, 4})
    assert (replay(drive).frames, replay(drive).verdict) == (6, "identical")


def test_what_the_record_does_not_hold_is_counted_with_its_reason_and_never_identical(tmp_path: Path) -> None:
    def forget(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct | None:
        return None if topic is MODEL_INPUT and sequence % 4 else message

    report = replay(record_drive(tmp_path / "drive", models.recurrent_policy(), 12, change=forget))
    assert (report.frames, report.identical, report.not_replayable) == (12, 3, 9)
    assert report.not_replayable_reasons == {"the record holds no model input": 9}
    assert report.verdict == "diverged"
    assert report.first_difference is not None
    assert (report.first_difference.frame, report.first_difference.field) == (1, "record")


def test_a_dropped_frame_with_an_output_was_decided(tmp_path: Path) -> None:
    def hide(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct | None:
        if sequence != 2 or topic is MODEL_OUTPUT:
            return message
        if isinstance(message, Disposition):
            return msgspec.structs.replace(message, disposition="dropped", reason="")
        return None

    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), 4, change=hide))
    assert (report.verdict, report.identical, report.not_replayable) == ("diverged", 3, 1)


@pytest.mark.parametrize(
    "topic", ["/model/output", "/model/input", "/decision", "/vehicle/state", "/ledger", "/camera/front/image"]
)
def test_a_message_that_was_taken_out_of_a_frame_is_found_and_the_frame_named(
    tmp_path: Path, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 40, segment_s=1.0)
    for segment in sorted(drive.glob("*.mcap")):
        rewrite(segment, lambda name, frame, data: None if (name, frame) == (topic, 27) else data)
    assert main(["replay", str(drive), "--json"]) == ExitCode.NO
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["verdict"], said["first_difference"]["frame"], said["lacks_left_out"]) == ("diverged", 27, 0)
    assert said["identical"] == (40 if topic == "/camera/front/image" else 39)
    assert said["lacks"] == ["frame 27 (segment-0001.mcap): 6 messages of set 28 are there, 7 were written"]
    assert main(["replay", str(drive)]) == ExitCode.NO
    assert "frame 27" in capsys.readouterr().out


def test_a_frame_that_was_taken_out_whole_is_found_and_a_declared_loss_is_none(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 12, unrecorded={3, 4, 9})
    assert (replay(drive).verdict, replay(drive).frames) == ("identical", 9)
    for segment in drive.glob("*.mcap"):
        rewrite(segment, lambda name, frame, data: None if frame == 6 else data)
    report = replay(drive)
    assert (report.verdict, report.identical, report.frames) == ("diverged", 8, 8)
    assert report.first_difference is not None
    assert report.first_difference.frame == 6


@pytest.mark.parametrize("frames", [0, 3])
def test_a_drive_without_decisions_has_nothing_to_replay(tmp_path: Path, frames: int) -> None:
    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), frames, dropped=set(range(frames))))
    assert (report.frames, report.verdict, report.realtime_factor >= 0.0) == (0, "nothing to replay", True)


def test_under_another_fingerprint_the_same_bits_are_still_identical(tmp_path: Path) -> None:
    report = replay(record_drive(tmp_path / "drive", models.tiny_policy(), 4, fingerprint_backend="elsewhere"))
    assert (report.fingerprint_matches, report.verdict) == (False, "identical")


def test_under_another_fingerprint_small_differences_are_within_tolerance_and_large_ones_not(tmp_path: Path) -> None:
    near = record_drive(
        tmp_path / "near",
        models.tiny_policy(),
        4,
        fingerprint_backend="elsewhere",
        change=flipped(MODEL_OUTPUT, 2, "steering"),
    )
    report = replay(near)
    assert (report.verdict, report.within_tolerance, report.identical) == ("within_tolerance", 1, 3)
    assert 0.0 < float(report.max_abs_diff) < 1e-4

    def far(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is not MODEL_OUTPUT or not isinstance(message, TensorSet):
            return message
        arrays = {name: array + np.float32(0.01) for name, array in unpack(message).items()}
        return pack(arrays, message.sequence, message.t_source_ns)

    report = replay(
        record_drive(tmp_path / "far", models.tiny_policy(), 4, fingerprint_backend="elsewhere", change=far)
    )
    assert (report.verdict, report.diverged) == ("diverged", 4)


@pytest.mark.parametrize("row", [MODEL_INPUT, MODEL_OUTPUT, DECISION, VEHICLE, ATTRIBUTION, LEDGER])
def test_bytes_that_are_no_message_are_a_divergence_of_their_frame(tmp_path: Path, row: Topic) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 5)
    rewrite(
        drive / "segment-0000.mcap", lambda topic, frame, data: data[:-1] if (topic, frame) == (row.name, 2) else data
    )
    report = replay(drive)
    assert (report.frames, report.identical, report.diverged, report.max_abs_diff) == (5, 4, 1, 0.0)
    assert report.first_difference is not None
    assert report.first_difference.frame == 2
    assert row.name in report.first_difference.replayed or row is ATTRIBUTION


def test_a_drive_that_another_tool_has_rewritten_replays_and_its_changed_byte_is_found(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 40, segment_s=1.0)

    def last_bit(topic: str, frame: int, data: bytes) -> bytes:
        if (topic, frame) != (MODEL_OUTPUT.name, 30):
            return data
        at = data.rindex(b"data") + 8
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    for segment in sorted(drive.glob("*.mcap")):
        rewrite(segment, lambda topic, frame, data: data)
    assert replay(drive).verdict == "identical"
    for segment in sorted(drive.glob("*.mcap")):
        rewrite(segment, last_bit)
    report = replay(drive)
    assert (report.diverged, report.first_difference and report.first_difference.frame) == (1, 30)


def test_another_model_or_configuration_in_the_folder_is_refused(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 3)
    (drive / CONFIG_NAME).write_text("vehicle: {wheelbase_m: 3.0}\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"config.yaml is not the configuration that drove"):
        replay(drive)
    drive = record_drive(tmp_path / "other", models.tiny_policy(), 3)
    (drive / MODEL_NAME).write_bytes(models.tiny_policy(seed=1))
    with pytest.raises(RecordError, match=r"model.onnx is not the model that drove"):
        replay(drive)


@pytest.mark.parametrize("changed", [{"scale": 2.0}, {"maximum": 0.9}])
def test_a_manifest_that_was_changed_after_the_drive_is_refused(changed: dict[str, float], tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 3)
    onnx = (drive / MODEL_NAME).read_bytes()
    manifest = manifest_of(onnx, "tiny")
    outputs = tuple(msgspec.structs.replace(output, **changed) for output in manifest.outputs)
    (drive / MODEL_NAME).write_bytes(attach_manifest(onnx, msgspec.structs.replace(manifest, outputs=outputs)))
    with pytest.raises(RecordError, match="but not the manifest"):
        replay(drive)


def test_the_engine_is_opened_as_it_drove(tmp_path: Path) -> None:
    config = Config(engine=EngineConfig(threads=2))
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 3, config=config)
    assert replay(drive).fingerprint_matches


def test_a_folder_with_one_drive_is_as_good_as_the_drive(tmp_path: Path) -> None:
    record_drive(tmp_path / "one", models.tiny_policy(), 2)
    assert replay(tmp_path).frames == 2
    record_drive(tmp_path / "two", models.tiny_policy(), 2)
    with pytest.raises(RecordError, match=r"holds 2 drives or bundles \(one, two\)"):
        replay(tmp_path)


def test_a_path_without_a_drive_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist"):
        replay(tmp_path / "nothing")
    with pytest.raises(RecordError, match="holds no drive"):
        replay(tmp_path)


def test_the_command_answers_with_its_exit_code_and_the_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = record_drive(tmp_path / "whole", models.tiny_policy(), 4)
    assert main(["replay", str(whole), "--json"]) == ExitCode.YES
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["frames"], said["identical"], said["verdict"]) == (4, 4, "identical")
    altered = record_drive(tmp_path / "altered", models.tiny_policy(), 4, change=flipped(MODEL_OUTPUT, 2, "steering"))
    assert main(["replay", str(altered), "--json"]) == ExitCode.NO
    assert msgspec.json.decode(capsys.readouterr().out)["first_difference"]["frame"] == 2
    assert main(["replay", str(altered)]) == ExitCode.NO
    assert "frame 2, output steering[0,0]" in capsys.readouterr().out
    empty = record_drive(tmp_path / "empty", models.tiny_policy(), 0)
    assert main(["replay", str(empty)]) == ExitCode.COULD_NOT
    assert "nothing to replay" in capsys.readouterr().out


def test_no_tolerance_covers_a_forged_speed_or_a_forged_command(tmp_path: Path) -> None:
    speed = record_drive(
        tmp_path / "speed",
        models.tiny_policy(),
        4,
        fingerprint_backend="elsewhere",
        change=flipped(MODEL_INPUT, 2, "speed_mps"),
    )
    assert replay(speed).diverged == 1

    def louder(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if topic is DECISION and sequence == 1 and isinstance(message, Decision):
            return msgspec.structs.replace(message, control=Control(0.3, -8.0))
        return message

    command = record_drive(
        tmp_path / "command", models.tiny_policy(), 4, fingerprint_backend="elsewhere", change=louder
    )
    assert replay(command).diverged == 1
