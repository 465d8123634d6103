"""What of a message set goes into the record: its messages as far as room allows, its pictures, what they set off."""

from __future__ import annotations

from collections.abc import Callable

from runtime.contracts.clock import Clock
from runtime.contracts.errors import LinkError, RecordError
from runtime.contracts.link import MessageSet, Payload
from runtime.contracts.topics import CLOSING, HEADER, find_topic
from runtime.incident.keeper import IncidentKeeper
from runtime.incident.triggers import Moment
from runtime.record.acceptance import refusal
from runtime.record.pictures import PictureEncoder
from runtime.record.room import RoomWatch, Say
from runtime.record.store import DriveStore

_IN_NO_SEGMENT = -1


class SetWriter:
    """`reject` counts a message that is not taken in, `say` writes an event."""

    def __init__(
        self,
        store: DriveStore,
        pictures: PictureEncoder,
        incidents: IncidentKeeper,
        watch: RoomWatch,
        *,
        clock: Clock,
        say: Say,
        reject: Callable[[], None],
    ) -> None:
        self._store, self._pictures, self._incidents, self._watch = store, pictures, incidents, watch
        self._clock, self._say, self._reject = clock, say, reject
        self._told_given_up = ""

    def take_header(self, message: MessageSet) -> None:
        """Keep the drive's header, where the set holds it."""
        for payload in message.payloads:
            if payload.topic == HEADER.name and not self._is_header(payload):
                self._reject()

    def write(self, message: MessageSet) -> int:
        """Write a set, but for its header and its mark; returns its log_time."""
        if any(payload.topic == CLOSING.name for payload in message.payloads):
            self._watch.write_the_end()
        cameras = {ref.camera for ref in message.pictures}
        for payload in message.payloads:
            if payload.topic != HEADER.name and self._is_taken_in(payload):
                self._write(self._watch.told(payload, cameras))
        log_time_ns = self._store.log_time_ns(message.t_source_ns, self._clock.utc_ns())
        if self._watch.saving.encodes_picture(message.frame_sequence):
            self._write_pictures(message, log_time_ns)
        self._incidents.settle(Moment(message.t_source_ns, message.frame_sequence))
        return log_time_ns

    def _is_header(self, payload: Payload) -> bool:
        """Whether it is the header, kept now or before; not where it is none, or another one."""
        try:
            if self._store.header in (None, HEADER.decode(payload.data)):
                self._store.keep_header(payload.data)
                return True
        except RecordError:
            pass
        return False

    def _is_taken_in(self, payload: Payload) -> bool:
        """Whether the record takes a message of the link in; another one is counted and said."""
        why = refusal(payload)
        if why:
            self._reject()
            self._say(3, "recorder.rejected", why)
        return not why

    def _write_pictures(self, message: MessageSet, log_time_ns: int) -> None:
        """Viewers are given the pictures also where the record has no room for them."""
        saving = self._watch.saving
        recorded = saving.records_picture(message.frame_sequence)
        self._pictures.degraded = saving.smaller_pictures
        for ref in message.pictures:
            try:
                payload = self._pictures.encode(
                    ref,
                    sequence=message.frame_sequence,
                    t_source_ns=message.t_source_ns,
                    log_time_ns=log_time_ns,
                    utc_ns=self._clock.utc_ns(),
                    segment=self._store.segment if recorded else _IN_NO_SEGMENT,
                )
            except LinkError as error:
                self._say(3, "recorder.picture-missing", str(error))
                continue
            finally:
                self._tell_encoder()
            if recorded:
                self._write(payload)

    def _tell_encoder(self) -> None:
        if self._pictures.given_up != self._told_given_up and not self._store.discarding:
            self._told_given_up = self._pictures.given_up
            self._say(4, "recorder.encoder", self._told_given_up)

    def _write(self, payload: Payload) -> None:
        topic = find_topic(payload.topic)
        assert topic is not None
        if self._watch.saving.keeps(topic):
            self._store.append(
                payload.topic,
                topic,
                payload.data,
                log_time_ns=self._store.log_time_ns(payload.t_source_ns, payload.utc_ns),
                publish_time_ns=payload.utc_ns,
                sequence=payload.sequence,
            )
        self._incidents.observe(topic, payload.data, Moment(payload.t_source_ns, payload.sequence))
