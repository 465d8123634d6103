"""Real drives, sealed and lying in one folder, and what goes of them where room is short."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from review.verify.drive import verify_drive
from runtime.contracts.config import Config, RetentionConfig, dump_config
from runtime.contracts.errors import RecordError
from runtime.contracts.incident import Incident, IncidentIndex, Trigger
from runtime.incident.index import read_index, write_index
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.leftover import leftovers
from runtime.record.lock import shared
from runtime.record.recover import recover
from runtime.retention import listing
from runtime.retention.reserve import Reserve
from runtime.retention.sweep import OwnDrive, Sweeper, Swept
from runtime.retention.use import DiskUse
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey, load_key, new_key, rotate_key
from runtime.supervise.plan import CONFIG_NAME
from tests.models import tiny_policy
from tests.review import drives
from tests.review.drives import record_drive
from tests.runtime.record.small_disk import SmallDisk

MIB = 1024 * 1024
# Makes room in one vehicle's folder after the other, in a child that dies at the n-th thing that it does to the disk.
DYING = """
import os, sys
from pathlib import Path
from tests.runtime.retention.test_sweep import sweep
left = 0
def counted(call):
    def inner(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*arguments, **options)
    return inner
os.fsync, Path.replace, Path.unlink = map(counted, (os.fsync, Path.replace, Path.unlink))
for argument in sys.argv[1:]:
    pid = os.fork()
    if pid == 0:
        left = int(argument.rpartition("-")[2])
        sweep(Path(argument))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
SEGMENTS = 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vehicle's key, and one drive of four segments that it signed."""
    folder = tmp_path_factory.mktemp("vehicle")
    key = new_key(folder / "keys")
    record_drive(folder / "drives" / "older", tiny_policy(), 80, segment_s=1.0, key=key)
    return folder


@pytest.fixture
def vehicle(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "vehicle"))


@pytest.fixture
def root(vehicle: Path) -> Path:
    return vehicle / "drives"


@pytest.fixture
def key(vehicle: Path) -> VehicleKey:
    return load_key(vehicle / "keys")


def a_sweeper(vehicle: Path, *, missing_bytes: int) -> Sweeper:
    """One whose quota leaves so much too little."""
    sweeper = Sweeper(vehicle / "drives", RetentionConfig(min_free_mib=16), vehicle / "keys")
    sweeper._quota_bytes = (
        DiskUse(vehicle / "drives").used_bytes() + 16 * MIB - missing_bytes
    )  # finer than the configuration's
    return sweeper


def sweep(vehicle: Path, own: OwnDrive | None = None, *, missing_bytes: int = 10 * MIB) -> Swept:
    """Delete what may go until so much more is free."""
    folder = vehicle.parent / "own"
    folder.mkdir(exist_ok=True)
    own = own or OwnDrive(folder, DriveSealer(folder, load_key(vehicle / "keys")), ())
    return a_sweeper(vehicle, missing_bytes=missing_bytes).sweep(own, Reserve(folder))


def left(drive: Path) -> list[int]:
    """The segments that are there."""
    return [int(path.name[8:12]) for path in sorted(drive.glob("segment-*.mcap"))]


def pin(drive: Path, *segments: int) -> None:
    """An incident before a drive that is not closed yet; it is then closed."""
    (drive / "closing-0004.seal.json").unlink()
    trigger = Trigger("mark", -2, 0, "here")
    write_index(drive, IncidentIndex(drive.name, (Incident(0, -3, -1, (trigger,), segments, open=False),)))


def test_the_oldest_segments_go_until_there_is_room_and_the_drive_still_verifies(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    drive = root / "older"
    size = sum(path.stat().st_blocks * 512 for path in drive.glob("segment-0000.*") if path.suffix != ".json")
    swept = sweep(vehicle, missing_bytes=size // 2)
    assert [one.index for one in swept.deleted] == [0]
    assert not swept.exhausted
    assert left(drive) == [1, 2, 3]
    assert not (drive / "segment-0000.leaves").exists()
    found = verify_drive(drive, [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert [one.segment for one in found.deleted] == [0]
    assert [head.number for head in swept.heads] == [5]
    assert list(lacks(open_drive(drive))) == []


def test_where_there_is_room_nothing_is_touched(vehicle: Path, root: Path) -> None:
    swept = sweep(vehicle, missing_bytes=0)
    assert (swept.deleted, swept.exhausted) == ((), False)
    assert left(root / "older") == [0, 1, 2, 3]


def test_with_the_last_segment_goes_the_model_and_what_stays_proves_what_there_was(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    swept = sweep(vehicle)
    assert swept.exhausted
    drive = root / "older"
    assert left(drive) == []
    assert not (drive / "model.onnx").exists()
    assert (drive / "config.yaml").exists()
    found = verify_drive(drive, [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert len(found.deleted) == SEGMENTS
    with pytest.raises(RecordError, match=r"segments 0 to 3 .* were deleted"):
        open_drive(drive)


def test_what_an_incident_pins_stays_whatever_the_want_of_room(vehicle: Path, root: Path, key: VehicleKey) -> None:
    drive = root / "older"
    pin(drive, 1, 3)
    DriveSealer(drive, key).close()
    swept = sweep(vehicle)
    assert swept.exhausted
    assert left(drive) == [1, 3]
    assert (drive / "model.onnx").exists()
    assert verify_drive(drive, [key.public_key]).verdict == "intact"
    assert list(lacks(open_drive(drive))) == []


def test_where_the_list_of_incidents_cannot_be_read_everything_is_pinned(vehicle: Path, root: Path) -> None:
    (root / "older" / "incidents.json").write_text("[")
    assert sweep(vehicle).deleted == ()
    assert left(root / "older") == [0, 1, 2, 3]


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_a_list_of_incidents_that_is_not_as_it_was_sealed_frees_nothing(
    vehicle: Path, root: Path, key: VehicleKey, how: str
) -> None:
    """Else whoever can write there could have the vehicle delete the evidence, and sign for it."""
    drive = root / "older"
    pin(drive, 1)
    DriveSealer(drive, key).close()
    if how == "emptied":
        write_index(drive, IncidentIndex(drive.name, ()))
    else:
        (drive / "incidents.json").unlink()
    assert sweep(vehicle).deleted == ()
    assert left(drive) == [0, 1, 2, 3]


def test_a_deletion_that_is_killed_anywhere_leaves_a_drive_that_verifies_once_it_was_taken_up(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    (root / "older" / CONFIG_NAME).write_text(dump_config(Config()), encoding="utf-8")
    pin(root / "older", 2)
    for path in (*root.glob("older/*.seal.json"), *root.glob("older/*.leaves")):  # the first covers the configuration
        path.unlink()
    recover(root / "older", vehicle / "keys")
    copies = [Path(shutil.copytree(vehicle, vehicle.parent / f"killed-{step}")) for step in range(24)]
    command = [sys.executable, "-c", DYING, *map(str, copies)]
    codes = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    assert codes.count("9") >= 12
    half_written = 0
    for copy in copies:
        drive = copy / "drives" / "older"
        half_written += len(list(drive.glob("*.tmp")))
        if list(drive.glob("*.tmp")):
            assert list(leftovers(drive.parent, copy / "keys")) == [drive]
            [told] = verify_drive(drive, [key.public_key]).findings
            assert (told.kind, "sightline recover" in told.text) == ("file-foreign", True)
        assert recover(drive, copy / "keys").outcome == "whole"
        assert verify_drive(drive, [key.public_key]).findings == ()
        assert 2 in left(drive)
        sweep(copy)
        assert left(drive) == [2]
        assert verify_drive(drive, [key.public_key]).findings == ()
    assert half_written


def test_a_drive_that_somebody_has_is_left_alone_and_so_is_one_that_did_not_end(vehicle: Path, root: Path) -> None:
    with shared(root / "older"):
        swept = sweep(vehicle)
    assert (swept.deleted, swept.exhausted, swept.problems) == ((), True, ())
    (root / "older" / "closing-0004.seal.json").unlink()
    assert sweep(vehicle).deleted == ()
    assert left(root / "older") == [0, 1, 2, 3]


def test_nothing_of_another_vehicles_drive_goes(vehicle: Path, root: Path, tmp_path: Path) -> None:
    shutil.rmtree(vehicle / "keys")
    new_key(vehicle / "keys")
    assert sweep(vehicle).deleted == ()
    assert left(root / "older") == [0, 1, 2, 3]


def test_without_a_key_nothing_goes_since_nobody_could_sign_for_it(vehicle: Path, root: Path) -> None:
    shutil.rmtree(vehicle / "keys")
    swept = a_sweeper(vehicle, missing_bytes=1).sweep(None, Reserve(vehicle))
    assert (swept.deleted, swept.exhausted) == ((), True)
    assert left(root / "older") == [0, 1, 2, 3]


def test_a_retired_key_that_cannot_be_read_is_told_and_keeps_only_what_it_signed(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    _, today = rotate_key(vehicle / "keys")
    record_drive(root / "newer", tiny_policy(), 25, segment_s=1.0, key=today)
    retired = vehicle / "keys" / f"retired-{key.key_id[:16]}.pub"
    copy = retired.read_bytes()
    assert copy == (root / "older" / f"key-{key.key_id[:16]}.pub").read_bytes(), "where the problem sends the reader"
    retired.write_bytes(b"")
    swept = sweep(vehicle)
    assert [one.drive.name for one in swept.deleted] == ["newer"] * 2
    [problem] = swept.problems
    assert re.search(f"retired-{key.key_id[:16]}.pub is damaged: .* key-{key.key_id[:16]}.pub: put it back", problem)
    retired.write_bytes(copy)
    assert [one.drive.name for one in sweep(vehicle).deleted] == ["older"] * SEGMENTS


def test_a_run_that_began_before_the_key_was_changed_deletes_what_the_new_one_signed(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    folder = vehicle.parent / "own"
    folder.mkdir()
    sweeper = a_sweeper(vehicle, missing_bytes=0)
    _, today = rotate_key(vehicle / "keys")
    newer = record_drive(root / "newer", tiny_policy(), 25, segment_s=1.0, key=today)
    (vehicle / "keys" / "retired-0.pub").write_bytes(b"")
    swept = sweeper.sweep(OwnDrive(folder, DriveSealer(folder, key), ()), Reserve(folder))
    assert len([one for one in swept.deleted if one.drive == newer]) > 0
    found = verify_drive(newer, [today.public_key])
    assert (found.verdict, found.findings, found.key_ids) == ("intact", (), (today.key_id,))
    assert len(swept.problems) == 1
    sweeper._idle_looks = 0
    assert sweeper.sweep(OwnDrive(folder, DriveSealer(folder, key), ()), Reserve(folder)).problems == ()


@pytest.mark.parametrize(("anew", "goes"), [(True, 0), (False, SEGMENTS)])
def test_a_key_that_did_not_follow_the_one_before_signs_for_nothing_of_it(
    vehicle: Path, root: Path, key: VehicleKey, anew: bool, goes: int
) -> None:
    """Nobody could trust that tombstone. Where the keys are only away, that which the run began with still signs."""
    folder = vehicle.parent / "own"
    folder.mkdir()
    sweeper = a_sweeper(vehicle, missing_bytes=10 * MIB)
    shutil.rmtree(vehicle / "keys")
    if anew:
        new_key(vehicle / "keys")
    swept = sweeper.sweep(OwnDrive(folder, DriveSealer(folder, key), ()), Reserve(folder))
    assert (len(swept.deleted), swept.problems) == (goes, ())
    assert verify_drive(root / "older", [key.public_key]).verdict == "intact"


def test_the_drive_that_is_written_is_ours_whatever_became_of_the_keys(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    own = root / "older"
    (own / "closing-0004.seal.json").unlink()
    written = OwnDrive(own, DriveSealer(own, key), ())
    shutil.rmtree(vehicle / "keys")
    new_key(vehicle / "keys")
    sweep(vehicle, written)
    assert left(own) == [3]


def test_a_drive_sealed_by_the_key_before_is_still_proven_by_that_one(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    rotate_key(vehicle / "keys")
    assert len(sweep(vehicle, missing_bytes=1).deleted) == 1
    found = verify_drive(root / "older", [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert len(found.key_ids) == 2


def test_of_the_drive_that_is_written_the_newest_segment_and_the_pinned_ones_stay(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    own = root / "older"
    (own / "closing-0004.seal.json").unlink()
    sealer = DriveSealer(own, key)
    with shared(own):
        swept = sweep(vehicle, OwnDrive(own, sealer, {1}))
    assert swept.exhausted
    assert left(own) == [1, 3]
    assert (own / "model.onnx").exists()
    sealer.close()
    assert verify_drive(own, [key.public_key]).verdict == "intact"


def test_a_segment_goes_as_soon_as_the_next_one_lets_it(
    vehicle: Path, root: Path, key: VehicleKey, tmp_path: Path
) -> None:
    own = root / "older"
    for path in (own / "closing-0004.seal.json", own / "segment-0003.seal.json", own / "segment-0003.leaves"):
        path.unlink()
    not_yet = (own / "segment-0003.mcap").rename(tmp_path / "segment-0003.mcap")
    written = OwnDrive(own, DriveSealer(own, key), ())
    sweeper = a_sweeper(vehicle, missing_bytes=10 * MIB)
    assert sweeper.sweep(written, Reserve(own)).exhausted
    assert left(own) == [2]
    not_yet.rename(own / "segment-0003.mcap")
    written.sealer.seal_segment(3, recovered=False)
    assert [one.index for one in sweeper.sweep(written, Reserve(own)).deleted] == [2]
    assert left(own) == [3]


def test_a_deletion_that_was_broken_off_after_its_tombstone_is_ended(
    vehicle: Path, root: Path, key: VehicleKey
) -> None:
    drive = root / "older"
    DriveSealer(drive, key).bury(0, "room was short", freed_bytes=1, gone={})
    DriveSealer(drive, key).bury(1, "room was short", freed_bytes=1, gone={})
    (drive / "segment-0001.mcap").unlink()
    swept = sweep(vehicle, missing_bytes=1)
    assert [one.index for one in swept.deleted] == [0]
    assert swept.heads == (), "both stood already"
    assert not list(drive.glob("segment-000[01].leaves"))
    assert verify_drive(drive, [key.public_key]).verdict == "intact"


def test_older_drives_go_before_newer_ones_whatever_they_are_called(
    vehicle: Path, root: Path, key: VehicleKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drives, "UTC_NS", drives.UTC_NS + 10**15)
    (root / "older").rename(root / "z-older")
    newer = record_drive(root / "a-newer", tiny_policy(), 25, segment_s=1.0, key=key)
    swept = sweep(vehicle)
    assert [one.drive.name for one in swept.deleted] == ["z-older"] * SEGMENTS + ["a-newer"] * 2
    assert left(newer) == []


def test_the_drive_that_is_written_goes_last_on_a_board_whose_clock_is_not_set(
    vehicle: Path, root: Path, key: VehicleKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drives, "UTC_NS", 30 * 10**9)
    own = record_drive(root / "19700101T000030Z-own", tiny_policy(), 80, segment_s=1.0, key=key)
    (own / "closing-0004.seal.json").unlink()
    written = OwnDrive(own, DriveSealer(own, key), ())
    assert [one.drive.name for one in sweep(vehicle, written, missing_bytes=1).deleted] == ["older"]
    assert [one.drive.name for one in sweep(vehicle, written).deleted] == ["older"] * 3 + [own.name] * 3


def test_a_damaged_drive_is_told_once_and_keeps_nothing_else_from_going(vehicle: Path, root: Path) -> None:
    shutil.copytree(root / "older", root / "damaged")
    (root / "damaged" / "segment-0000.seal.json").write_text("{}")
    folder = vehicle.parent / "own"
    folder.mkdir()
    own = OwnDrive(folder, DriveSealer(folder, load_key(vehicle / "keys")), ())
    sweeper = a_sweeper(vehicle, missing_bytes=10 * MIB)
    swept = sweeper.sweep(own, Reserve(folder))
    assert [one.drive.name for one in swept.deleted] == ["older"] * SEGMENTS
    assert len(swept.problems) == 1
    assert "damaged" in swept.problems[0]
    sweeper._idle_looks = 0
    assert sweeper.sweep(own, Reserve(folder)).problems == ()
    assert left(root / "damaged") == [0, 1, 2, 3]


@pytest.mark.parametrize(("damaged", "told"), [(0, "is the seal of segment 1"), (2, "no tombstone .* for segment 2")])
def test_a_seal_of_another_segment_has_its_drive_left_alone_and_ends_nothing(
    vehicle: Path, root: Path, damaged: int, told: str
) -> None:
    """A bad copy: else the recorder of the present drive would die of it, again after each restart."""
    shutil.copytree(root / "older", root / "damaged")
    shutil.copyfile(root / "damaged/segment-0001.seal.json", root / f"damaged/segment-{damaged:04d}.seal.json")
    swept = sweep(vehicle)
    assert [one.drive.name for one in swept.deleted if one.drive.name != "damaged"] == ["older"] * SEGMENTS
    assert left(root / "damaged") == list(range(damaged, SEGMENTS))
    [problem] = swept.problems
    assert re.fullmatch(f"nothing can be deleted from damaged: .*{told}.*", problem)


def test_what_nobody_thought_of_in_one_drive_keeps_nothing_else_from_going(
    vehicle: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(drive: Path) -> IncidentIndex | None:
        if drive.name == "odd":
            raise KeyError("what nobody thought of")
        return read_index(drive)

    shutil.copytree(root / "older", root / "odd")
    monkeypatch.setattr(listing, "read_index", found)
    swept = sweep(vehicle)
    assert [one.drive.name for one in swept.deleted] == ["older"] * SEGMENTS
    assert swept.problems == ("nothing can be deleted from odd: KeyError('what nobody thought of')",)


def test_of_a_drive_that_somebody_takes_away_meanwhile_nothing_is_listed(
    root: Path, key: VehicleKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "entries", lambda folder: [])  # between two looks into it
    assert listing.segments_of(root / "older", {key.key_id}) == []


def test_links_and_other_folders_are_not_looked_into(vehicle: Path, root: Path, tmp_path: Path) -> None:
    elsewhere = shutil.move(root / "older", tmp_path / "elsewhere")
    (root / "linked").symlink_to(elsewhere)
    (root / "notes").mkdir()
    (root / "notes" / "segment of a talk.txt").write_text("x")
    assert sweep(vehicle).deleted == ()
    assert left(Path(elsewhere)) == [0, 1, 2, 3]


def test_on_a_disk_without_any_room_the_reserve_has_it_for_the_tombstone(small_disk: SmallDisk, recorded: Path) -> None:
    vehicle = Path(shutil.copytree(recorded, small_disk.path / "vehicle"))
    own = small_disk.path / "own"
    own.mkdir()
    reserve = Reserve(own)
    reserve.hold(1)
    small_disk.fill()
    sweeper = Sweeper(vehicle / "drives", RetentionConfig(min_free_mib=16), vehicle / "keys")
    swept = sweeper.sweep(OwnDrive(own, DriveSealer(own, load_key(vehicle / "keys")), ()), reserve)
    assert len(swept.deleted) == SEGMENTS
    assert swept.exhausted
    found = verify_drive(vehicle / "drives" / "older", [load_key(vehicle / "keys").public_key])
    assert (found.verdict, found.findings) == ("intact", ())
