"""Which sealed messages a damaged segment still holds, and what became of the others."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.seal.leaves_file import SealedMessage
from runtime.seal.sealed_file import ReadMessage

Fate = Literal["changed", "removed", "inserted", "moved", "unreadable"]


@dataclass(frozen=True)
class ReadPart:
    """What one place of the file gave: a message, or (None) bytes that cannot be read.

    `damaged`: it lies in a chunk whose checksum fails, where nothing can be concluded from what is not there.
    """

    message: ReadMessage | None
    damaged: bool
    start: int  # of the chunk, in the file
    end: int


@dataclass(frozen=True)
class Deviation:
    """One message that is not as it was sealed. `index`: its place among the sealed; for an inserted one, the place
    before which it stands.
    """

    fate: Fate
    index: int
    topic: str
    sequence: int
    log_time_ns: int
    part: ReadPart | None


def deviations(sealed: Sequence[SealedMessage], read: Sequence[ReadPart]) -> Iterator[Deviation]:
    """What differs, in the order of the sealed messages."""
    places = _places(sealed, read)
    moved = _moved(places)
    held = {index for index in places if index is not None}
    before, unknown, holes = -1, [], []
    for part, index in zip(read, places, strict=True):
        if part.message is None:
            holes.append(part)
        elif index is None:
            unknown.append(part)
        elif index in moved:
            yield _of(sealed, "moved", index, part)
        else:
            holes += [part] if part.damaged else []
            yield from _between(sealed, (before, index), held, unknown, holes)
            before, unknown = index, []
            holes = [part] if part.damaged else []
    yield from _between(sealed, (before, len(sealed)), held, unknown, holes)


def _places(sealed: Sequence[SealedMessage], read: Sequence[ReadPart]) -> list[int | None]:
    """For each part the place of the sealed message that it is, each given once; None: none of them."""
    free: dict[bytes, list[int]] = {}
    for index in range(len(sealed) - 1, -1, -1):
        free.setdefault(sealed[index].leaf, []).append(index)
    places: list[int | None] = []
    for part in read:
        indices = free.get(part.message.leaf) if part.message is not None else None
        places.append(indices.pop() if indices else None)
    return places


def _moved(places: Sequence[int | None]) -> set[int]:
    """The fewest messages that must have moved: those that are not at their rank, or those outside of a longest
    increasing run, whichever are fewer (a swap leaves two out of rank, a shift leaves one out of the run).
    """
    found = [index for index in places if index is not None]
    ordered = sorted(found)
    out_of_rank = {index for index, own in zip(found, ordered, strict=True) if index != own}
    if not out_of_rank:
        return set()
    out_of_run = set(found) - _longest_run(found)
    return out_of_rank if len(out_of_rank) <= len(out_of_run) else out_of_run


def _longest_run(values: Sequence[int]) -> set[int]:
    tails: list[int] = []
    tail_at: list[int] = []
    previous: list[int] = []
    for position, value in enumerate(values):
        length = bisect_left(tails, value)
        previous.append(tail_at[length - 1] if length else -1)
        if length == len(tails):
            tails.append(value)
            tail_at.append(position)
        else:
            tails[length], tail_at[length] = value, position
    run = set()
    position = tail_at[-1] if tail_at else -1
    while position >= 0:
        run.add(values[position])
        position = previous[position]
    return run


def _between(
    sealed: Sequence[SealedMessage],
    anchors: tuple[int, int],
    held: set[int],
    unknown: Sequence[ReadPart],
    holes: Sequence[ReadPart],
) -> Iterator[Deviation]:
    """What became of the sealed messages between two that are there, and what stands in their place."""
    missing = [index for index in range(anchors[0] + 1, anchors[1]) if index not in held]
    claimed = _claimed(sealed, missing, unknown)
    taken = set(claimed.values())
    waiting = [part for place, part in enumerate(unknown) if place not in taken]
    hole = next(iter(holes), None) or next((one for one in waiting if one.damaged), None)
    fate: Fate = "removed" if hole is None else "unreadable"
    for index in missing:
        place = claimed.get(index)
        yield _of(sealed, fate, index, hole) if place is None else _of(sealed, "changed", index, unknown[place])
    for part in waiting:
        if part.message is not None and not part.damaged:
            one = part.message
            yield Deviation("inserted", anchors[1], one.topic, one.sequence, one.log_time_ns, part)


def _claimed(sealed: Sequence[SealedMessage], missing: Sequence[int], unknown: Sequence[ReadPart]) -> dict[int, int]:
    """Which of the unknown parts, by their places, are missing messages that were changed: the first that says of
    itself that it is this one, and of the rest the first of its topic.
    """
    claimed: dict[int, int] = {}
    taken: set[int] = set()
    for what_of in (_which, _topic):
        waiting: dict[object, deque[int]] = {}
        for place, part in enumerate(unknown):
            # In a chunk whose checksum fails, only what still says which message it is counts as that message.
            if part.message is not None and place not in taken and (what_of is _which or not part.damaged):
                waiting.setdefault(what_of(part.message), deque()).append(place)
        for index in missing:
            places = waiting.get(what_of(sealed[index])) if index not in claimed else None
            if places:
                claimed[index] = places.popleft()
                taken.add(claimed[index])
    return claimed


def _which(one: SealedMessage | ReadMessage) -> object:
    return one.topic, one.sequence, one.log_time_ns


def _topic(one: SealedMessage | ReadMessage) -> object:
    return one.topic


def _of(sealed: Sequence[SealedMessage], fate: Fate, index: int, part: ReadPart | None) -> Deviation:
    one = sealed[index]
    return Deviation(fate, index, one.topic, one.sequence, one.log_time_ns, part)
