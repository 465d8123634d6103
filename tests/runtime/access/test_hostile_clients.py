"""Clients that were let in and misbehave: what they send is not taken, is counted, and harms nobody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq
from msgspec.structs import replace

from review.turned_away import turned_away
from runtime.access.account import Accounts
from runtime.access.allowed import AllowedClient, allow
from runtime.access.keys import ConnectionKey, Credentials, new_pair, server_key
from runtime.access.roles import Role
from runtime.bus.publisher import Publisher, Subscriber
from runtime.contracts import link
from runtime.contracts.config import RecordConfig
from runtime.contracts.link import Finish, MessageSet, Payload
from runtime.contracts.messages import Health
from runtime.contracts.topics import HEALTH
from runtime.record.drive import open_drive
from runtime.seal.keys import ensure_key
from runtime.supervise.plan import RunPlan
from tests.runtime.access.strangers import Client, until
from tests.runtime.record.recording import (
    PATIENCE_S,
    Driver,
    RecorderProcess,
    a_plan,
    all_acknowledged,
    frame_payloads,
    over_tcp,
    stored_sets,
)

MIB = 1024 * 1024
GARBAGE = 200


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[RunPlan]:
    key_dir = tmp_path / "keys"
    ensure_key(key_dir)
    record = RecordConfig(sync_ms=5.0, credit=8, picture_slots=8, link_mib=1, key_dir=str(key_dir))
    plan = a_plan(tmp_path / "drive", record, over_tcp())
    yield plan
    shutil.rmtree(plan.run_dir)


def enter(plan: RunPlan, role: Role) -> Credentials:
    key_dir = Path(plan.config.record.key_dir or "")
    pair: ConnectionKey = new_pair()
    allow(key_dir, AllowedClient(f"hostile-{role}", role, pair.public))
    return Credentials(pair, server_key(key_dir).public)


@contextmanager
def dealer(endpoint: str, credentials: Credentials) -> Iterator[zmq.Socket[bytes]]:
    """A client that is let in; what it sent is under way when this ends."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    credentials.put_on(socket)
    socket.connect(endpoint)
    yield socket
    context.destroy(linger=int(PATIENCE_S * 1000))


def test_another_driver_s_garbage_replays_and_sets_ahead_of_their_turn_are_counted_and_not_taken(plan: RunPlan) -> None:
    driving, marking = enter(plan, "driver"), enter(plan, "marker")
    random = np.random.default_rng(1)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        driver.frame_in_lockstep()
        until(lambda: all_acknowledged(driver))
        with dealer(plan.link, driving) as hostile:
            for size in range(GARBAGE):
                hostile.send(random.bytes(size))
            hostile.send_multipart([b"a", b"b", b"c"])
            hostile.send(link.encode(Finish("another session", 1)))
            for sequence in (0, 2**40):  # one that is there, one that is not yet due
                false = MessageSet(plan.session, sequence, 0, 0, frame_payloads(0))
                hostile.send(link.encode(false))
        with dealer(plan.marks, marking) as hostile:
            hostile.send(b"\xc1" * 5000)
            assert hostile.poll(int(PATIENCE_S * 1000))
            assert b"this is no mark" in hostile.recv()
        for _ in range(50):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    assert drive.ledger().frames == 51
    assert len(stored_sets(drive)) == 52
    *_, last = (message.decode() for message in drive.messages(HEALTH))
    assert isinstance(last, Health)
    assert last.malformed == GARBAGE + 3
    assert last.misplaced >= 2
    assert last.refused == 0


def test_what_was_counted_before_the_recorder_died_counts_with_what_came_after(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        with dealer(plan.link, enter(plan, "driver")) as hostile:
            driver.frame_in_lockstep()
            until(lambda: all_acknowledged(driver))
            hostile.send_multipart([b"a", b"b"])
            hostile.send_multipart([b"a", b"b"])
            until(lambda: drives_on_until_told(driver, plan, 2))
            recorder.kill_and_restart()
            driver.frame_in_lockstep()
            until(lambda: all_acknowledged(driver))
            hostile.send_multipart([b"a", b"b"])
            until(lambda: drives_on_until_told(driver, plan, 1))
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert turned_away(open_drive(Path(plan.drive_dir))).malformed == 3


def test_the_last_account_reaches_a_supervisor_that_took_nothing_for_a_while(plan: RunPlan) -> None:
    """It was stopped (Ctrl-Z), and its pipe is full; nobody tells these counts another time."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"\n" * 4096)
    os.set_blocking(theirs, True)
    with os.fdopen(ours, "r") as file, RecorderProcess(plan, theirs) as recorder, Driver(plan) as driver:
        os.close(theirs)
        driver.frame_in_lockstep()
        until(lambda: all_acknowledged(driver))
        with dealer(plan.marks, enter(plan, "marker")) as hostile:
            hostile.send(b"\xc1")
            assert hostile.poll(int(PATIENCE_S * 1000))
        assert driver.sender.finish(PATIENCE_S) is None
        recorder.signal(signal.SIGTERM)
        until(lambda: is_over_or_writes_into_a_full_pipe(recorder.process))
        accounts = Accounts()
        assert [accounts.take(line) for line in file if line.strip()] == [True]
        assert recorder.process.wait(PATIENCE_S) == 0
    assert accounts.total().malformed == 1


def is_over_or_writes_into_a_full_pipe(process: subprocess.Popen[bytes]) -> bool:
    """By what the kernel says that it waits for (proc_pid_wchan(5))."""
    return process.poll() is not None or "pipe_write" in Path(f"/proc/{process.pid}/wchan").read_text()


def drives_on_until_told(driver: Driver, plan: RunPlan, malformed: int) -> bool:
    """Go on with a frame; whether the newest account in the record tells that many. A set stands behind it then."""
    accounts = [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(HEALTH)]
    driver.frame_in_lockstep()
    until(lambda: all_acknowledged(driver))
    return bool(accounts) and accounts[-1].malformed == malformed


def test_without_keys_on_loopback_everybody_can_listen(tmp_path: Path) -> None:
    record = RecordConfig(sync_ms=5.0, credit=8, picture_slots=8)
    plan = a_plan(tmp_path / "drive", record, replace(over_tcp(), curve=False))
    assert plan.clients == ()
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        listener = Subscriber([plan.pictures], queue=100)

        def hears() -> bool:
            driver.frame_in_lockstep()
            return listener.receive(5) is not None

        until(hears)
        listener.close()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    shutil.rmtree(plan.run_dir)


def test_a_set_beyond_the_links_bound_cuts_off_who_sends_it_and_nobody_else(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        driver.frame_in_lockstep()
        until(lambda: all_acknowledged(driver))
        with Client(plan.link, zmq.DEALER, enter(plan, "driver")) as hostile:
            assert hostile.gets_in()
            hostile.socket.send(bytes(2 * MIB))
            assert not hostile.gets_in(), "it is cut off"
        for _ in range(20):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert open_drive(Path(plan.drive_dir)).ledger().frames == 21


def test_the_largest_set_that_the_link_holds_comes_through_with_keys(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        driver.frame_in_lockstep()
        until(lambda: all_acknowledged(driver))
        filled = Payload("/event", -1, 0, 0, bytes(MIB))
        beyond = len(link.encode(MessageSet(plan.session, 2, -1, 0, (filled,)))) - MIB
        driver.sender.hand_over((replace(filled, data=bytes(MIB - beyond)),), t_source_ns=0)
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert driver.sender.lost == 0


def test_a_viewer_that_subscribes_to_something_enormous_is_cut_off_and_others_hear_on(tmp_path: Path) -> None:
    publisher = Publisher(f"ipc://{tmp_path}/pub", "session", queue=4)
    viewer = Subscriber([publisher.endpoint])
    with Client(publisher.endpoint, zmq.XSUB, None) as hostile:
        assert hostile.gets_in()
        hostile.socket.send(b"\x01" + bytes(50_000))
        assert not hostile.gets_in(), "it is cut off"

    def hears() -> bool:
        publisher.publish(Payload("/decision", 0, 0, 0, b"{}"))
        return viewer.receive(5) is not None

    until(hears)
    viewer.close()
    publisher.close()
