"""What the recorder itself writes into the record and shows to viewers, at the newest moment that the record has."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runtime.contracts.clock import Clock
from runtime.contracts.link import Payload
from runtime.contracts.messages import Event, timestamp
from runtime.contracts.topics import EVENT, Topic
from runtime.record.store import DriveStore

NAME = "recorder"


class OwnWords:
    """`took_up` says what an earlier recorder left, `unsigned` why nothing is signed ("": it is)."""

    def __init__(
        self, store: DriveStore, clock: Clock, publish: Callable[[Payload], None], *, took_up: str, unsigned: str
    ) -> None:
        self._store, self._clock, self._publish = store, clock, publish
        self._announced = store.recovered is None
        self._took_up, self._unsigned = took_up, unsigned

    def say(self, level: int, kind: str, text: str) -> None:
        """Write an event."""
        moment_ns = self._store.last_log_time_ns or self._clock.utc_ns()
        assert level in (1, 2, 3, 4, 5)
        self.write(EVENT, Event(timestamp(moment_ns), level, text, NAME, kind))  # type: ignore[arg-type]  # checked above

    def write(self, topic: Topic, message: msgspec.Struct) -> None:
        """Write a message of any topic that has one name."""
        utc_ns, data = self._clock.utc_ns(), topic.encode(message)
        log_time_ns = self._store.last_log_time_ns or utc_ns
        self._store.append(topic.name, topic, data, log_time_ns=log_time_ns, publish_time_ns=utc_ns, sequence=-1)
        self._publish(Payload(topic.name, -1, 0, utc_ns, data))

    def announce(self, damage: str) -> None:
        """Say, once there is a record to say it in and once only, what an earlier recorder left, why nothing is signed,
        and the `damage` of what was taken up.
        """
        if self._unsigned:
            unsigned, self._unsigned = self._unsigned, ""
            self.say(4, "recorder.not-signed", unsigned)
        recovered = self._store.recovered
        if self._announced or recovered is None:
            return
        self._announced = True
        self.say(
            3,
            "recorder.restarted",
            f"{self._took_up}: {recovered.next_sequence} message sets were on the disk, "
            f"{recovered.journals} open segments were recovered, {recovered.cut_bytes} bytes of a set that was not "
            "whole were cut away",
        )
        for one in recovered.damaged:
            self.say(4, "recorder.segment-damaged", one)
        if damage:
            self.say(3, "recorder.incidents-damaged", damage)
