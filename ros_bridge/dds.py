"""A participant on DDS that speaks to ROS 2 nodes without ROS: cyclonedds, with version 1 of CDR as ROS 2 uses it.

ROS lays a topic `/a/b` on the DDS topic `rt/a/b` and a type `p/msg/T` on `p::msg::dds_::T_`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.core import DDSException, InstanceState, Listener, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from ros_bridge import cdr
from ros_bridge.dds_types import carrying, dds_type, ros_type
from ros_bridge.messages import Clock, M, Message
from ros_bridge.reach import reach_of
from ros_bridge.standstill import Standstill
from ros_bridge.transport import Publication, Quality, Received
from runtime.contracts.clock import Clock as HostClock
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import LinkError, SourceError

_TOPIC = re.compile(r"/[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
# Pictures come in thousands of fragments at once: with the usual megabyte of socket buffer two thirds of raw 1280x720
# pictures at 30 Hz were lost on loopback, with four none. More than the kernel's net.core.rmem_max is not given.
_OURS = '<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max="16MB"/></Internal></Domain></CycloneDDS>'
_LEAST_KEPT = (
    16  # of a listener's own queue, which nobody else sees: a burst that comes while its thread waits its turn
)
_IDLE_S = 0.1  # how long the receiving thread may sleep beyond `close`
_HANG_S = 2.0
_AT_ONCE = 32  # samples taken from one reader before the others have their turn
_DOMAINS: dict[int, Domain] = {}
_CONFIGURING = threading.Lock()


class DdsTransport:
    """See `ros_bridge.transport.Transport`.

    Args:
        domain: as ROS_DOMAIN_ID.
        sim_time: `now_ns` follows /clock.
        clock: tells when this process stood still.

    Raises LinkError where no participant can be made.
    """

    def __init__(self, domain: int = 0, *, sim_time: bool = False, clock: HostClock | None = None) -> None:
        try:
            _configure(domain)
            self._participant: Any = DomainParticipant(domain)
        except DDSException as error:
            raise LinkError(f"no DDS participant on domain {domain}: {error}; is CYCLONEDDS_URI right?") from error
        self._builtin: Any = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
        self._waiting: Any = WaitSet(self._participant)
        self._inbound: list[_Inbound] = []
        self._outbound: list[_Outbound] = []  # cyclonedds ends a writer that nobody holds
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._clock_ns: int | None = 0 if sim_time else None
        self._standstill = Standstill(clock or SystemClock())
        self._thread = threading.Thread(target=self._receive, name="dds", daemon=True)
        self._thread.start()
        if sim_time:
            self.subscribe("/clock", Clock, Quality(reliable=False, latched=False, depth=1), self._on_clock, 1024)

    def subscribe(
        self, topic: str, kind: type[M], quality: Quality, on_received: Callable[[Received], None], max_bytes: int
    ) -> None:
        """See Transport."""
        inbound = _Inbound(self._participant, topic, kind, quality, on_received=on_received, max_bytes=max_bytes)
        with self._lock:
            self._inbound.append(inbound)
            self._waiting.attach(inbound.condition)

    def advertise(self, topic: str, kind: type[Message], quality: Quality) -> Publication:
        """See Transport."""
        self._outbound.append(_Outbound(self._participant, topic, kind, quality))
        return self._outbound[-1]

    def publishers(self, topic: str) -> tuple[str, ...]:
        """See Transport."""
        found = self._builtin.read(N=10_000)
        here = [one for one in found if one.topic_name == f"rt{topic}" and one.sample_info.instance_state & _ALIVE]
        return tuple(sorted({ros_type(one.type_name) for one in here}))

    def now_ns(self) -> int:
        """See Transport."""
        return time.time_ns() if self._clock_ns is None else self._clock_ns

    def close(self) -> None:
        """See Transport."""
        self._closed.set()
        if self._thread is threading.current_thread():
            return
        self._thread.join(_HANG_S)
        if self._thread.is_alive():  # in a callback that hangs: what it uses stays
            return
        with self._lock:
            for inbound in self._inbound:
                inbound.leave()
            for outbound in self._outbound:
                outbound.leave()
            self._inbound.clear()
            self._outbound.clear()
            # cyclonedds ends what nobody holds any more.
            self._waiting = self._builtin = self._participant = None

    def _on_clock(self, received: Received) -> None:
        if isinstance(received.message, Clock):
            self._clock_ns = received.message.clock.ns

    def _receive(self) -> None:
        while not self._closed.is_set():
            self._waiting.wait(duration(seconds=_IDLE_S))
            self._standstill.step()
            with self._lock:
                inbound = tuple(self._inbound)
            for one in inbound:
                one.deliver(self._standstill)


_ALIVE = int(InstanceState.Alive)


class _Inbound:
    """One topic's reader."""

    def __init__(
        self,
        participant: DomainParticipant,
        topic: str,
        kind: type[Message],
        quality: Quality,
        *,
        on_received: Callable[[Received], None],
        max_bytes: int,
    ) -> None:
        self._kind, self._on_received, self._max_bytes = kind, on_received, max_bytes
        self._lost = 0
        listener = Listener(on_sample_lost=self._on_lost)  # type: ignore[no-untyped-call]
        try:
            dds_topic = Topic(participant, dds_topic_name(topic), dds_type(kind), qos=qos_of(quality))
            kept = replace(quality, depth=max(quality.depth, _LEAST_KEPT))
            self._reader: Any = DataReader(participant, dds_topic, qos=qos_of(kept), listener=listener)
        except DDSException as error:
            raise LinkError(f"{topic} cannot be listened to as {kind.ROS_TYPE}: {error}") from error
        everything = ViewState.Any | InstanceState.Any | SampleState.NotRead
        self.condition: Any = ReadCondition(self._reader, everything)

    def leave(self) -> None:
        self.condition = self._reader = None

    def deliver(self, standstill: Standstill) -> None:
        for sample in self._reader.take(N=_AT_ONCE, condition=self.condition):
            payload = getattr(sample, "payload", None)
            if payload is None:  # the publisher has gone
                continue
            now_ns, (lost, self._lost) = time.time_ns(), (self._lost, 0)
            message, refusal = None, standstill.step()
            if not refusal:
                try:
                    message = cdr.decode(self._kind, payload, max_bytes=self._max_bytes)
                except SourceError as error:
                    refusal = str(error)
            self._on_received(Received(message, refusal, now_ns, lost))

    def _on_lost(self, _reader: Any, status: Any) -> None:
        self._lost += int(status.total_count_change)


class _Outbound:
    """One topic's writer."""

    def __init__(self, participant: DomainParticipant, topic: str, kind: type[Message], quality: Quality) -> None:
        self._kind, self._topic = kind, topic
        self._type = dds_type(kind)
        try:
            dds_topic = Topic(participant, dds_topic_name(topic), self._type, qos=qos_of(quality))
            self._writer: Any = DataWriter(participant, dds_topic, qos=qos_of(quality))
        except DDSException as error:
            raise LinkError(f"{topic} cannot be published as {kind.ROS_TYPE}: {error}") from error

    def leave(self) -> None:
        self._writer = None

    def listeners(self) -> int:
        return 0 if self._writer is None else len(self._writer.get_matched_subscriptions())

    def publish(self, message: Message) -> None:
        if not isinstance(message, self._kind):
            raise LinkError(f"{self._topic} carries {self._kind.ROS_TYPE}, and was given {type(message).__name__}")
        if self._writer is None:
            raise LinkError(f"{self._topic}: the network was left; nothing more is published")
        try:
            self._writer.write(carrying(self._type, cdr.encode(message)))
        except DDSException as error:
            raise LinkError(f"{self._topic}: DDS did not take a {self._kind.ROS_TYPE}: {error}") from error


def _configure(domain: int) -> None:
    """Our settings of a domain, then ROS's and cyclonedds's own of the environment: what comes last wins. Once in a
    process.
    """
    with _CONFIGURING:
        if domain not in _DOMAINS:
            told = (_OURS, reach_of(os.environ), os.environ.get("CYCLONEDDS_URI", ""))
            _DOMAINS[domain] = Domain(domain, ",".join(filter(None, told)))


def dds_topic_name(topic: str) -> str:
    """The DDS topic of a ROS topic. Raises LinkError where ROS knows no such name."""
    if not _TOPIC.fullmatch(topic):
        raise LinkError(f"{topic!r} is no full name of a ROS topic; write it like /camera/image_raw")
    return f"rt{topic}"


def qos_of(quality: Quality) -> Qos:
    """The policies of a quality, with version 1 of CDR, which is what ROS 2 speaks."""
    durability = Policy.Durability.TransientLocal if quality.latched else Policy.Durability.Volatile
    reliability = Policy.Reliability.Reliable(duration(milliseconds=100))
    policies = [
        reliability if quality.reliable else Policy.Reliability.BestEffort,
        durability,
        Policy.History.KeepLast(quality.depth),
        Policy.DataRepresentation(use_cdrv0_representation=True),
    ]
    if quality.latched:
        policies.append(
            Policy.DurabilityService(
                cleanup_delay=0,
                history=Policy.History.KeepLast(quality.depth),
                max_samples=-1,
                max_instances=-1,
                max_samples_per_instance=-1,
            )
        )
    return Qos(*policies)
