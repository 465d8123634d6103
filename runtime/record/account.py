"""The recorder's own account of itself, once a second, into the record and to viewers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.access.account import SocketCounts
from runtime.contracts.clock import Clock, tie
from runtime.contracts.messages import Health
from runtime.contracts.units import NS_PER_S

_PERIOD_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Room:
    """What room there is, which step of saving it is at, and what that cost: the fields of `Health` so named."""

    degradation: int = 0
    discarded: int = 0
    free_mib: int | None = None


class Account:
    """When the next account is due, and what stands in it. `sockets` counts what was turned away at the sockets."""

    def __init__(self, process: str, clock: Clock, sockets: Callable[[], SocketCounts]) -> None:
        """The first one is due a second from now."""
        self._process, self._clock, self._sockets = process, clock, sockets
        self._due_ns = clock.monotonic_ns() + _PERIOD_NS

    def next(self, rejected: int, misplaced: int, room: Room, *, now: bool = False) -> Health | None:
        """The account, None where none is due and it is not asked for `now`. `rejected` and `misplaced`: messages of
        the link that were none, and sets that came out of their order.
        """
        moment_ns = self._clock.monotonic_ns()
        if not now and moment_ns < self._due_ns:
            return None
        self._due_ns = moment_ns + _PERIOD_NS
        sockets = self._sockets()
        return Health(
            self._process,
            tie(self._clock),
            malformed=rejected + sockets.malformed,
            refused=sockets.refused,
            degradation=room.degradation,
            discarded=room.discarded,
            free_mib=room.free_mib,
            misplaced=misplaced,
        )
