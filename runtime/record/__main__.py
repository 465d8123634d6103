"""The recorder's process: `python -m runtime.record PLAN`. It ends on SIGTERM, or when its supervisor dies: the drive's
farewell has it seal all, and stay for as long as the driving process takes to close what it drove.

With `--seal` it only takes up what a dead recorder left, seals it, and ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import zmq

from runtime.access.account import SocketCounts, Teller
from runtime.access.gate import Gate
from runtime.bus.publisher import Publisher
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import ExitCode, RecordError, SightlineError
from runtime.contracts.link import Payload
from runtime.contracts.topics import HEALTH, PICTURE
from runtime.contracts.units import NS_PER_MS
from runtime.incident.marks import MarkDesk, marks_socket
from runtime.record.lock import shared
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.recover import sealer_of, take_up
from runtime.record.store import DriveStore
from runtime.retention.sweep import Sweeper
from runtime.seal.keys import key_dir_of
from runtime.supervise.plan import RunPlan, read_plan

_IDLE_MS = 1000
_DRAIN_MS = 300  # asked to end by a supervisor, which does so after the drive: what is under way comes within this time
_ORPHAN_DRAIN_MS = 5000  # the supervisor is dead: the driving process was asked to end at this same moment
_LINGER_MS = 1000  # for what was answered last
_SEALING_MS = 10  # between two looks at the sealing thread
_BATCH = 64
_MIB = 1024 * 1024
_ENVELOPE_BYTES = 1024  # what CURVE puts around a set: the largest that the link holds must still come through


def main(arguments: list[str]) -> int:
    """Record until the end; 0, or 2 with one line on stderr."""
    parent_pid = os.getppid()
    try:
        plan = read_plan(Path(arguments[0]))
        if "--seal" in arguments[1:]:
            _mend(plan)
        else:
            with shared(Path(plan.drive_dir)):
                _record(plan, parent_pid)
        if os.getppid() != parent_pid:  # the supervisor was killed: the last one out puts the run folder away
            shutil.rmtree(plan.run_dir, ignore_errors=True)
    except SightlineError as error:
        print(f"sightline recorder: {error}", file=sys.stderr, flush=True)  # noqa: T201
        # Buffers that the disk refused must not be tried again by destructors, nor may a half-done seal be waited for.
        os._exit(ExitCode.COULD_NOT)
    return ExitCode.YES


def _mend(plan: RunPlan) -> None:
    """Nobody drives any more: take up what is left. The supervisor has the drive, so it is not asked for alone."""
    done = take_up(Path(plan.drive_dir), config=plan.config)
    if done.why:
        raise RecordError(done.why)


def _record(plan: RunPlan, parent_pid: int) -> None:
    key_dir = key_dir_of(plan.config.record.key_dir)
    signer, unsigned = sealer_of(Path(plan.drive_dir), key_dir)
    store = DriveStore(Path(plan.drive_dir), plan.session, plan.config.record, signer)
    stopping = _termination()
    gate = Gate(plan.server_access())
    router = _router(gate, plan)
    publisher = Publisher(plan.pictures, plan.session, PICTURE.viewer_queue, gate, "pictures")
    pictures = PictureEncoder(publisher.publish, plan.config.record)
    teller = Teller()

    def reply(data: bytes) -> None:
        with contextlib.suppress(zmq.ZMQError):  # nobody of that name is there, or its queue is full: it greets again
            router.send_multipart((recorder.link_name, data), zmq.DONTWAIT)

    def publish(payload: Payload) -> None:
        publisher.publish(payload)
        if payload.topic == HEALTH.name:
            teller.tell(SocketCounts(recorder.rejected + desk.rejected, gate.refused))

    def sockets() -> SocketCounts:
        return SocketCounts(desk.rejected, gate.refused)

    recorder = Recorder(
        plan,
        store,
        pictures,
        clock=SystemClock(),
        reply=reply,
        publish=publish,
        unsigned=unsigned,
        sockets=sockets,
        sweeper=Sweeper(Path(plan.drive_dir).parent, plan.config.record.retention, key_dir),
    )
    desk = MarkDesk(marks_socket(gate, plan.marks), recorder.incidents.mark)
    try:
        if store.recovered is not None and store.recovered.ended:
            recorder.end_taken_up()
        _loop(router, recorder, desk, stopping, parent_pid)
        store.close()
    finally:
        teller.tell(SocketCounts(recorder.rejected + desk.rejected, gate.refused), wait=True)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done: no need to die of it on the way out
        publisher.close()
        gate.close(linger_ms=_LINGER_MS)


def _loop(
    router: zmq.Socket[bytes], recorder: Recorder, desk: MarkDesk, stopping: socket.socket, parent_pid: int
) -> None:
    """Read, write, commit, acknowledge."""
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(desk.socket, zmq.POLLIN)
    poller.register(stopping, zmq.POLLIN)
    drain_ms = 0  # not asked to end
    heard_ns = time.monotonic_ns()
    while True:
        events = dict(poller.poll(recorder.due_ms(_idle_ms(recorder, drain_ms))))
        if stopping.fileno() in events:
            poller.unregister(stopping)
            drain_ms = _DRAIN_MS if os.getppid() == parent_pid else _ORPHAN_DRAIN_MS
        if router in events:
            heard_ns = time.monotonic_ns()
            _take_batch(router, recorder)
        if desk.socket in events:
            desk.serve()
        recorder.commit_if_due()
        recorder.tell_health()
        recorder.keep_room()
        recorder.check_sealed()
        if recorder.finished and drain_ms:
            return
        silent_ms = (time.monotonic_ns() - heard_ns) // NS_PER_MS
        if drain_ms and silent_ms >= drain_ms and not recorder.finishing:
            recorder.end_open("the driving process ended without a farewell")


def _idle_ms(recorder: Recorder, drain_ms: int) -> int:
    if recorder.finishing and not recorder.finished:
        return _SEALING_MS
    return drain_ms or _IDLE_MS


def _take_batch(router: zmq.Socket[bytes], recorder: Recorder) -> None:
    for _ in range(_BATCH):
        try:
            parts = router.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return
        if len(parts) == 2:
            recorder.take(parts[1], parts[0])
        else:
            recorder.rejected += 1
        recorder.commit_if_due()


def _router(gate: Gate, plan: RunPlan) -> zmq.Socket[bytes]:
    router = gate.context.socket(zmq.ROUTER)  # not with ROUTER_HANDOVER: ZeroMQ keeps what it takes a name from
    router.set(zmq.ROUTER_MANDATORY, 1)
    router.set(zmq.RCVHWM, plan.config.record.credit + 64)
    router.set(zmq.MAXMSGSIZE, plan.config.record.link_mib * _MIB + _ENVELOPE_BYTES)
    gate.bind(router, plan.link, "link", "the recorder cannot listen")
    return router


def _termination() -> socket.socket:
    """A socket that becomes readable on SIGTERM. SIGINT is the supervisor's affair."""
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sender.send(b"t"))
    return receiver


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
