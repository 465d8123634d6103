"""What a process's sockets turned away, and how its parent hears of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import msgspec

from runtime.supervise.child import tell_parent


@dataclass(frozen=True, slots=True)
class SocketCounts:
    """Messages that were none, or not in their place, and connections that were turned away, since the start."""

    malformed: int = 0
    refused: int = 0


class SocketAccount(msgspec.Struct, frozen=True, tag="sockets", forbid_unknown_fields=True):
    """The counts of one process, as one line of JSON on its standard output."""

    pid: int
    malformed: int
    refused: int


class Teller:
    """Tells the parent whenever the counts have changed; one that is gone or does not listen is no error."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._told = SocketCounts()

    def tell(self, counts: SocketCounts, *, wait: bool = False) -> None:
        """Write a line, if there is anything new to say. `wait`: for its room as well, where there is no later one."""
        if counts == self._told:
            return
        line = msgspec.json.encode(SocketAccount(os.getpid(), counts.malformed, counts.refused)) + b"\n"
        if tell_parent(line, wait=wait):
            self._told = counts


class Accounts:
    """The parent's sum over processes, also over those that died and were started again."""

    def __init__(self) -> None:
        """Nobody has told anything."""
        self._by_pid: dict[int, SocketCounts] = {}

    def take(self, line: str) -> bool:
        """Take a line of a child; whether it was such an account."""
        try:
            account = msgspec.json.decode(line, type=SocketAccount)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        self._by_pid[account.pid] = SocketCounts(account.malformed, account.refused)
        return True

    def total(self) -> SocketCounts:
        """All of them together."""
        counts = self._by_pid.values()
        return SocketCounts(sum(one.malformed for one in counts), sum(one.refused for one in counts))
