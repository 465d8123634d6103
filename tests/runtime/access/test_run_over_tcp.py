"""A real run over tcp: its own processes find each other, those on the list get in, strangers are told of."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq

from review.info import info
from runtime.access.allowed import AllowedClient, allow
from runtime.access.keys import ConnectionKey, ensure_server_key, new_pair
from runtime.access.roles import Role
from runtime.bus.publisher import Subscriber
from runtime.commands.run import describe
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import BusConfig, Config, RecordConfig, dump_config
from runtime.contracts.errors import LinkError
from runtime.contracts.messages import Health
from runtime.contracts.topics import HEALTH
from runtime.incident.marks import send_mark
from runtime.record.drive import open_drive
from runtime.supervise.launch import DriveSummary
from tests.runtime.access.strangers import credentials, is_let_in, send_raw, until
from tests.runtime.record.recording import over_tcp

SOURCE = "proving-ground://lane?seed=7&duration_s=600"


@dataclass
class Vehicle:
    """A vehicle with keys of its own and the ports that it serves on."""

    key_dir: Path
    key: ConnectionKey
    bus: BusConfig

    def enter(self, role: Role) -> ConnectionKey:
        pair = new_pair()
        allow(self.key_dir, AllowedClient(f"a-{role}", role, pair.public))
        return pair

    def start(self, folder: Path) -> subprocess.Popen[str]:
        config = folder / "car.yaml"
        config.write_text(dump_config(Config(bus=self.bus, record=RecordConfig(key_dir=str(self.key_dir)))))
        command = [sys.executable, "-m", "sightline", "run", str(config), "--source", SOURCE, "--json"]
        return subprocess.Popen([*command, "--out", str(folder / "drives")], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def vehicle(tmp_path: Path) -> Vehicle:
    key_dir = tmp_path / "keys"
    return Vehicle(key_dir, ensure_server_key(key_dir), over_tcp())


def test_a_drive_over_tcp_is_recorded_seen_by_who_may_see_it_and_tells_of_strangers(
    vehicle: Vehicle, tmp_path: Path
) -> None:
    key, bus = vehicle.key, vehicle.bus
    viewer, marker = (credentials(key, vehicle.enter(role)) for role in ("viewer", "marker"))
    running = vehicle.start(tmp_path)
    listener = Subscriber([bus.tcp_viewers, bus.tcp_pictures], queue=100, credentials=viewer)
    seen: dict[str, Health] = {}
    topics: set[str] = set()
    try:

        def hears(*wanted: str) -> bool:
            message = listener.receive(100)
            if message is not None:
                topics.add(message.topic)
                if message.topic == HEALTH.name:
                    health: Health = HEALTH.decode(message.data)
                    seen[health.process] = health
            return topics >= set(wanted)

        until(lambda: hears("/decision", "/camera/front/video"))
        for endpoint in (bus.tcp_link, bus.tcp_marks):
            assert not is_let_in(endpoint, zmq.DEALER, None)
            assert not is_let_in(endpoint, zmq.DEALER, credentials(key))
            assert not is_let_in(endpoint, zmq.DEALER, viewer)
            send_raw(endpoint, b"\x00" * 100)
        with pytest.raises(LinkError, match="on its list as a marker"):
            send_mark(bus.tcp_marks, "not mine to say", "", timeout_s=0.3, clock=SystemClock(), credentials=viewer)
        assert send_mark(bus.tcp_marks, "look", "", timeout_s=20.0, clock=SystemClock(), credentials=marker).token
        assert not is_let_in(bus.tcp_link, zmq.DEALER, marker)
        for endpoint in (bus.tcp_viewers, bus.tcp_pictures):
            assert not is_let_in(endpoint, zmq.SUB, None)
        until(lambda: hears() and "drive" in seen and seen["drive"].refused == 1)
        until(lambda: hears() and "recorder" in seen and seen["recorder"].refused >= 11)
        assert seen["recorder"].malformed == 0
        running.send_signal(signal.SIGINT)
        summary = json.loads(running.communicate(timeout=90)[0])
    finally:
        listener.close()
        running.kill()
        running.wait()
    assert summary["recorded"] == summary["frames"] > 0
    assert summary["warning"] == ""
    assert summary["refused"] >= 12
    assert summary["malformed"] == 0
    told = info(Path(summary["drive"])).turned_away
    assert (told.refused, told.malformed) == (summary["refused"], 0)
    processes = {message.decode().process for message in open_drive(Path(summary["drive"])).messages(HEALTH)}
    assert processes == {"drive", "recorder"}
    assert f"refused   {told.refused} connection(s)" in describe(DriveSummary(**summary))
    verify = [
        sys.executable,
        "-m",
        "sightline",
        "verify",
        summary["drive"],
        "--key",
        str(vehicle.key_dir / "signing.pub"),
    ]
    assert subprocess.run(verify, check=False, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("name", ["connections.json", "connection.key"])
def test_a_run_whose_keys_or_list_others_can_read_does_not_begin(name: str, vehicle: Vehicle, tmp_path: Path) -> None:
    vehicle.enter("viewer")
    (vehicle.key_dir / name).chmod(0o644)
    running = vehicle.start(tmp_path)
    try:
        assert running.wait(60) == 2
    finally:
        running.kill()
        running.communicate()
    assert not (tmp_path / "drives").exists()
