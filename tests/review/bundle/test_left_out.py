"""What can be told of what was left out, from counts and places alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from review.verify import left_out as module
from review.verify.left_out import MARK_TOPIC, account_of
from review.verify.manifest import ALWAYS_HANDED_OVER, Asked
from runtime.contracts.topics import CLOSING, GAP, HEADER, LEDGER, STORED, TOPICS
from runtime.seal.part_file import KeptMessage
from runtime.seal.statement import FileHash, Moment, SegmentSeal

FRAME_TOPICS, OTHER_TOPICS = ("/decision", "/model/input", "/camera/front/image"), ("/event", "/health", "/ledger")


def a_seal(topics: dict[str, int]) -> SegmentSeal:
    return SegmentSeal(
        drive_id="drive",
        number=0,
        previous="",
        key_id="",
        sightline_version="",
        moment=Moment("", 0, 0, None),
        segment=0,
        file_name="segment-0000.mcap",
        file=FileHash(0, ""),
        leaves_file=FileHash(0, ""),
        root="",
        messages=sum(topics.values()),
        topics=topics,
        gaps=[],
        first_log_time_ns=0,
        last_log_time_ns=0,
        header_sha256="",
        ended="",
        recovered=False,
        late=False,
    )


TIMES = st.integers(0, 12)
SETS = st.lists(
    st.tuples(
        st.booleans(),  # a frame's
        st.sets(st.sampled_from(FRAME_TOPICS)),
        st.lists(st.sampled_from(OTHER_TOPICS), max_size=3),
    ),
    max_size=12,
)


@given(
    SETS, st.sets(st.sampled_from((*FRAME_TOPICS, *OTHER_TOPICS))), st.integers(0, 12), st.integers(0, 12), st.data()
)
@settings(max_examples=300, deadline=None)
def test_the_truth_lies_between_what_is_withheld_at_least_and_at_most(
    sets: list[tuple[bool, set[str], list[str]]],
    unwanted: set[str],
    first: int,
    last: int,
    data: st.DataObject,
) -> None:
    asked = Asked((0,), first, last, tuple(sorted(unwanted)), (), False, "")
    topics: dict[str, int] = {}
    kept: list[KeptMessage] = []
    frame_marks = set()
    withheld = index = 0
    for time, (is_frame, of_frame, others) in enumerate(sets):
        for topic in (*(sorted(of_frame) if is_frame else ()), *others, MARK_TOPIC):
            topics[topic] = topics.get(topic, 0) + 1
            wanted = topic == MARK_TOPIC or (topic not in unwanted and first <= time <= last)
            dropped = wanted and topic != MARK_TOPIC and data.draw(st.integers(0, 5)) == 0
            withheld += dropped
            if wanted and not dropped:
                kept.append(KeptMessage(index, b"", b"", topic, 0, time))
            if topic == MARK_TOPIC and is_frame:
                frame_marks.add(index)
            index += 1
    account = account_of(a_seal(topics), kept, asked, frame_marks)
    assert account.withheld <= withheld <= account.unproven
    assert sum(account.left_out.values()) == index - len(kept)
    if not unwanted or (first == 0 and last >= len(sets) - 1):
        assert account.withheld == withheld == account.unproven, "places alone, or counts alone, tell all"


def test_what_stands_behind_the_last_mark_belongs_to_every_time() -> None:
    asked = Asked((0,), 0, 0, (), (), False, "")
    kept = [KeptMessage(0, b"", b"", MARK_TOPIC, 0, 0)]
    account = account_of(a_seal({MARK_TOPIC: 1, "/event": 1}), kept, asked, ())
    assert (account.withheld, account.unproven) == (1, 1)


def test_what_comes_once_into_a_frames_set_is_what_the_topics_table_says_comes_with_every_frame() -> None:
    once = {topic.name for topic in TOPICS if module._ONCE_A_SET.fullmatch(topic.name.format(camera="front"))}
    frames = {topic.name for topic in TOPICS if topic.rate in ("every frame", "every simulated frame")}
    assert once == frames - {LEDGER.name}, "the ledger has a line for each camera"


def test_what_belongs_to_every_part_are_topics_that_there_are() -> None:
    assert (HEADER.name, STORED.name, GAP.name, CLOSING.name) == ALWAYS_HANDED_OVER
    assert STORED.name == MARK_TOPIC
