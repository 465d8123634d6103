"""What the recorder does with each message of the link. Pure of sockets: bytes in, replies through `reply`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runtime.access.account import SocketCounts
from runtime.contracts import link
from runtime.contracts.clock import Clock
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Acknowledge, Finish, Finished, Hello, LossNotice, MessageSet, Payload, ToDrive
from runtime.contracts.messages import Gap
from runtime.contracts.topics import GAP, HEALTH, SEAL_HEAD
from runtime.contracts.units import NS_PER_MS
from runtime.incident.keeper import IncidentKeeper
from runtime.record.account import Account
from runtime.record.own_words import NAME, OwnWords
from runtime.record.pictures import PictureEncoder
from runtime.record.room import RoomWatch
from runtime.record.set_writer import SetWriter
from runtime.record.store import DriveStore
from runtime.retention.sweep import Sweeper
from runtime.supervise.plan import RunPlan


class Recorder:
    """Takes sets in their order, once each; acknowledges what is on the disk.

    `rejected` counts bytes and messages that were none of the link's. Raises RecordError where the disk refuses.
    """

    def __init__(
        self,
        plan: RunPlan,
        store: DriveStore,
        pictures: PictureEncoder,
        *,
        clock: Clock,
        reply: Callable[[bytes], None],
        publish: Callable[[Payload], None],
        unsigned: str = "",
        took_up: str = "the recorder was started again",
        sockets: Callable[[], SocketCounts] | None = None,
        sweeper: Sweeper | None = None,
    ) -> None:
        self._session, self._config, self._store = plan.session, plan.config.record, store
        self._pictures, self._clock = pictures, clock
        self._reply, self._publish = reply, publish
        self._pending = 0  # taken and not acknowledged
        self._pending_since_ns = 0
        self._asked_for = -1  # the sequence that was last asked for again
        self.finishing = False
        self._told_unsealed = self._tried_again = False
        self._told_unlisted = ""
        self._greeted = False
        self._ring_named = False
        self._own = OwnWords(store, clock, publish, took_up=took_up, unsigned=unsigned)
        self.say = self._own.say
        self._account = None if sockets is None else Account(NAME, clock, sockets)  # None: nobody can connect
        self.link_name = b""  # the driving process's connection
        self.rejected = 0
        self.misplaced = 0  # sets that were here already, or came before their turn: not taken
        self.finished = False
        self.incidents = IncidentKeeper(
            Path(plan.drive_dir), plan.drive_id, self._config.incidents, store, self._own.write
        )
        self.watch = RoomWatch(
            store,
            self._config,
            clock,
            sweeper,
            pinned=lambda: self.incidents.pinned,
            say=self.say,
            commit=self._commit,
            declare=self._declare_discarded,
        )
        self._sets = SetWriter(
            store, pictures, self.incidents, self.watch, clock=clock, say=self.say, reject=self._reject
        )

    def take(self, data: bytes, sender: bytes = b"") -> None:
        """Handle one message of the link; bytes that are none are counted and forgotten. Answers go to the last
        `sender` that knew the session.
        """
        try:
            message = link.decode_to_recorder(data)
        except LinkError:
            self.rejected += 1
            return
        if message.session == self._session and sender:
            self.link_name = sender
        if message.session != self._session:
            self.rejected += 1
        elif self.finishing and not isinstance(message, Finish):
            self._commit()  # the record is closed: nothing may be written behind its end
        elif isinstance(message, MessageSet):
            self._take_set(message)
        elif isinstance(message, LossNotice):
            self._take_loss(message)
        elif isinstance(message, Hello):
            self._greet(message)
        else:
            self._take_finish(message)

    def commit_if_due(self) -> None:
        """Group commit: at the latest `sync_ms` after the first unsynced set, or when half of the credit is used."""
        if not self._pending:
            return
        waited_ns = self._clock.monotonic_ns() - self._pending_since_ns
        if waited_ns >= self._config.sync_ms * NS_PER_MS or 2 * self._pending >= self._config.credit:
            self._commit()

    def due_ms(self, idle_ms: int) -> int:
        """How long the loop may wait for the next message."""
        if not self._pending:
            return idle_ms
        waited_ns = self._clock.monotonic_ns() - self._pending_since_ns
        return max(0, min(idle_ms, int((self._config.sync_ms * NS_PER_MS - waited_ns) // NS_PER_MS) + 1))

    def tell_health(self, *, now: bool = False) -> None:
        """Its own account, once a second or `now`: into the record, and to viewers."""
        if self._account is None or self.finishing or self._store.header is None:
            return
        health = self._account.next(self.rejected, self.misplaced, self.watch.room, now=now)
        if health is not None:
            self._own.write(HEALTH, health)

    def end_open(self, reason: str) -> None:
        """The driving process is gone without a farewell: declare the open end and have the record sealed."""
        if self._store.next_sequence == 0:
            self.finishing = True  # the drive never began: there is nothing to declare
        elif not self.finishing:
            self.watch.write_the_end()
            gap = Gap(self._session, self._store.next_sequence, None, reason)
            self._own.write(GAP, gap)
            self.incidents.tell("lost", reason)
            self.say(
                4,
                "recorder.open-end",
                f"{reason}; nothing is known from set {gap.first} on, and at most {self._config.link_sets} sets were "
                "waiting in the driving process, beside those that it had given up and could not declare any more",
            )
            self._finish()

    def end_taken_up(self) -> None:
        """The drive had ended in order before this recorder came: say what was found where anything was open, and write
        nothing where all is sealed.
        """
        recovered = self._store.recovered
        if self.incidents.any_open or (recovered is not None and recovered.journals):
            self._finish()
        self.finishing = True

    def keep_room(self) -> None:
        """Have room made where it is short, and record less, or again more, as there is. In each turn of the loop."""
        if not self.finishing:
            self.watch.look()

    def check_sealed(self) -> None:
        """Once the last segment is sealed, say so to the drive. Raises RecordError where one cannot be, at the end."""
        sealing = self._store.sealing.busy()
        self._tell_heads()
        error = self._store.sealing.error
        if error is not None and self.finishing:
            raise error
        if error is not None and not self._told_unsealed:
            self._told_unsealed = True
            self.say(4, "recorder.not-sealed", str(error))
        if self.finishing and not self.finished and not sealing and not self._tried_again:
            self._tried_again = True
            sealing = self._store.sealing.retry()
        if self.finishing and not self.finished and not sealing:
            self._store.sealing.finish()
            self.finished = True
            self._tell_heads()
            self._answer(Finished(self._session, self._store.sealing.unfinished))

    def _tell_heads(self) -> None:
        for head in self._store.sealing.take_heads():
            self._publish(Payload(SEAL_HEAD.name, -1, 0, self._clock.utc_ns(), SEAL_HEAD.encode(head)))

    def _take_set(self, message: MessageSet) -> None:
        if not self._greeted or (message.pictures and not self._ring_named):
            return  # it must greet first, so that its pictures can be found; our silence makes it do so
        if not self._is_next(message.sequence, message.sequence):
            return
        self._sets.take_header(message)
        self._own.announce(self.incidents.damage)
        log_time_ns = self._sets.write(message)
        self._done(message.sequence, message.sequence, message.frame_sequence, log_time_ns)

    def _reject(self) -> None:
        self.rejected += 1

    def _take_loss(self, message: LossNotice) -> None:
        gap = message.gap
        if gap.last is None or not gap.first <= gap.last <= link.LAST_SEQUENCE or gap.session != self._session:
            self.rejected += 1
        elif self._is_next(gap.first, gap.last):
            self._declare(self._store.next_sequence, gap.last, gap.reason)

    def _declare_discarded(self) -> None:
        first, last = self._store.kept_sequence, self._store.next_sequence - 1
        if first <= last:
            self._declare(first, last, "there was no room for them on the disk")
        self.incidents.tell_again(first)

    def _declare(self, first: int, last: int, reason: str) -> None:
        """Write a gap in the place of the sets `first` to `last`."""
        gap = Gap(self._session, first, last, reason)
        self._own.announce(self.incidents.damage)
        self._own.write(GAP, gap)
        self.say(4, "link.gap", f"message sets {gap.first} to {gap.last} are not in the record: {reason}")
        self._done(gap.first, last, -1, self._store.last_log_time_ns)

    def _greet(self, message: Hello) -> None:
        self._greeted = True
        self._ring_named = message.ring_path != ""
        try:
            self._pictures.open_ring(message)
        except LinkError as error:
            self.rejected += 1
            self.say(3, "recorder.picture-missing", str(error))
        if message.oldest_unacknowledged > self._store.next_sequence:
            self._declare(
                self._store.next_sequence,
                message.oldest_unacknowledged - 1,
                "they were acknowledged once, or given up before this recorder came, and the record does not hold them",
            )
        self._commit(resend=True)

    def _take_finish(self, message: Finish) -> None:
        if message.sequence > self._store.next_sequence:
            self._commit(resend=True)
        elif message.sequence < self._store.next_sequence:
            self.rejected += 1  # there are sets beyond what it says was all
        elif self.finished:
            self._answer(Finished(self._session, self._store.sealing.unfinished))
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.finishing:
            self.watch.write_the_end()
            self._own.announce(self.incidents.damage)
            if self.rejected:
                self.say(3, "recorder.rejected", f"{self.rejected} messages on the link were malformed or foreign")
            self.incidents.close()
            self.tell_health(now=True)
            self._commit()
            self._store.rotate()
            if self._store.discarding:
                self._store.sealing.leave_open()
            self.finishing = True

    def _is_next(self, first: int, last: int) -> bool:
        """Whether a message in the place of sets `first` to `last` is the one to take now."""
        expected = self._store.next_sequence
        if self.finishing or last < expected:
            self.misplaced += 1
            return False
        if first > expected:
            self.misplaced += 1
            if self._asked_for != expected:
                self._asked_for = expected
                self._commit(resend=True)
            return False
        return True

    def _done(self, first: int, last: int, frame_sequence: int, log_time_ns: int) -> None:
        self._store.mark(
            first,
            last,
            frame_sequence=frame_sequence,
            log_time_ns=log_time_ns,
            publish_time_ns=self._clock.utc_ns(),
        )
        if not self._pending:
            self._pending_since_ns = self._clock.monotonic_ns()
        self._pending += 1

    def _commit(self, *, resend: bool = False) -> None:
        self._store.sync()
        unlisted = self.incidents.save()  # a disk that refuses it has the triggers in the journal, and is asked again
        if unlisted != self._told_unlisted and not (self._store.discarding or self.finishing):  # else it is not written
            if unlisted:
                self.say(4, "recorder.incidents-unlisted", unlisted)
            self._told_unlisted = unlisted
        self._pending = 0
        self._answer(Acknowledge(self._session, self._store.next_sequence, self._config.credit, resend))

    def _answer(self, message: ToDrive) -> None:
        self._reply(link.encode(message))
