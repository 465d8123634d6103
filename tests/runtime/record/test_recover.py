"""Drives that were killed, taken up: by hand, and by the next run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from review.verify.drive import verify_drive
from runtime.commands.recover import EXAMPLE
from runtime.contracts.config import Config, RecordConfig, dump_config
from runtime.contracts.messages import Closing
from runtime.contracts.topics import CLOSING, EVENT, LEDGER
from runtime.record.drive import open_drive
from runtime.record.journal import SUFFIX, survey
from runtime.record.leftover import _MARK, leftovers
from runtime.record.lock import shared
from runtime.record.recover import Recovery, recover
from runtime.record.segment import journal_path
from runtime.seal.envelope import public_key_pem
from runtime.seal.keys import default_key_dir, ensure_key, known_keys, new_key, rotate_key
from runtime.seal.statement import key_name
from runtime.supervise.plan import CONFIG_NAME
from tests.runtime.record.recording import (
    PATIENCE_S,
    Driver,
    RecorderProcess,
    a_plan,
    contents,
    header_payload,
    stored_sets,
)
from tests.runtime.record.small_disk import SmallDisk

# Recovers drive after drive, each in a child that dies at the n-th thing that it does to the disk; prints how it ended.
DYING = """
import os, sys
from pathlib import Path
from runtime.record.recover import recover
left = 0
def counted(call):
    def inner(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*arguments, **options)
    return inner
os.fsync, os.fdatasync, Path.replace, Path.unlink = map(counted, (os.fsync, os.fdatasync, Path.replace, Path.unlink))
for argument in sys.argv[1:]:
    pid = os.fork()
    if pid == 0:
        left = int(argument.rpartition("-")[2])
        recover(Path(argument))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
RECORD = RecordConfig(sync_ms=5.0, credit=8, picture_slots=8, segment_s=1.0)


def killed_drive(drive_dir: Path, frames: int = 50, record: RecordConfig = RECORD) -> int:
    """A drive whose processes were all killed, in `segment_s` < 10 once a segment is sealed, with what a run puts into
    its folder; how many sets were acknowledged.
    """
    plan = a_plan(drive_dir, record)
    key, _ = ensure_key(default_key_dir())
    (drive_dir / CONFIG_NAME).write_text(dump_config(Config(record=record)), encoding="utf-8")
    (drive_dir / key_name(key.key_id)).write_bytes(public_key_pem(key.public_key))
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        while driver.frames < frames or not (record.segment_s > 10 or (drive_dir / "segment-0000.seal.json").exists()):
            driver.frame_in_lockstep()
        acknowledged = driver.frames + 1 - driver.sender.waiting
        recorder.process.kill()
        recorder.process.wait(PATIENCE_S)
    shutil.rmtree(plan.run_dir)
    return acknowledged


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One killed drive of some segments, to be copied."""
    drive_dir = tmp_path_factory.mktemp("left") / "drive"
    killed_drive(drive_dir)
    return drive_dir


@pytest.fixture
def drive_dir(left: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(left, tmp_path / "drives" / "drive"))


def sightline(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "sightline", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout or done.stderr.splitlines()[-1])


def active_journal(drive_dir: Path) -> Path:
    return max(drive_dir.glob(f"*{SUFFIX}"))


def test_a_killed_drive_is_cut_its_end_declared_its_segments_sealed_and_its_chain_closed(tmp_path: Path) -> None:
    drive_dir = tmp_path / "drive"
    acknowledged = killed_drive(drive_dir)
    journals = len(list(drive_dir.glob(f"*{SUFFIX}")))
    with active_journal(drive_dir).open("ab") as journal:
        journal.write(b"\x05" + (500).to_bytes(8, "little") + bytes(70))  # a message that was not written to its end
    done = recover(drive_dir)
    assert (done.outcome, done.journals, done.sealed, done.why) == ("recovered", journals, True, "")
    assert done.sets == done.open_from
    assert done.sets >= acknowledged
    assert done.cut_bytes >= 79
    drive = open_drive(drive_dir)
    assert stored_sets(drive) == list(range(done.sets))
    (gap,) = drive.gaps()
    assert (gap.first, gap.last) == (done.sets, None)
    found = verify_drive(drive_dir, known_keys(default_key_dir()))
    assert (found.verdict, found.findings, found.ended, found.head) == ("intact", (), "open", done.head)
    assert len(found.recovered) == journals, "each is told: until then nobody vouched for it"
    said = {event.kind: event.message for event in (message.decode() for message in drive.messages(EVENT))}
    assert f"{done.sets} message sets were on the disk" in said["recorder.restarted"]
    assert f"{done.cut_bytes} bytes" in said["recorder.restarted"]
    assert f"at most {RECORD.link_sets} sets" in said["recorder.open-end"]
    before = contents(drive_dir)
    assert recover(drive_dir).outcome == "whole"
    assert contents(drive_dir) == before


def test_a_recovery_that_is_killed_anywhere_is_finished_by_the_next(drive_dir: Path) -> None:
    whole = shutil.copytree(drive_dir, drive_dir.parent / "whole")
    expected = recover(Path(whole))
    copies = [Path(shutil.copytree(drive_dir, drive_dir.parent / f"killed-{step}")) for step in range(0, 30, 2)]
    command = [sys.executable, "-c", DYING, *map(str, copies)]
    codes = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    assert codes.count("9") >= 8
    for copy in copies:
        assert recover(copy).outcome in ("recovered", "whole")
        drive = open_drive(copy)
        assert stored_sets(drive) == list(range(expected.sets))
        assert [gap.first for gap in drive.gaps()] == [expected.sets]
        assert verify_drive(copy, known_keys(default_key_dir())).findings == ()


@pytest.mark.parametrize("sealed", [True, False])
def test_a_drive_that_is_taken_up_after_the_key_was_changed_verifies_with_the_old_one(
    drive_dir: Path, tmp_path: Path, *, sealed: bool
) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(default_key_dir(), keys)
    old, _ = rotate_key(keys)
    if not sealed:
        for path in (*drive_dir.glob("*.seal.json"), *drive_dir.glob("*.leaves")):
            path.unlink()
    done = recover(drive_dir, keys)
    assert (done.outcome, done.sealed) == ("recovered", True)
    found = verify_drive(drive_dir, [old.public_key])
    assert (found.verdict, found.findings, len(found.key_ids)) == ("intact", (), 2 if sealed else 1)


def test_on_a_full_disk_nothing_is_lost_it_is_told_why_and_the_next_recovery_ends_it(
    drive_dir: Path, small_disk: SmallDisk
) -> None:
    drive = Path(shutil.copytree(drive_dir, small_disk.path / "drive"))
    before = stored_sets(open_drive(drive))
    small_disk.fill()
    done = recover(drive)
    assert (done.outcome, done.sealed) == ("recovered", False)
    assert "no room" in done.why
    assert stored_sets(open_drive(drive)) == before
    small_disk.free()
    done = recover(drive)
    assert (done.outcome, done.sealed, done.why) == ("recovered", True, "")
    assert stored_sets(open_drive(drive)) == before
    found = verify_drive(drive, known_keys(default_key_dir()))
    assert (found.verdict, found.findings, found.ended) == ("intact", (), "open")


def test_a_drive_that_had_ended_is_sealed_without_an_open_end(tmp_path: Path) -> None:
    drive_dir = tmp_path / "drive"
    plan = a_plan(drive_dir, RECORD)
    (drive_dir / CONFIG_NAME).write_text(dump_config(Config(record=RECORD)), encoding="utf-8")
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        driver.frame_in_lockstep()
        closing = CLOSING.encode(Closing("drive", 1, 1, 0, 0, "the source ended"))
        payload = msgspec.structs.replace(header_payload(), topic=CLOSING.name, data=closing)
        driver.sender.hand_over((payload,), t_source_ns=0)
        while driver.sender.waiting:
            driver.sender.wait_for_credit(0.01)
        recorder.process.kill()
        recorder.process.wait(PATIENCE_S)
    shutil.rmtree(plan.run_dir)
    cut = Path(shutil.copytree(drive_dir, tmp_path / "cut"))
    done = recover(drive_dir)
    assert (done.outcome, done.open_from, done.sealed) == ("recovered", None, True)
    drive = open_drive(drive_dir)
    assert drive.closing() is not None
    assert list(drive.gaps()) == []
    assert [m.decode().kind for m in drive.messages(EVENT)] == ["recorder.restarted"]
    assert verify_drive(drive_dir, known_keys(default_key_dir())).ended == "in order"
    # Where the closing's own mark is cut off, it counts for nothing: it was never acknowledged.
    path = active_journal(cut)
    os.truncate(path, survey(path).whole_bytes - 1)
    done = recover(cut)
    assert done.open_from == 2
    assert open_drive(cut).closing() is None


@pytest.mark.parametrize("keys", ["there", "gone"])
def test_a_drive_that_died_before_its_first_set_was_whole_holds_nothing_and_wants_no_seal(
    drive_dir: Path, tmp_path: Path, keys: str
) -> None:
    journal = active_journal(drive_dir).read_bytes()
    for path in drive_dir.glob("*segment-*"):
        path.unlink()
    for cut in (journal[:5], journal[: journal.index(b'"frame_sequence"')], b""):
        journal_path(drive_dir, 0).write_bytes(cut)
        done = recover(drive_dir, None if keys == "there" else tmp_path)
        assert (done.outcome, done.journals, done.why) == ("empty", 1, "")
        assert str(done) == f"{drive_dir}: nothing was recorded"
        assert not journal_path(drive_dir, 0).exists()
    journal_path(drive_dir, 0).write_bytes(b"")
    assert sightline("recover", drive_dir)[0] == 0


@pytest.mark.parametrize(
    ("name", "place"),
    [("segment-0000.mcap", 400), ("segment-0000.seal.json", 30), (CONFIG_NAME, 0), ("unsealed", 4000)],
)
def test_a_drive_that_is_damaged_is_reported_and_left_alone(drive_dir: Path, name: str, place: int) -> None:
    if name == "unsealed":
        name = "segment-0000.mcap"
        for seal in drive_dir.glob("*.seal.json"):
            seal.unlink()
    data = bytearray((drive_dir / name).read_bytes())
    data[place] ^= 0xFF
    (drive_dir / name).write_bytes(data)
    before = contents(drive_dir)
    done = recover(drive_dir)
    assert done.outcome == "damaged"
    assert name in done.why
    assert contents(drive_dir) == before


def test_a_journal_with_a_hole_that_no_crash_makes_is_left_alone_and_a_torn_end_is_not(tmp_path: Path) -> None:
    drive_dir = tmp_path / "drive"
    killed_drive(drive_dir, frames=60, record=msgspec.structs.replace(RECORD, segment_s=60.0))
    path = journal_path(drive_dir, 0)
    data = path.read_bytes()
    marks = [found.end() for found in _MARK.finditer(data)]
    for behind, outcome in ((RECORD.credit + 1, "damaged"), (RECORD.credit, "recovered")):
        hole = marks[-behind - 1]
        path.write_bytes(data[:hole] + bytes(20) + data[hole + 20 :])
        before = contents(drive_dir)
        done = recover(drive_dir)
        assert done.outcome == outcome, done
        if outcome == "damaged":
            assert f"byte {hole}" in done.why
            assert contents(drive_dir) == before


def test_a_drive_that_is_being_written_is_left_alone(drive_dir: Path) -> None:
    before = contents(drive_dir)
    with shared(drive_dir):
        assert recover(drive_dir).outcome == "in-use"
    assert contents(drive_dir) == before


def test_without_the_key_nothing_is_signed_and_with_it_later_everything_is(drive_dir: Path, tmp_path: Path) -> None:
    done = recover(drive_dir, tmp_path / "no keys")
    assert (done.outcome, done.sealed) == ("recovered", False)
    assert "no signing key" in done.why
    again = recover(drive_dir, tmp_path / "no keys")
    assert (again.sealed, again.open_from) == (False, None)
    done = recover(drive_dir)
    assert (done.outcome, done.sealed) == ("recovered", True)
    assert len(list(open_drive(drive_dir).gaps())) == 1
    found = verify_drive(drive_dir, known_keys(default_key_dir()))
    assert (found.verdict, found.findings) == ("intact", ())


def test_the_command_takes_up_all_drives_of_a_folder_that_this_vehicle_began(drive_dir: Path) -> None:
    assert "recover" in EXAMPLE
    folder = drive_dir.parent
    other = Path(shutil.copytree(drive_dir, folder / "other"))
    for key in other.glob("key-*.pub"):
        key.rename(other / "key-0123456789abcdef.pub")
    before = contents(other)
    code, report = sightline("recover", folder)
    assert code == 0
    (one,) = msgspec.convert(report["drives"], list[Recovery])
    assert (Path(one.drive).name, one.outcome, one.sealed) == ("drive", "recovered", True)
    assert contents(other) == before
    assert sightline("recover", folder) == (0, {"drives": []})
    code, report = sightline("recover", folder / "absent")
    assert code == 2


def test_a_damaged_retired_key_does_not_make_another_vehicles_drive_this_ones(drive_dir: Path, tmp_path: Path) -> None:
    folder, key_dir = drive_dir.parent, tmp_path / "keys"
    new_key(key_dir)
    [shown] = drive_dir.glob("key-*.pub")
    (key_dir / "retired-fedcba9876543210.pub").write_text("")
    assert list(leftovers(folder, key_dir)) == []
    (key_dir / shown.name.replace("key-", "retired-")).write_text("")
    assert list(leftovers(folder, key_dir)) == [drive_dir]


def test_a_run_takes_up_what_lies_beside_its_own_drive_and_says_what_it_found(drive_dir: Path) -> None:
    source = "proving-ground://lane?seed=11&duration_s=1&width=160&height=90"
    code, summary = sightline("run", "--source", source, "--out", drive_dir.parent)
    assert code == 0
    (one,) = msgspec.convert(summary["recovered"], list[Recovery])
    assert (Path(one.drive).name, one.outcome, one.sealed) == ("drive", "recovered", True)
    assert open_drive(Path(summary["drive"])).ledger().frames == summary["frames"] == 20
    assert verify_drive(drive_dir, known_keys(default_key_dir())).findings == ()
    code, summary = sightline("run", "--source", source, "--out", drive_dir.parent)
    assert (code, summary["recovered"]) == (0, [])


def test_what_recovery_reads_is_what_was_recorded(drive_dir: Path) -> None:
    ledger = [message.data for message in open_drive(drive_dir).messages(LEDGER)]
    done = recover(drive_dir)
    kept = [message.data for message in open_drive(drive_dir).messages(LEDGER)]
    assert kept == ledger[: len(kept)]
    assert len(kept) == done.sets - 1


def test_a_key_of_another_folder_may_be_named(drive_dir: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path / "other")
    for seal in (*drive_dir.glob("*.seal.json"), *drive_dir.glob("*.leaves")):
        seal.unlink()
    assert recover(drive_dir, tmp_path / "other").sealed
    assert verify_drive(drive_dir, [key.public_key]).verdict == "intact"
    assert not journal_path(drive_dir, 0).exists()
