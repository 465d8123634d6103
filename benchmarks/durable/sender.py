"""A driving process without a network: it hands over sets at a rate, and keeps account of what became of them."""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.durable.sets import header_payload, payloads, picture
from runtime.bus.link import LinkSender, _Kept
from runtime.contracts.clock import SystemClock
from runtime.contracts.units import NS_PER_S
from runtime.supervise.plan import RunPlan

INPUT_BYTES = 6_000
_PATIENCE_S = 30.0
_COUNTS = struct.Struct("<QQ")
_MOST_SETS = 65_536


class Account:
    """What a sender knew at the moment when it died: shared memory in a file, which no SIGKILL takes away.

    `handed_over` sets; those below `acknowledged` are on the disk, but for those given up.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @property
    def acknowledged(self) -> int:
        """All sets below it were acknowledged, or given up."""
        return int(_COUNTS.unpack_from(self._memory)[0])

    @property
    def handed_over(self) -> int:
        """How many sets there were."""
        return int(_COUNTS.unpack_from(self._memory)[1])

    def tell(self, acknowledged: int, handed_over: int) -> None:
        """The newest counts."""
        _COUNTS.pack_into(self._memory, 0, acknowledged, handed_over)

    def give_up(self, sequence: int) -> None:
        """A set that the link had no room for any more."""
        self._memory[_COUNTS.size + sequence] = 1

    def given_up(self, sequence: int) -> bool:
        """Whether a set was given up."""
        return self._memory[_COUNTS.size + sequence] == 1


@contextmanager
def account(path: Path) -> Iterator[Account]:
    """The account in a file, made where there is none."""
    with path.open("a+b") as file:
        if path.stat().st_size == 0:
            file.truncate(_COUNTS.size + _MOST_SETS)
        with mmap.mmap(file.fileno(), 0) as memory:
            yield Account(memory)


class _Accounting(LinkSender):
    """The link's own sender, which also writes down what it gives up."""

    kept: Account

    def _give_up(self, kept: _Kept) -> None:
        self.kept.give_up(kept.first)
        super()._give_up(kept)


def drive(plan: RunPlan, rate_hz: int, frames: int, path: Path) -> int:
    """Hand over a header and then `frames`, each with a picture, and see them to the disk; the process's exit code."""
    period_ns = NS_PER_S // rate_hz
    with account(path) as kept:
        sender = _Accounting(plan.link, plan.session, plan.config.record, SystemClock(), plan.credentials("driver"))
        sender.kept = kept
        sender.hand_over((header_payload(),), t_source_ns=0)
        due_ns = time.monotonic_ns()
        for frame in range(frames):
            placed = sender.place({"front": picture(frame)})
            sender.hand_over(
                payloads(frame, period_ns, INPUT_BYTES),
                t_source_ns=frame * period_ns,
                frame_sequence=frame,
                pictures=placed.refs,
            )
            kept.tell(sender.acknowledged, frame + 2)
            due_ns += period_ns
            time.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
        why = sender.finish(_PATIENCE_S)
        kept.tell(sender.acknowledged, frames + 1)
        sender.close()
    if why is not None:
        os.write(2, f"{why}\n".encode())
    return 0 if why is None else 2
