"""The page of who may connect: its table of doors, and its example at a real socket."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.access.allowed import AllowedClient, AllowList, allow
from runtime.access.gate import Gate, ServerAccess
from runtime.access.keys import ensure_server_key, new_client
from runtime.access.roles import OPENS
from runtime.bus.publisher import Publisher
from runtime.contracts.link import Payload
from runtime.seal.keys import default_key_dir
from tests.docs.pages import ROOT, blocks, table

ACCESS = ROOT / "docs" / "access.md"


def test_the_table_of_doors_is_that_of_the_roles() -> None:
    shown = {row["door"]: set(row["who opens it"].split(", ")) for row in table(ACCESS, "door")}
    assert shown == {door: {role for role, doors in OPENS.items() if door in doors} for door in shown}
    assert set(shown) == frozenset().union(*OPENS.values())


def test_the_example_hears_a_vehicle_that_has_its_key_on_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "tablet"))
    pair = new_client(default_key_dir(), "tablet")
    vehicle = tmp_path / "vehicle"
    key = ensure_server_key(vehicle)
    allow(vehicle, AllowedClient("tablet", "viewer", pair.public))
    (tmp_path / "connection.pub").write_bytes((vehicle / "connection.pub").read_bytes())
    gate = Gate(ServerAccess(key, AllowList(vehicle)))
    publisher = Publisher("tcp://127.0.0.1:*", "session", 4, gate)
    [example] = blocks(ACCESS, "python")
    example = example.replace("tcp://192.168.1.7:5590", publisher.endpoint).replace("5000", "30_000")
    done = threading.Event()

    def publish() -> None:
        while not done.wait(0.02):
            publisher.publish(Payload("/decision", 1, 0, 0, b"{}"))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        said = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    finally:
        done.set()
        thread.join()
        publisher.close()
        gate.close()
    assert said.stdout == "/decision\n"
