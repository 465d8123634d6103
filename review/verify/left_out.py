"""What a part of a segment leaves out: how many messages of which topic, and where they stood.

The seal tells how many messages the segment has of each topic, the proof where each of the part's stood. The marks
behind each set (`/ledger/stored`) are in every part, so that the time of every set is known, the sets that were left
out too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from review.verify.account import HandedOver, Hole, PartAccount
from review.verify.manifest import ALWAYS_HANDED_OVER, Asked
from review.verify.report import Finding
from runtime.seal.part_file import KeptMessage
from runtime.seal.statement import SegmentSeal, printable

MARK_TOPIC = "/ledger/stored"
_PICTURE = re.compile(r"/camera/[^/]+/(image|video)")
_ONCE_A_SET = re.compile(rf"{_PICTURE.pattern}|/model/(input|output)|/vehicle/state|/decision|/attribution|/truth")
"""Topics of which a recorder writes one message at most into each frame's set, and none into others."""
_HOLES_TOLD = 1000


def account_of(
    seal: SegmentSeal, kept: Sequence[KeptMessage], asked: Asked | None, frame_marks: Collection[int]
) -> PartAccount:
    """What a proven part holds and leaves out. `frame_marks`: the places of the marks behind frames' sets."""
    left_out = _left_out(seal, Counter(one.topic for one in kept))
    holes = list(_holes(seal.messages, kept, asked))
    least, most = (0, 0) if asked is None else _bounds(left_out, holes, kept, asked, frame_marks)
    return PartAccount(
        segment=seal.segment,
        handed="part",
        messages=seal.messages,
        kept=len(kept),
        left_out=left_out,
        holes=tuple(holes[:_HOLES_TOLD]),
        holes_left_out=max(0, len(holes) - _HOLES_TOLD),
        withheld=least,
        unproven=most,
        first_log_time_ns=seal.first_log_time_ns,
        last_log_time_ns=seal.last_log_time_ns,
    )


def other_account(seal: SegmentSeal, handed: HandedOver) -> PartAccount:
    """Of a segment that is there whole, or not at all."""
    whole = handed == "whole"
    return PartAccount(
        segment=seal.segment,
        handed=handed,
        messages=seal.messages,
        kept=seal.messages if whole else 0,
        left_out={} if whole else dict(seal.topics),
        holes=(),
        holes_left_out=0,
        withheld=0,
        unproven=0,
        first_log_time_ns=seal.first_log_time_ns,
        last_log_time_ns=seal.last_log_time_ns,
    )


def withheld(seal: SegmentSeal, account: PartAccount, asked: Asked | None, file: str) -> Iterator[Finding]:
    """What a part or a whole segment does not hold and the bundle says it does, or the other way round."""
    for topic in ALWAYS_HANDED_OVER:
        if topic in account.left_out:
            counts = f"{account.left_out[topic]} of {seal.topics[topic]}"
            text = f"{counts} messages of {topic} are left out; all of them belong to every part"
            yield Finding("message-withheld", file, text, segment=seal.segment, topic=topic)
    if asked is None:
        return
    for topic in asked.without_topics:
        held = seal.topics.get(topic, 0) - account.left_out.get(topic, 0)
        if held > 0:
            text = f"the bundle says that {printable(topic)} was left out, and {held} messages of it are here"
            yield Finding("manifest-wrong", file, text, segment=seal.segment, topic=printable(topic))
    if asked.without_people:
        shown = [topic for topic, count in seal.topics.items() if _is_picture(topic, count, account)]
        if shown:
            text = f"the bundle says that it shows nobody, and pictures are here: {', '.join(map(printable, shown))}"
            yield Finding("manifest-wrong", file, text, segment=seal.segment)
    if account.withheld:
        yield _withheld(seal, account, asked, file)


def _is_picture(topic: str, count: int, account: PartAccount) -> bool:
    return _PICTURE.fullmatch(topic) is not None and account.left_out.get(topic, 0) < count


def _withheld(seal: SegmentSeal, account: PartAccount, asked: Asked, file: str) -> Finding:
    missing = {t: n for t, n in account.left_out.items() if t not in asked.without_topics}
    topics = ", ".join(f"{n} of {printable(topic)}" for topic, n in sorted(missing.items()))
    text = (
        f"{account.withheld} or more messages that were asked for are left out (of the segment, {topics} are not here)"
    )
    hole = next((one for one in account.holes if one.asked), None)
    if hole is None:
        return Finding("message-withheld", file, text, segment=seal.segment)
    text += (
        f"; the first places from which any are: {hole.first} to {hole.last}, between the log times "
        f"{hole.after_log_time_ns} and {hole.before_log_time_ns} ns"
    )
    return Finding("message-withheld", file, text, segment=seal.segment, message=hole.first, last_message=hole.last)


def _bounds(
    left_out: dict[str, int],
    holes: Sequence[Hole],
    kept: Sequence[KeptMessage],
    asked: Asked,
    frame_marks: Collection[int],
) -> tuple[int, int]:
    """Of those left out in sets that were asked for, how many at least and at most are of a topic that was asked for.

    The seal counts topics by the segment, the holes count messages by the set. What is unwanted lies in the one kind of
    set as far as it finds room there, and the rest in the other.
    """
    inside = sum(hole.count for hole in holes if hole.asked)
    outside = sum(hole.count for hole in holes) - inside
    sets = [asked.holds_time(one.log_time_ns) for one in kept if one.index in frame_marks]
    unwanted = {topic: count for topic, count in left_out.items() if topic in asked.without_topics}
    unwanted_inside = min(inside, _room(unwanted, sets.count(True)))
    unwanted_outside = min(outside, _room(unwanted, sets.count(False)))
    wanted = sum(left_out.values()) - sum(unwanted.values())
    most = inside - (sum(unwanted.values()) - unwanted_outside)
    return max(0, inside - unwanted_inside), max(0, min(wanted, most))


def _room(counts: dict[str, int], sets: int) -> int:
    """How many messages of these topics so many frames' sets can hold, and whatever other sets there are."""
    return sum(min(count, sets) if _ONCE_A_SET.fullmatch(topic) else count for topic, count in counts.items())


def _left_out(seal: SegmentSeal, kept: Counter[str]) -> dict[str, int]:
    rest = {topic: count - kept.get(topic, 0) for topic, count in sorted(seal.topics.items())}
    return {topic: count for topic, count in rest.items() if count > 0}


def _holes(count: int, kept: Sequence[KeptMessage], asked: Asked | None) -> Iterator[Hole]:
    """Every stretch between two kept messages. A set ends with its mark, which is kept: no hole reaches over one."""
    ends = [place for place, one in enumerate(kept) if one.topic == MARK_TOPIC]
    next_end = 0
    before: KeptMessage | None = None
    for place in range(len(kept) + 1):
        one = kept[place] if place < len(kept) else None
        first, last = 0 if before is None else before.index + 1, (count if one is None else one.index) - 1
        if last >= first:
            while next_end < len(ends) and ends[next_end] < place:
                next_end += 1
            mark = kept[ends[next_end]] if next_end < len(ends) else None
            inside = asked is not None and (mark is None or asked.holds_time(mark.log_time_ns))
            yield Hole(
                first,
                last,
                None if before is None else before.log_time_ns,
                None if one is None else one.log_time_ns,
                inside,
            )
        before = one
