"""What a drive's record says of strangers: messages that were none, and connections that were turned away."""

from __future__ import annotations

from runtime.access.account import SocketCounts
from runtime.contracts.messages import Event, Health
from runtime.contracts.topics import EVENT, HEALTH
from runtime.record.drive import Drive

_RESTARTED = "recorder.restarted"


def turned_away(drive: Drive) -> SocketCounts:
    """The counts of all processes. Each counts from its own start, so a new start adds to what was before."""
    before: dict[str, SocketCounts] = {}
    now: dict[str, SocketCounts] = {}
    for message in drive.messages(HEALTH, EVENT):
        if message.row is EVENT:
            event: Event = message.decode()
            if event.kind == _RESTARTED and event.name in now:
                before[event.name] = _sum(before.get(event.name), now.pop(event.name))
            continue
        health: Health = message.decode()
        now[health.process] = SocketCounts(health.malformed, health.refused)
    total = SocketCounts()
    for counts in (*before.values(), *now.values()):
        total = _sum(total, counts)
    return total


def _sum(one: SocketCounts | None, other: SocketCounts) -> SocketCounts:
    one = one or SocketCounts()
    return SocketCounts(one.malformed + other.malformed, one.refused + other.refused)
