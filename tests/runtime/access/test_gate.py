"""The gate before real sockets: who gets in, who is counted, who is cut."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from runtime.access.allowed import LIST_NAME, AllowedClient, AllowList, allow, revoke
from runtime.access.gate import Gate, ServerAccess
from runtime.access.keys import ConnectionKey, Credentials, ensure_server_key, new_pair
from runtime.access.roles import OPENS, ROLES, Door, Role
from runtime.bus.publisher import Publisher, Subscriber
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Payload
from tests.docs.pages import ROOT
from tests.runtime.access.strangers import PATIENCE_S, Client, credentials, is_let_in, send_raw, until

DOORS: tuple[Door, ...] = ("viewers", "pictures", "link", "marks")
NULL_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + b"\x00" + bytes(31)
ANYWHERE = "tcp://127.0.0.1:*"


class Served:
    """A gate with one socket, the vehicle's keys, and a way to enter clients."""

    def __init__(self, folder: Path, kind: int = zmq.ROUTER, door: Door = "link") -> None:
        self.folder, self.key = folder, ensure_server_key(folder)
        self.gate = Gate(ServerAccess(self.key, AllowList(folder)))
        self.socket = self.gate.context.socket(kind)
        self.gate.bind(self.socket, ANYWHERE, door, "nobody can be served")
        self.endpoint = self.socket.get_string(zmq.LAST_ENDPOINT)

    def enter(self, role: Role, name: str = "somebody") -> Credentials:
        pair = new_pair()
        allow(self.folder, AllowedClient(name, role, pair.public))
        return credentials(self.key, pair)

    def refused(self, count: int) -> None:
        """Wait until that many were turned away; one more would be too many."""
        until(lambda: self.gate.refused >= count)
        assert self.gate.refused == count


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "keys")
    yield served
    served.gate.close()


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_to_the_roles_that_the_table_names_and_to_no_other(door: Door, tmp_path: Path) -> None:
    served = Served(tmp_path / "keys", zmq.ROUTER, door)
    entered = {role: served.enter(role, role) for role in ROLES}
    got_in = {role for role, keys in entered.items() if is_let_in(served.endpoint, zmq.DEALER, keys)}
    assert got_in == {role for role in ROLES if door in OPENS[role]}
    served.refused(len(ROLES) - len(got_in))
    served.gate.close()


def test_no_key_a_foreign_key_and_a_wrong_idea_of_the_vehicle_are_refused_and_counted(served: Served) -> None:
    driver = served.enter("driver")
    assert not is_let_in(served.endpoint, zmq.DEALER, None)
    served.refused(1)
    assert not is_let_in(served.endpoint, zmq.DEALER, credentials(served.key))
    served.refused(2)
    assert not is_let_in(served.endpoint, zmq.DEALER, Credentials(driver.own, new_pair().public))
    served.refused(3)
    assert is_let_in(served.endpoint, zmq.DEALER, driver)
    served.refused(3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: car\r\n\r\n",
        random.Random(1).randbytes(500),
        b"\x01\x00\x05hello",
        b"\xff" + bytes(8) + b"\x7f\x01\x02\x00\x00hello",
        NULL_GREETING + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER",
        CURVE_GREETING + b"\x04\xc8\x05HELLO" + bytes(194),
        CURVE_GREETING + b"\x06" + b"\x7f" + b"\xff" * 7 + bytes(100),
    ],
    ids=("nothing", "http", "noise", "ZMTP 1", "ZMTP 2", "no security", "a broken hello", "an exbibyte"),
)
def test_bytes_that_are_no_client_of_ours_are_refused_and_counted_and_harm_nobody(data: bytes, served: Served) -> None:
    send_raw(served.endpoint, data)
    served.refused(1)
    assert is_let_in(served.endpoint, zmq.DEALER, served.enter("driver"))


KNOCKED_WHILE_IT_CLOSES = """
import socket, sys
from contextlib import suppress
from pathlib import Path
from tests.runtime.access.test_gate import Served

served = Served(Path(sys.argv[1]))
watcher = served.gate._watcher

class Joined:
    def join(self):
        watcher.join()
        stranger = socket.create_connection(("127.0.0.1", int(served.endpoint.rpartition(":")[2])), timeout=2)
        with suppress(TimeoutError):
            stranger.recv(1)  # the greeting comes behind what is told of the stranger

served.gate._watcher = Joined()
served.gate.close()
"""


def test_a_stranger_who_comes_while_it_closes_does_not_hold_it_up(tmp_path: Path) -> None:
    """In a process of its own: what hung there held Python's lock, and no timeout of a test could end it."""
    command = [sys.executable, "-c", KNOCKED_WHILE_IT_CLOSES, str(tmp_path / "keys")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=PATIENCE_S)


def test_the_vehicle_proves_itself_too_so_that_nobody_can_pass_for_it(served: Served, tmp_path: Path) -> None:
    false = Served(tmp_path / "false")
    own = served.enter("viewer").own
    allow(false.folder, AllowedClient("stolen-name", "driver", own.public))
    assert not is_let_in(false.endpoint, zmq.DEALER, Credentials(own, served.key.public))
    false.gate.close()


def test_whoever_is_entered_gets_in_at_once_and_whoever_is_struck_off_does_not_come_back(served: Served) -> None:
    pair = new_pair()
    assert not is_let_in(served.endpoint, zmq.DEALER, credentials(served.key, pair))
    allow(served.folder, AllowedClient("late", "driver", pair.public))
    assert is_let_in(served.endpoint, zmq.DEALER, credentials(served.key, pair))
    revoke(served.folder, "late")
    assert not is_let_in(served.endpoint, zmq.DEALER, credentials(served.key, pair))
    served.refused(2)


def test_a_list_that_others_can_write_lets_nobody_in(served: Served) -> None:
    driver = served.enter("driver")
    (served.folder / LIST_NAME).chmod(0o666)
    assert not is_let_in(served.endpoint, zmq.DEALER, driver)
    served.refused(1)


def test_an_open_connection_is_cut_when_its_key_is_struck_off_and_others_come_back(tmp_path: Path) -> None:
    served = Served(tmp_path / "keys")
    publisher = Publisher(ANYWHERE, "session", 100, served.gate)
    endpoint = publisher.endpoint
    gone, stays = (Subscriber([endpoint], queue=100, credentials=served.enter("viewer", name)) for name in "ab")
    sent = iter(range(1_000_000))

    def hears(viewer: Subscriber, later_than: int = -1) -> bool:
        publisher.publish(Payload("/decision", next(sent), 0, 0, b"{}"))
        message = viewer.receive(5)
        return message is not None and message.header.sequence > later_than

    until(lambda: hears(gone))
    until(lambda: hears(stays))
    revoke(served.folder, "a")
    until(lambda: served.gate.refused > 0)  # it was cut, and has tried to come back
    last = next(sent)
    until(lambda: hears(stays, last))
    while gone.receive(0) is not None:
        pass
    assert not any(hears(gone) for _ in range(20))
    for viewer in (gone, stays):
        viewer.close()
    publisher.close()
    served.gate.close()


def test_a_viewer_can_only_listen(tmp_path: Path) -> None:
    served = Served(tmp_path / "keys", zmq.PUB, "viewers")
    viewer = served.enter("viewer")
    for kind in (zmq.PUSH, zmq.DEALER, zmq.PUB):
        assert not is_let_in(served.endpoint, kind, viewer)
    served.refused(3)
    with Client(served.endpoint, zmq.XSUB, viewer) as upstream, Client(served.endpoint, zmq.SUB, viewer) as listener:
        assert upstream.gets_in()
        assert listener.gets_in()
        upstream.socket.send(b"a message of mine")
        until(lambda: _arrives(served.socket, listener.socket))
    served.gate.close()


def _arrives(publisher: zmq.Socket[bytes], listener: zmq.Socket[bytes]) -> bool:
    publisher.send(b"from the vehicle")
    if not listener.poll(5):
        return False
    assert listener.recv() == b"from the vehicle"
    return True


@pytest.mark.parametrize("with_keys", [False, True])
def test_an_ipc_socket_is_ours_alone(with_keys: bool, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    gate = Gate(ServerAccess(ensure_server_key(tmp_path / "keys"), AllowList(tmp_path / "keys")) if with_keys else None)
    before = os.umask(0)
    try:
        socket = gate.context.socket(zmq.ROUTER)
        gate.bind(socket, f"ipc://{folder}/link", "link", "nobody can be served")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "link").stat().st_mode) == 0o600
    gate.close()
    shutil.rmtree(folder)


def test_an_endpoint_that_is_taken_is_said(served: Served) -> None:
    other = served.gate.context.socket(zmq.ROUTER)
    with pytest.raises(LinkError, match=r"nobody can be served on .*in use"):
        served.gate.bind(other, served.endpoint, "marks", "nobody can be served")


def test_addresses_of_the_newer_protocol_are_served(tmp_path: Path) -> None:
    key: ConnectionKey = ensure_server_key(tmp_path / "keys")
    gate = Gate(ServerAccess(key, AllowList(tmp_path / "keys")))
    socket = gate.context.socket(zmq.ROUTER)
    try:
        gate.bind(socket, "tcp://[::1]:*", "link", "nobody can be served")
    except LinkError as error:
        gate.close()
        pytest.skip(f"this machine has no IPv6: {error}")
    endpoint = socket.get_string(zmq.LAST_ENDPOINT)
    pair = new_pair()
    allow(tmp_path / "keys", AllowedClient("driver", "driver", pair.public))
    assert is_let_in(endpoint, zmq.DEALER, credentials(key, pair))
    assert not is_let_in(endpoint, zmq.DEALER, None)
    gate.close()
