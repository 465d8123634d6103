"""What of a frame is recorded at each step, and what the ledger says of it."""

from __future__ import annotations

import pytest

from runtime.contracts.identity import FrameId
from runtime.contracts.messages import Disposition
from runtime.contracts.topics import ATTRIBUTION, DECISION, MODEL_INPUT, TOPICS, TRUTH
from runtime.retention.saving import Saving


def line(sequence: int, missing: str = "") -> Disposition:
    """A ledger's line of a frame that was decided upon."""
    return Disposition(FrameId("front", sequence), 0, "decided", picture_missing=missing)


def test_every_topic_but_maps_and_truth_is_kept_as_long_as_anything_is() -> None:
    for step in range(3):
        assert all(Saving(step, 5).keeps(topic) for topic in TOPICS)
    assert {topic.name for topic in TOPICS if not Saving(3, 5).keeps(topic)} == {ATTRIBUTION.name, TRUTH.name}
    assert Saving(3, 5).keeps(MODEL_INPUT)
    assert Saving(3, 5).keeps(DECISION)


@pytest.mark.parametrize(
    ("step", "smaller", "encoded", "recorded"),
    [(0, False, 10, 10), (1, True, 10, 10), (2, True, 2, 2), (3, True, 2, 0), (4, True, 2, 0)],
)
def test_pictures_become_smaller_then_fewer_then_none_are_recorded_and_viewers_keep_some(
    step: int, smaller: bool, encoded: int, recorded: int
) -> None:
    saving = Saving(step, 5)
    assert saving.smaller_pictures == smaller
    assert sum(saving.encodes_picture(sequence) for sequence in range(10)) == encoded
    assert sum(saving.records_picture(sequence) for sequence in range(10)) == recorded


def test_the_ledger_says_why_a_picture_is_not_there_and_what_else_was_left_out() -> None:
    fewer, essentials = Saving(2, 5), Saving(3, 5)
    assert fewer.told(line(5), has_picture=True) == line(5)
    assert fewer.told(line(6), has_picture=True).picture_missing == "to save room one picture in 5 is recorded"
    told = essentials.told(line(5), has_picture=True)
    assert told.picture_missing == "to save room no picture is recorded"
    assert told.left_out == (ATTRIBUTION.name, TRUTH.name)


def test_a_picture_that_never_was_is_not_said_to_be_left_out() -> None:
    assert Saving(2, 5).told(line(6), has_picture=False) == line(6)
    assert Saving(2, 5).told(line(6, "the ring was full"), has_picture=False).picture_missing == "the ring was full"
