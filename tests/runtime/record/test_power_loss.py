"""What survives when the power fails: what was synced, and of the rest anything."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.durable import cuts
from benchmarks.durable.disk import Disk
from benchmarks.durable.loss import (
    DRIVE,
    Failure,
    Scenario,
    broken,
    config_of,
    failures,
    killed,
    moments,
    need,
    promises,
    record,
    soon_after,
)
from runtime.contracts.topics import VEHICLE
from runtime.record.drive import open_drive
from runtime.record.journal import survey, sync_file
from runtime.record.recover import take_up
from runtime.record.segment import journal_path
from tests.runtime.record.recording import stored_sets

pytestmark = pytest.mark.once

SMALL = Scenario(frames=45, set_bytes=2_000)
PLACES = [
    ("furnish.py", "furnish"),
    ("journal.py", "__init__"),
    ("journal.py", "sync"),
    ("on_disk.py", "make_folders"),
    ("on_disk.py", "write_whole"),  # the file: a seal, a list of incidents, a public key
    ("on_disk.py", "write_whole"),  # its name
    ("recovered.py", "_take_up_journal"),
    ("recovered.py", "take_up_segments"),
    ("segment.py", "seal"),
    ("segment.py", "seal"),
]


@pytest.fixture(scope="module")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, key_dir: Path) -> Disk:
    root = tmp_path_factory.mktemp("power") / "root"
    root.mkdir()
    return record(root, key_dir, SMALL)


def test_the_shim_sees_every_byte_name_and_folder(disk: Disk) -> None:
    assert disk.faithful()
    kept = promises(disk, len(disk.ops))
    assert (kept.acknowledged, kept.finished) == (SMALL.frames + 2, True)
    assert kept.head is not None
    assert kept.head.closes
    assert len(kept.marks) == 2


def test_every_promise_holds_wherever_the_power_fails(disk: Disk, key_dir: Path) -> None:
    chance = random.Random(7)
    chosen = chance.sample(list(failures(moments(disk, chance, anywhere=60), unsynced_kept=2)), 80)
    for failure in (*chosen, Failure(len(disk.ops), "nothing")):
        assert broken(disk, key_dir, failure, SMALL) == [], failure


@pytest.fixture(scope="module")
def killed_disks(tmp_path_factory: pytest.TempPathFactory, key_dir: Path) -> list[tuple[Scenario, Disk]]:
    made = []
    for scenario in killed(SMALL):
        root = tmp_path_factory.mktemp("killed") / "root"
        root.mkdir()
        made.append((scenario, record(root, key_dir, scenario)))
    return made


def test_every_promise_holds_where_the_power_fails_soon_after_a_recorder_was_killed(
    killed_disks: list[tuple[Scenario, Disk]], key_dir: Path
) -> None:
    """The next one finds what the dead one wrote and did not sync, and must not build promises on it."""
    for number, (scenario, disk) in enumerate(killed_disks):
        assert disk.faithful()
        assert len(disk.deaths) == len(scenario.deaths)
        assert promises(disk, len(disk.ops)).finished
        for failure in random.Random(number).sample(soon_after(disk, unsynced_kept=2), 12):
            assert broken(disk, key_dir, failure, scenario) == [], (scenario, failure)


def test_every_call_of_sync_is_needed(
    disk: Disk, killed_disks: list[tuple[Scenario, Disk]], key_dir: Path, tmp_path: Path
) -> None:
    """The proof can fail: with any one call deleted, a power failure breaks a promise."""
    synced_in = {place: [SMALL] for place in disk.places}
    for scenario, killed_disk in killed_disks:
        for place in killed_disk.places:
            synced_in.setdefault(place, []).append(scenario)
    assert sorted((place.module, place.function) for place in synced_in) == PLACES, "one was deleted, or is new"
    for place, scenarios in sorted(synced_in.items()):
        assert need(place, scenarios, tmp_path, key_dir), f"nobody would miss the sync at {place}"


def test_the_survivor_of_nothing_synced_is_nothing_and_of_all_synced_all(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    disk = Disk(root)
    with disk.recording():
        with (root / "a").open("wb") as file:
            file.write(b"x" * 3000)
        disk.note("written")
        sync_file(root / "a")
        disk.note("synced, without its name")
    assert disk.faithful()
    for count in range(len(disk.ops) + 1):
        into = tmp_path / str(count)
        into.mkdir()
        disk.survivor(count, into, "nothing", random.Random(0))
        assert list(into.iterdir()) == []
    torn = set()
    for seed in range(40):
        into = tmp_path / f"some-{seed}"
        into.mkdir()
        disk.survivor(2, into, "some", random.Random(seed))
        torn |= {path.read_bytes().count(b"x") for path in into.iterdir()}
    assert len(torn) > 3
    assert torn & {512, 1024, 1536, 2048}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, key_dir: Path) -> bytes:
    root = tmp_path_factory.mktemp("journal") / "root"
    root.mkdir()
    return cuts.a_journal(root, key_dir)


def test_a_journal_cut_anywhere_in_its_last_megabyte_holds_the_whole_sets_before_the_cut(
    journal: bytes, tmp_path: Path
) -> None:
    assert len(journal) > cuts.MIB
    sizes = cuts.cuts(journal, anywhere=500, every=2, chance=random.Random(3))
    assert list(cuts.wrong(journal, sizes, tmp_path / "journal")) == []
    assert list(cuts.wrong(journal.replace(b'"last":20,', b'"last":99,'), sizes, tmp_path / "journal")) == []


def test_a_cut_journal_is_recovered_to_exactly_those_sets(journal: bytes, key_dir: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    for number, size in enumerate(cuts.cuts(journal, anywhere=6, every=1000, chance=chance)):
        drive_dir = tmp_path / str(number) / DRIVE
        drive_dir.mkdir(parents=True)
        journal_path(drive_dir, 0).write_bytes(journal[:size])
        done = take_up(drive_dir, key_dir, config_of(SMALL, key_dir))
        assert (done.outcome, done.sealed) == ("recovered", True)
        drive = open_drive(drive_dir)
        assert stored_sets(drive) == list(range(done.sets))
        assert [gap.first for gap in drive.gaps()] == [done.sets]
        assert done.sets == len(cuts.whole_sets(journal[:size]))
        assert sum(1 for _ in drive.messages(VEHICLE)) == done.sets - 1  # of a set that is not whole, nothing is kept


def test_a_set_whose_mark_came_to_the_disk_before_its_bytes_is_not_taken_for_a_whole_one(
    journal: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    ends = [end for end, _ in cuts.whole_sets(journal)]
    for place in (ends[-2] + 40, ends[-2] + 15_000, ends[-1] - 300):
        path.write_bytes(journal[:place] + bytes(16) + journal[place + 16 :])
        found = survey(path)
        assert found.whole_bytes == ends[-2]
        assert found.mark is not None
        assert found.mark.last == cuts.whole_sets(journal)[-2][1]
    header = journal.index(b'{"drive_id":"drive"')  # it stands before the first mark, and is covered by it
    path.write_bytes(journal[:header] + bytes(16) + journal[header + 16 :])
    assert survey(path).whole_bytes == 0
