"""Counting connections that came to nothing, from what a socket's monitor tells. Pure.

ZeroMQ tells of each TCP connection that it was accepted and that it ended, both with its descriptor, and that a
handshake succeeded, without saying whose. Not every refusal is told as one: garbage, an older protocol and a wrong
kind of socket just end. So refused are the connections that ended and never succeeded, wherever that is certain:

- no handshake succeeded between a connection's begin and its end;
- or more were accepted than succeeded, and those that might still be shaking hands do not explain the difference.

The count is never too high, and exact once the last handshake's time is over.
"""

from __future__ import annotations


class Attempts:
    """The connections of one socket. `settled_ns` is how long a handshake may take."""

    def __init__(self, settled_ns: int) -> None:
        self._settled_ns = settled_ns
        self._open: dict[int, tuple[int, int]] = {}  # by descriptor: when it was accepted, and successes before
        self._accepted = self._succeeded = 0
        self._certain = 0
        self._most = 0

    def accepted(self, descriptor: int, now_ns: int) -> None:
        """A connection began."""
        if descriptor in self._open:
            self.ended(descriptor)  # nobody told of its end
        self._accepted += 1
        self._open[descriptor] = (now_ns, self._succeeded)

    def succeeded(self) -> None:
        """A handshake succeeded: one of the open ones."""
        self._succeeded += 1

    def ended(self, descriptor: int) -> None:
        """A connection ended."""
        _, successes_before = self._open.pop(descriptor, (0, -1))
        if successes_before == self._succeeded:
            self._certain += 1

    def refused(self, now_ns: int) -> int:
        """Connections that came to nothing so far."""
        maybe_under_way = sum(1 for began_ns, _ in self._open.values() if now_ns - began_ns <= self._settled_ns)
        missing = self._accepted - self._succeeded - maybe_under_way
        self._most = max(self._most, self._certain, missing)
        return self._most
