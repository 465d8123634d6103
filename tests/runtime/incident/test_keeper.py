"""The recorder's memory of incidents, on a real drive's folder, with a recorder that dies and comes back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.contracts.config import IncidentConfig, RecordConfig
from runtime.contracts.incident import INDEX_NAME, Incident, Mark, Trigger
from runtime.contracts.messages import GroundTruth
from runtime.contracts.topics import INCIDENT, TRIGGER, TRUTH, Topic
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.incident.index import read_index
from runtime.incident.keeper import IncidentKeeper
from runtime.incident.triggers import Moment
from runtime.incident.windows import KEPT_MARKS, KEPT_OF_A_KIND
from runtime.record.store import DriveStore
from tests.runtime.record.recording import UTC_ORIGIN_NS, header_payload
from tests.runtime.record.small_disk import SmallDisk

PERIOD_NS = 100 * NS_PER_MS
CONFIG = IncidentConfig(before_s=3.0, after_s=2.0)
MARGIN_NS = (3 * NS_PER_S, 2 * NS_PER_S)


class Bench:
    """A store and the keeper beside it; `frame` writes a set of ten a second."""

    def __init__(self, folder: Path, config: IncidentConfig = CONFIG, segment_s: float = 1.0) -> None:
        self.folder = folder
        self.store = DriveStore(folder, "session", RecordConfig(segment_s=segment_s))
        self.frames = self.store.next_sequence
        self.written: list[Trigger | Incident] = []
        self.keeper = IncidentKeeper(folder, "drive", config, self.store, self._write)

    def begin(self) -> Bench:
        self.store.keep_header(header_payload().data)
        return self

    def frame(self, *, collided: bool = False, marked: bool = True) -> None:
        at_ns = self.frames * PERIOD_NS
        truth = GroundTruth(self.frames, at_ns, 0.0, 0.0, 0.0, None, 0.0, False, collided, 10.0)
        data, moment = TRUTH.encode(truth), Moment(at_ns, self.frames)
        self._append(TRUTH, data, at_ns)
        self.keeper.observe(TRUTH, data, moment)
        self.keeper.settle(moment)
        if marked:
            self.store.mark(
                self.frames,
                self.frames,
                frame_sequence=self.frames,
                log_time_ns=UTC_ORIGIN_NS + at_ns,
                publish_time_ns=0,
            )
        self.frames += 1

    def drive(self, frames: int, collided: range = range(0)) -> Bench:
        for _ in range(frames):
            self.frame(collided=self.frames in collided)
        return self

    def commit(self) -> Bench:
        """As before an acknowledgement."""
        self.store.sync()
        assert self.keeper.save() == ""
        return self

    def die(self) -> Bench:
        """The recorder is killed; what another one takes up."""
        self.store.sync()
        self.store.sealing.beside(lambda: None).result()  # its thread dies with it
        return Bench(self.folder)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return self.keeper.incidents

    def _write(self, topic: Topic, message: Trigger | Incident) -> None:
        self.written.append(message)
        self._append(topic, topic.encode(message), max(0, self.store.last_log_time_ns - UTC_ORIGIN_NS))

    def _append(self, topic: Topic, data: bytes, at_ns: int) -> None:
        log_time_ns = UTC_ORIGIN_NS + at_ns
        self.store.append(topic.name, topic, data, log_time_ns=log_time_ns, publish_time_ns=0, sequence=-1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path).begin()


def kept(folder: Path) -> tuple[Incident, ...]:
    index = read_index(folder)
    assert index is not None
    return index.incidents


def test_a_drive_without_incidents_has_no_list(bench: Bench) -> None:
    bench.drive(50).commit()
    assert bench.incidents == ()
    assert bench.written == []
    assert not (bench.folder / INDEX_NAME).exists()


def test_an_incident_is_written_when_it_opens_and_closes_and_pins_the_segments_around_it(bench: Bench) -> None:
    bench.drive(150, collided=range(70, 75)).commit()
    (one,) = bench.incidents
    at_ns = 70 * PERIOD_NS
    assert (one.t_from_ns, one.t_to_ns) == (at_ns - MARGIN_NS[0], at_ns + MARGIN_NS[1])
    assert one.triggers == (Trigger("collision", at_ns, 70, "the simulated car hit something"),)
    ends_ns = [(span.first_ns - UTC_ORIGIN_NS, span.last_ns - UTC_ORIGIN_NS) for span in bench.store.spans.values()]
    met = [index for index, (first, last) in enumerate(ends_ns) if first <= one.t_to_ns and last >= one.t_from_ns]
    assert list(one.segments) == met
    assert not one.open
    states = [message for message in bench.written if isinstance(message, Incident)]
    assert [message.open for message in states] == [True] * (len(states) - 1) + [False]
    assert states[-1] == one
    index = read_index(bench.folder)
    assert index is not None
    assert index.incidents == bench.incidents


def test_what_an_incident_that_begins_now_would_reach_back_to_is_pinned_and_older_is_not(bench: Bench) -> None:
    bench.drive(100)
    now_ns, before_ns = 99 * PERIOD_NS, MARGIN_NS[0] + NS_PER_S  # it is looked at once a second
    spans = {index: span.last_ns - UTC_ORIGIN_NS for index, span in bench.store.spans.items()}
    assert {
        index for index, last_ns in spans.items() if last_ns >= now_ns - MARGIN_NS[0] and index in bench.keeper.pinned
    }
    assert all(spans[index] >= now_ns - before_ns for index in bench.keeper.pinned)
    assert 0 not in bench.keeper.pinned


@pytest.mark.parametrize(("second", "incidents"), [(90, 1), (130, 2)])
def test_two_triggers_are_one_incident_where_their_windows_overlap_and_two_where_not(
    second: int, incidents: int, bench: Bench
) -> None:
    bench.drive(70, collided=range(50, 51)).drive(80, collided=range(second, second + 1))
    assert [len(one.triggers) for one in bench.incidents] == [2 // incidents] * incidents


def test_a_recorder_that_comes_back_goes_on_where_the_list_and_the_journal_ended(bench: Bench) -> None:
    bench.drive(60, collided=range(52, 60)).commit()
    bench.drive(3, collided=range(60, 70))
    back = bench.die()
    assert back.incidents[0].triggers == bench.incidents[0].triggers
    back.drive(5, collided=range(63, 68))
    assert [len(one.triggers) for one in back.incidents] == [1], "it is the same collision, not another one"
    back.drive(80)
    (one,) = back.incidents
    assert not one.open
    assert max(one.segments) > 5


def test_a_condition_that_held_in_a_segment_that_was_just_sealed_is_not_another_one(bench: Bench) -> None:
    bench.drive(11, collided=range(8, 11)).commit()
    assert bench.store.segment == 1
    back = bench.die()
    back.drive(5, collided=range(11, 14))
    assert [len(one.triggers) for one in back.incidents] == [1]


def test_a_damaged_segment_does_not_keep_a_recorder_from_coming_back(bench: Bench) -> None:
    bench.drive(35, collided=range(5, 6)).commit()
    bench.store.sealing.beside(lambda: None).result()
    (bench.folder / INDEX_NAME).write_bytes(b"{" * 50)
    damaged = bench.folder / "segment-0001.mcap"
    data = bytearray(damaged.read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd") + 20] ^= 1  # in what zstd made
    damaged.write_bytes(data)
    back = bench.die()
    assert [one.triggers for one in back.incidents] == [one.triggers for one in bench.incidents]


def test_what_only_the_journal_holds_is_taken_up_from_it(bench: Bench) -> None:
    bench.drive(40, collided=range(35, 36))
    assert not (bench.folder / INDEX_NAME).exists(), "nothing was acknowledged yet"
    half_written = bench.folder / f"{INDEX_NAME}.tmp"
    half_written.write_bytes(b"{")
    back = bench.die()
    assert not half_written.exists()
    assert [(one.number, one.triggers) for one in back.incidents] == [(0, bench.incidents[0].triggers)]
    assert 3 in back.keeper.pinned


def test_an_incident_in_a_segment_that_was_sealed_at_once_is_there_though_its_recorder_dies_before_it_acknowledges(
    bench: Bench,
) -> None:
    bench.drive(10)
    bench.frame(collided=True)
    assert bench.store.segment == 1, "its set was the segment's last"
    back = bench.die()
    assert not list(bench.folder.glob("*.journal"))
    assert back.incidents == bench.incidents
    assert back.keeper.pinned >= {0}


def test_an_incident_in_a_journal_is_there_though_each_recorder_that_takes_it_up_dies_at_once(bench: Bench) -> None:
    bench.drive(8, collided=range(7, 8))
    back = bench.die().die()
    assert not list(bench.folder.glob("*.journal")), "the first has sealed it"
    assert back.incidents == bench.incidents


def test_no_segment_is_sealed_before_the_list_speaks_of_its_incidents(bench: Bench) -> None:
    obstacle = bench.folder / f"{INDEX_NAME}.tmp"
    obstacle.mkdir()
    bench.drive(30, collided=range(15, 16))
    bench.store.sealing.beside(lambda: None).result()
    assert [path.name for path in sorted(bench.folder.glob("*.journal"))] == [
        "segment-0001.mcap.journal",
        "segment-0002.mcap.journal",
    ]
    assert "segment 1 of" in bench.store.sealing.unfinished
    assert "the list of incidents cannot be written" in bench.store.sealing.unfinished
    obstacle.rmdir()
    bench.store.close()
    assert bench.store.sealing.unfinished == ""
    assert kept(bench.folder) == bench.incidents


def test_the_same_incidents_are_never_the_same_list_so_that_its_signed_hash_confirms_no_guess(tmp_path: Path) -> None:
    lists = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        bench = Bench(tmp_path / str(number)).begin().drive(8)
        assert bench.keeper.mark([Mark("one", "look at this")])[0].refusal == ""
        lists.append((bench.folder / INDEX_NAME).read_bytes())
    assert kept(tmp_path / "0") == kept(tmp_path / "1")
    assert lists[0] != lists[1]


def test_a_disk_without_room_takes_the_list_by_way_of_the_reserve(small_disk: SmallDisk) -> None:
    folder = small_disk.path / "drive"
    folder.mkdir()
    bench = Bench(folder).begin().drive(8)
    bench.store.reserve.hold(1)
    small_disk.fill()
    assert bench.keeper.mark([Mark("one", "look at this")])[0].refusal == ""
    assert kept(folder) == bench.incidents
    assert bench.store.reserve.size_bytes == 0
    small_disk.fill()
    assert "no room" in bench.keeper.mark([Mark("two", "and at this" * 40)])[0].refusal


@pytest.mark.parametrize("listed", [True, False])
def test_what_an_incident_leaves_out_is_counted_once_whoever_takes_it_up(tmp_path: Path, *, listed: bool) -> None:
    bench = Bench(tmp_path, segment_s=600.0).begin()
    crashes = range(0, 12 * (KEPT_OF_A_KIND + 5), 12)
    bench.drive(5)
    while bench.frames < crashes.stop:
        bench.frame(collided=bench.frames in crashes)
    assert bench.incidents[0].triggers_left_out == 4
    if listed:
        bench.commit()
    assert (bench.folder / INDEX_NAME).exists() == listed
    assert bench.die().incidents == bench.incidents


def test_segments_that_come_and_go_within_a_second_are_pinned_as_long_as_an_incident_lasts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, IncidentConfig(before_s=0.0, after_s=2.0)).begin()
    bench.drive(12, collided=range(9, 10))
    bench.store.rotate()
    bench.drive(2)
    bench.store.rotate()
    bench.drive(1)
    assert bench.keeper.pinned == {0, 1, 2, 3}


def test_a_trigger_whose_set_was_cut_away_stays_where_it_was_listed_and_is_told_to_the_record_again(
    bench: Bench,
) -> None:
    bench.drive(33)
    bench.frame(collided=True, marked=False)
    bench.commit()
    back = bench.die()
    assert back.store.next_sequence == 33
    assert back.incidents == bench.incidents
    back.drive(12)
    told = next(message for message in back.written if isinstance(message, Incident))
    assert told.triggers == bench.incidents[0].triggers


def test_incidents_of_a_time_that_is_not_on_the_disk_are_told_to_the_record_by_whoever_comes_after(
    bench: Bench,
) -> None:
    bench.drive(30, collided=range(5, 6))
    bench.store.pause()
    bench.drive(100, collided=range(60, 61)).commit()
    assert [one.open for one in bench.incidents] == [False, False]
    back = bench.die()
    back.frames = 130
    back.drive(15)
    assert back.incidents == bench.incidents
    assert [message for message in back.written if isinstance(message, Incident)] == list(bench.incidents)


def test_a_list_that_cannot_be_read_is_made_anew_from_the_record_and_that_is_said(bench: Bench) -> None:
    bench.drive(40, collided=range(20, 21)).commit()
    (bench.folder / INDEX_NAME).write_bytes(b"{" * 50)
    back = bench.die()
    assert INDEX_NAME in back.keeper.damage
    assert [one.triggers for one in back.incidents] == [one.triggers for one in bench.incidents]


def test_a_mark_is_answered_when_it_is_on_the_disk(bench: Bench) -> None:
    bench.drive(40)
    (answer,) = bench.keeper.mark([Mark("one", "look at this", "me")])
    assert (answer.token, answer.drive_id, answer.incident, answer.refusal) == ("one", "drive", 0, "")
    index = read_index(bench.folder)
    assert index is not None
    assert index.incidents[0].triggers == (Trigger("mark", 39 * PERIOD_NS, 39, "look at this", "me", "one"),)


def test_a_mark_that_is_sent_again_counts_once_even_by_a_recorder_that_came_later(bench: Bench) -> None:
    bench.drive(40)
    mark = Mark("one", "look at this")
    first = bench.keeper.mark([mark, mark])
    assert first == [first[0]] * 2
    back = bench.die()
    assert back.keeper.mark([mark]) == first[:1]
    assert [len(one.triggers) for one in back.incidents] == [1]


@pytest.mark.parametrize("kept", [True, False])
def test_the_trigger_of_a_mark_is_in_the_record_once_though_what_was_behind_the_last_whole_set_was_cut_away(
    kept: bool, bench: Bench
) -> None:
    bench.drive(40).keeper.mark([Mark("one", "look at this")])
    bench.drive(1 if kept else 0)
    back = bench.die()
    for _ in range(2):  # the first dies before a set of its own is whole
        back.frame(marked=False)
        back = back.die()
    told = [message for message in back.drive(12).written if isinstance(message, Trigger)]
    assert told == ([] if kept else list(bench.incidents[0].triggers))


def test_a_mark_is_refused_before_the_drive_after_it_and_where_the_disk_refuses(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "unborn").mkdir()
    unborn = Bench(tmp_path / "unborn")
    assert "has not begun" in unborn.keeper.mark([Mark("one", "why")])[0].refusal
    bench.drive(10)
    obstacle = bench.folder / f"{INDEX_NAME}.tmp"
    obstacle.mkdir()
    assert "cannot be written" in bench.keeper.mark([Mark("two", "why")])[0].refusal
    obstacle.rmdir()
    assert bench.keeper.mark([Mark("two", "why")])[0].refusal == ""
    bench.keeper.close()
    assert "is over" in bench.keeper.mark([Mark("three", "why")])[0].refusal


def test_a_flood_of_marks_is_bounded(bench: Bench) -> None:
    bench.drive(10)
    answers = [bench.keeper.mark([Mark(f"{count}", "again")])[0] for count in range(KEPT_MARKS + 20)]
    assert [answer.refusal == "" for answer in answers] == [True] * KEPT_MARKS + [False] * 20
    assert len([message for message in bench.written if isinstance(message, Trigger)]) == KEPT_MARKS


def test_a_mark_that_is_refused_since_there_are_too_many_leaves_nothing(bench: Bench) -> None:
    bench.drive(10)
    bench.keeper.mark([Mark(f"{count}", "again") for count in range(KEPT_MARKS)])
    bench.drive(30)
    before, written = bench.incidents, len(bench.written)
    assert before[0].t_to_ns < bench.frames * PERIOD_NS, "its window is over, and a new one would reach back into it"
    assert bench.keeper.mark([Mark("late", "again")])[0].incident == -1
    assert (bench.incidents, len(bench.written)) == (before, written)


def test_the_end_of_the_drive_closes_what_is_open(bench: Bench) -> None:
    bench.drive(40, collided=range(38, 40)).commit()
    assert [one.open for one in bench.incidents] == [True]
    bench.keeper.close()
    assert [one.open for one in bench.incidents] == [False]
    assert isinstance(bench.written[-1], Incident)
    assert not bench.written[-1].open
    assert msgspec.json.decode(INCIDENT.encode(bench.written[-1]), type=Incident) == bench.incidents[0]
    assert TRIGGER.decode(TRIGGER.encode(bench.incidents[0].triggers[0])) == bench.incidents[0].triggers[0]
