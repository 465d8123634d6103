"""Messages that are changed in a part, or withheld from it: what whoever holds a bundle can try, and how it is told."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from review.bundle.choice import Request
from review.verify.bundle import verify_bundle
from review.verify.moment import utc
from runtime.commands.main import main
from runtime.contracts.topics import DECISION, GAP, HEADER, LEDGER, STORED
from runtime.seal.envelope import public_key_pem
from runtime.seal.keys import VehicleKey
from runtime.seal.part_file import part_name, proof_name
from runtime.seal.part_mcap import PartMessage
from tests.review.bundle.forging import Forger

PEOPLE = Request(without_people=True)
WINDOW = Request(from_s=0.5, to_s=1.5)
BOTH = Request(from_s=0.5, to_s=1.5, without_people=True)
Take = Callable[[Request], Forger]
Messages = list[PartMessage]


def of_topic(messages: Messages, topic: str, number: int = 0) -> int:
    """The place in a part of the `number`-th message of a topic."""
    return [place for place, one in enumerate(messages) if one.channel.topic == topic][number]


def changed(topic: str, **fields: Any) -> Callable[[Messages], Messages]:
    def change(messages: Messages) -> Messages:
        place = of_topic(messages, topic, 3)
        messages[place] = dataclasses.replace(messages[place], **fields)
        return messages

    return change


def without(topic: str) -> Callable[[Messages], Messages]:
    return lambda messages: [one for place, one in enumerate(messages) if place != of_topic(messages, topic, 3)]


def doubled(messages: Messages) -> Messages:
    place = of_topic(messages, DECISION.name, 3)
    return [*messages[: place + 1], messages[place], *messages[place + 1 :]]


def swapped(messages: Messages) -> Messages:
    one, two = of_topic(messages, DECISION.name, 3), of_topic(messages, DECISION.name, 4)
    messages[one], messages[two] = messages[two], messages[one]
    return messages


def other_schema(messages: Messages) -> Messages:
    channel = dataclasses.replace(messages[of_topic(messages, DECISION.name)].channel, schema_data=b"{}")
    return [
        dataclasses.replace(one, channel=channel) if one.channel.topic == DECISION.name else one for one in messages
    ]


def other_topic(messages: Messages) -> Messages:
    place = of_topic(messages, DECISION.name, 3)
    channel = dataclasses.replace(messages[place].channel, topic="/decision/other")
    messages[place] = dataclasses.replace(messages[place], channel=channel)
    return messages


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(changed(DECISION.name, payload=b"{}"), "message-changed", id="payload"),
        pytest.param(changed(DECISION.name, log_time_ns=17), "message-changed", id="log time"),
        pytest.param(changed(DECISION.name, publish_time_ns=17), "message-changed", id="publish time"),
        pytest.param(changed(DECISION.name, sequence=1700), "message-changed", id="sequence"),
        pytest.param(other_schema, "message-changed", id="schema"),
        pytest.param(without(DECISION.name), "message-removed", id="removed"),
        pytest.param(doubled, "message-inserted", id="inserted"),
        pytest.param(swapped, "message-moved", id="swapped"),
    ],
)
def test_a_message_of_a_part_that_is_not_the_sealed_one_is_named(
    forger: Take, change: Callable[[Messages], Messages], kind: str
) -> None:
    held = forger(PEOPLE)
    held.rewrite(1, change)
    held.cover_up()
    findings = held.findings()
    assert {one.kind for one in findings} == {kind}
    assert {one.segment for one in findings} == {1}
    if kind != "message-inserted":
        assert {one.topic for one in findings} == {DECISION.name}
        assert all(f"message {one.message} " in one.text for one in findings)


def test_a_message_that_was_put_on_another_topic_is_missing_from_its_own(forger: Take) -> None:
    held = forger(PEOPLE)
    held.rewrite(1, other_topic)
    held.cover_up()
    found = {(one.kind, one.topic) for one in held.findings()}
    assert found == {("message-removed", DECISION.name), ("message-inserted", "/decision/other")}


def test_the_place_that_is_named_is_the_one_among_the_sealed_messages(forger: Take) -> None:
    held = forger(WINDOW)
    sealed = json.loads((held.drive / proof_name(0)).read_bytes())["kept"]
    held.rewrite(0, changed(DECISION.name, payload=b"{}"))
    held.cover_up()
    [one] = held.findings()
    decisions = [row for row in sealed if row[3] == sorted_topics(held, 0).index(DECISION.name)]
    assert (one.message, one.sequence) == (decisions[3][0], decisions[3][4])


def sorted_topics(held: Forger, segment: int) -> list[str]:
    """The topics of a part's proof."""
    topics: list[str] = json.loads((held.drive / proof_name(segment)).read_bytes())["topics"]
    return topics


@pytest.mark.parametrize("topic", [DECISION.name, LEDGER.name])
def test_a_message_that_was_asked_for_and_left_out_with_a_proof_that_holds_is_found_by_the_seals_counts(
    forger: Take, topic: str
) -> None:
    held = forger(PEOPLE)
    gone: list[int] = []

    def one_less(name: str, place: int) -> bool:
        gone.extend([place] if name == topic and not gone else [])
        return place in gone

    held.cut_again(1, one_less)
    held.cover_up()
    [found] = held.findings()
    assert (found.kind, found.segment) == ("message-withheld", 1)
    assert f"1 of {topic}" in found.text


def test_a_message_withheld_from_a_window_is_found_between_the_times_of_its_neighbours(forger: Take) -> None:
    held = forger(WINDOW)
    gone: list[int] = []

    def one_less(name: str, place: int) -> bool:
        gone.extend([place] if name == DECISION.name and not gone else [])
        return place in gone

    held.cut_again(1, one_less)
    held.cover_up()
    [found] = held.findings()
    assert found.kind == "message-withheld"
    assert (found.message, found.last_message) == (gone[0], gone[0])
    assert held.asked.from_log_time_ns is not None
    assert f"places from which any are: {gone[0]} to {gone[0]}, between the log times" in found.text


def test_a_whole_set_withheld_from_a_window_is_found_since_its_mark_has_a_time(forger: Take) -> None:
    held = forger(WINDOW)
    asked = dataclasses.replace(held.asked, from_log_time_ns=(held.asked.from_log_time_ns or 0) + 100_000_000)
    held.cut_again(0, lambda *_: False, asked)
    held.cover_up()
    assert held.found() == {"message-withheld"}


@pytest.mark.parametrize("topic", [GAP.name, STORED.name, HEADER.name])
def test_a_gap_a_mark_or_a_header_that_was_dropped_is_told_by_its_topic(forger: Take, topic: str) -> None:
    held = forger(BOTH)
    held.cut_again(0, lambda name, _: name == topic)
    held.cover_up()
    found = [one for one in held.findings() if one.topic == topic]
    assert [one.kind for one in found] == ["message-withheld"]
    assert "belong to every part" in found[0].text


def test_where_time_and_topics_are_cut_a_frames_message_that_was_withheld_is_found_by_the_room_in_its_set(
    forger: Take, made: Callable[[Request], Path], key: VehicleKey
) -> None:
    account = verify_bundle(made(BOTH), [key.public_key]).bundle
    assert account is not None
    assert [(part.withheld, part.unproven) for part in account.parts] == [(0, 0)] * 3
    held = forger(BOTH)
    gone: list[int] = []

    def one_less(name: str, place: int) -> bool:
        gone.extend([place] if name == DECISION.name and not gone else [])
        return place in gone

    held.cut_again(1, one_less)
    held.cover_up()
    found = verify_bundle(held.bundle, [key.public_key])
    assert [one.kind for one in found.findings] == ["message-withheld"]
    assert found.bundle is not None
    assert (found.bundle.parts[1].withheld, found.bundle.parts[1].unproven) == (1, 1)


def test_what_neither_the_seals_counts_nor_the_room_in_the_sets_rule_out_is_told(
    forger: Take, made: Callable[[Request], Path], key: VehicleKey
) -> None:
    """An event may lie in any set, as often as it likes: of what is left out it may be in the window or not."""
    request = Request(from_s=0.0, to_s=0.5, without_topics=("/event",))
    account = verify_bundle(made(request), [key.public_key]).bundle
    assert account is not None
    assert [(part.withheld, part.unproven) for part in account.parts] == [(0, 1), (0, 0), (0, 0)]
    held = forger(request)
    gone: list[int] = []

    def one_less(name: str, place: int) -> bool:
        gone.extend([place] if name == DECISION.name and not gone else [])
        return place in gone

    held.cut_again(0, one_less)
    held.cover_up()
    found = verify_bundle(held.bundle, [key.public_key])
    assert [one.kind for one in found.findings] == ["message-withheld"], "two places are empty, and there was one event"
    assert found.bundle is not None
    assert (found.bundle.parts[0].withheld, found.bundle.parts[0].unproven) == (1, 2)


def test_a_topic_that_is_said_to_be_left_out_and_is_here_is_told(forger: Take) -> None:
    held = forger(PEOPLE)
    held.cover_up(without_topics=(*held.asked.without_topics, DECISION.name))
    assert held.found() == {"manifest-wrong"}
    shutil.copyfile(held.original / "segment-0001.mcap", held.drive / "segment-0001.mcap")
    shutil.copyfile(held.original / "segment-0001.leaves", held.drive / "segment-0001.leaves")
    held.cover_up(without_topics=("/camera/front/image",))
    assert held.found() == {"manifest-wrong", "file-foreign"}, "the whole segment shows the pictures, the part is odd"


def test_pictures_in_a_bundle_that_is_said_to_show_nobody_are_told(forger: Take) -> None:
    held = forger(WINDOW)
    held.cover_up(without_people=True)
    assert {(one.kind, one.segment) for one in held.findings()} == {("manifest-wrong", 0), ("manifest-wrong", 1)}
    assert all("pictures are here: /camera/front/image" in one.text for one in held.findings())


def test_what_was_asked_for_is_told_by_what_it_is_held_against_too(
    forger: Take, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    held = forger(BOTH)
    held.cover_up(words="everything there is")
    public = tmp_path / "signing.pub"
    public.write_bytes(public_key_pem(held.key.public_key))
    assert main(["verify", str(held.bundle), "--key", str(public)]) == 0
    said = capsys.readouterr().out
    assert "asked      everything there is" in said
    first, last = held.asked.from_log_time_ns, held.asked.to_log_time_ns
    assert first is not None and last is not None
    limits = f"segments 0, 1; sets from {utc(first)} to {utc(last)}; without /camera/front/image"
    assert f"that is    {limits}" in said


def test_a_segment_that_was_asked_for_and_is_not_here_is_told(forger: Take) -> None:
    held = forger(PEOPLE)
    for name in (part_name(1), proof_name(1)):
        (held.drive / name).unlink()
    held.cover_up()
    assert [(one.kind, one.segment) for one in held.findings()] == [("segment-missing", 1)]
    held.cover_up(segments=(0, 2))
    assert held.found() == set(), "nobody says that it was asked for; it is told as left out"
    held.cover_up(segments=(0, 2, 99))
    assert held.found() == {"manifest-wrong"}


def test_a_segment_within_the_time_that_was_asked_for_cannot_be_passed_over(forger: Take) -> None:
    held = forger(WINDOW)
    for name in (part_name(1), proof_name(1)):
        (held.drive / name).unlink()
    held.cover_up(segments=(0,))
    assert [(one.kind, one.segment) for one in held.findings()] == [("message-withheld", 1)]


def test_a_segment_that_nobody_asked_for_is_told(forger: Take) -> None:
    held = forger(PEOPLE)
    held.cover_up(segments=(0, 2))
    assert [(one.kind, one.segment) for one in held.findings()] == [("manifest-wrong", 1)]
