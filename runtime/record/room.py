"""Has room made while a drive is recorded, and decides what is recorded while there is too little."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace

import msgspec

from runtime.contracts.clock import Clock
from runtime.contracts.config import RecordConfig
from runtime.contracts.link import Payload
from runtime.contracts.topics import LEDGER
from runtime.contracts.units import NS_PER_S, ns_from_s
from runtime.record.account import Room
from runtime.record.store import DriveStore
from runtime.retention.saving import Saving
from runtime.retention.steps import FEWER_PICTURES, NOTHING, Refusals, RoomSeen, in_words, next_step
from runtime.retention.sweep import OwnDrive, Sweeper, Swept
from runtime.seal.chain import DriveSealer

_MIB = 1024 * 1024
_PERIOD_S = 1.0
_SEALING_AGAIN_S = 30.0  # what there was no room to seal is tried again so often
_RESERVE_BYTES = _MIB  # beside what the growing journal may take when it is rewritten

Say = Callable[[int, str, str], None]


class RoomWatch:
    """`say` writes an event, `commit` brings what is pending to the disk, `declare` writes what was discarded as a gap,
    and what was told of incidents meanwhile.

    `pinned` gives the segments of this drive that must stay. `sweeper` None: nothing is watched.
    """

    def __init__(
        self,
        store: DriveStore,
        config: RecordConfig,
        clock: Clock,
        sweeper: Sweeper | None,
        *,
        pinned: Callable[[], Collection[int]],
        say: Say,
        commit: Callable[[], None],
        declare: Callable[[], None],
    ) -> None:
        self.saving = Saving(0, config.retention.degraded_picture_every)
        self._before_ns = ns_from_s(config.incidents.before_s)
        self._store, self._clock, self._sweeper, self._pinned = store, clock, sweeper, pinned
        self._say, self._commit, self._declare = say, commit, declare
        self._min_free_bytes = config.retention.min_free_mib * _MIB
        self._sweep: Future[Swept] | None = None
        self._due_s = self._sealing_due_s = 0.0
        self._seen: Swept | None = None  # None: not since the disk last refused
        self._refusals, self._refused = Refusals(), 0
        self._ending = False
        self.discarded = 0

    @property
    def room(self) -> Room:
        """For the account of itself."""
        free_mib = None if self._seen is None else self._seen.room_bytes // _MIB
        waiting = self._store.next_sequence - self._store.kept_sequence if self._store.discarding else 0
        return Room(self.saving.step, self.discarded + waiting, free_mib)

    def look(self) -> None:
        """In each turn of the loop: take what was found out, have it found out anew, and take the step that follows."""
        if self._sweeper is None or self._ending:
            return
        now_s = self._clock.monotonic_ns() / NS_PER_S
        if self._store.refusals > self._refused:
            self._refused, self._seen, self._due_s = self._store.refusals, None, now_s
            self._refusals = self._refusals.another(now_s)
        self._take_sweep()
        if self._sweep is None and now_s >= self._due_s:
            self._due_s = now_s + _PERIOD_S
            self._sweep = self._store.sealing.beside(self._job(self._sweeper))
        step = self._next_step(now_s)
        if step != self.saving.step:
            self._go_to(step)

    def write_the_end(self) -> None:
        """The drive ends: what was discarded must be declared, and the last words written, if need be into the room
        that was kept back for it.
        """
        self._ending = True
        if self._store.discarding:
            self._store.reserve.release()
            self._resume()

    def told(self, payload: Payload, cameras: Collection[str]) -> Payload:
        """A message as it is recorded: the ledger's line says what is left out of its frame, and why. `cameras` are
        those that the frame has a picture of.
        """
        if self.saving.step < FEWER_PICTURES or payload.topic != LEDGER.name:
            return payload
        line = LEDGER.decode(payload.data)
        told = self.saving.told(line, has_picture=line.frame_id.camera in cameras)
        return payload if told is line else msgspec.structs.replace(payload, data=LEDGER.encode(told))

    def _job(self, sweeper: Sweeper) -> Callable[[], Swept]:
        """What the sealing thread is to do."""
        store, journal_bytes = self._store, self._store.journal_bytes

        def sweep() -> Swept:
            signer = store.sealing.signer
            own = None if signer is None else OwnDrive(store.folder, signer, self._staying(signer))
            swept = sweeper.sweep(own, store.reserve)
            before = store.reserve.size_bytes
            if swept.room_bytes > _RESERVE_BYTES + journal_bytes - before:
                store.reserve.hold(_RESERVE_BYTES + journal_bytes)
            if store.reserve.size_bytes == before:
                return swept
            return replace(swept, room_bytes=sweeper.room_bytes())  # less where the disk is the limit, not the quota

        return sweep

    def _staying(self, signer: DriveSealer) -> set[int]:
        """Segments that incidents pin, and those that an incident would reach back to if it began now."""
        reach_ns = self._store.last_log_time_ns - self._before_ns
        recent = {index for index, seal in list(signer.segments.items()) if seal.last_log_time_ns >= reach_ns}
        return recent.union(self._pinned())

    def _take_sweep(self) -> None:
        if self._sweep is None or not self._sweep.done():
            return
        sweep, self._sweep = self._sweep, None
        try:
            self._seen = swept = sweep.result()
        except OSError as error:
            self._say(3, "recorder.room-unknown", f"what room there is cannot be found out: {error.strerror}")
            return
        self._store.sealing.add_heads(swept.heads)
        now_s = self._clock.monotonic_ns() / NS_PER_S
        if not self._store.discarding and now_s >= self._sealing_due_s:
            self._sealing_due_s = now_s + _SEALING_AGAIN_S
            self._store.sealing.retry()
        for problem in swept.problems:
            self._say(3, "recorder.not-deleted", problem)
        for drive in dict.fromkeys(one.drive for one in swept.deleted):
            indices = [one.index for one in swept.deleted if one.drive == drive]
            if drive == self._store.folder:
                self._store.forget(indices)
            which = ", ".join(str(index) for index in indices)
            self._say(2, "recorder.deleted", f"to make room segment {which} of {drive.name} was deleted")

    def _next_step(self, now_s: float) -> int:
        if self._store.discarding and not self._refusals.may_try(now_s):
            return NOTHING
        if self._seen is None:
            return NOTHING if self._store.discarding else self.saving.step
        return next_step(self.saving.step, RoomSeen(self._seen.room_bytes, self._min_free_bytes, self._seen.exhausted))

    def _go_to(self, step: int) -> None:
        before, self.saving = self.saving.step, replace(self.saving, step=step)
        worse = step > before
        level, kind = (4 if step == NOTHING else 3, "recorder.degraded") if worse else (2, "recorder.restored")
        if before == NOTHING and not self._resume():
            self.saving = replace(self.saving, step=NOTHING)
            return
        free = "the disk refuses" if self._seen is None else f"{self._seen.room_bytes / _MIB:.0f} MiB are free"
        self._say(
            level,
            kind,
            f"room: {free}, {self._min_free_bytes // _MIB} MiB should be; {in_words(step, self.saving.picture_every)}",
        )
        if step == NOTHING and not self._store.discarding:
            self._commit()
            self._store.pause()

    def _resume(self) -> bool:
        """Write again, first of all what was discarded; False where the disk refuses that too."""
        discarded = self._store.next_sequence - self._store.kept_sequence
        self._store.resume()
        self._declare()
        self._commit()
        if self._store.discarding:
            return False
        self.discarded += discarded
        return True
