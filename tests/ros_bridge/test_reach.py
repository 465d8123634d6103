"""How far a participant reaches, by ROS's environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ros_bridge.reach import VARIABLES, reach_of
from runtime.contracts.errors import LinkError

ROOT = Path(__file__).parent.parent.parent
# What rmw_cyclonedds tells cyclonedds: its branch humble under ROS_LOCALHOST_ONLY=1, its branch jazzy under
# ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST.
HUMBLE = (
    "<CycloneDDS><Domain><General><Interfaces><NetworkInterface address='127.0.0.1'/></Interfaces></General></Domain>"
    "</CycloneDDS>"
)
JAZZY = (
    "<CycloneDDS><Domain><General><AllowMulticast>false</AllowMulticast></General><Discovery>"
    "<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
    "<Peers><Peer address='localhost'/></Peers></Discovery></Domain></CycloneDDS>"
)
NODE = """
import sys
from ros_bridge.dds import DdsTransport
from ros_bridge.messages import String
from ros_bridge.transport import STATIC
transport = DdsTransport(int(sys.argv[1]))
transport.advertise("/said", String, STATIC).publish(String("heard"))
sys.stdin.read()
"""
OURS = """
import queue, sys
from ros_bridge.dds import DdsTransport
from ros_bridge.messages import String
from ros_bridge.transport import STATIC
heard = queue.Queue()
transport = DdsTransport(int(sys.argv[1]))
transport.subscribe("/said", String, STATIC, heard.put, 1024)
print(heard.get(timeout=30).message.data)
"""


def outside(**more: str) -> dict[str, str]:
    """The environment of a process that knows nothing of the tests' own network."""
    unknown = ("CYCLONEDDS_URI", "ROS_DISTRO", *VARIABLES)
    return {**{name: value for name, value in os.environ.items() if name not in unknown}, **more}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (HUMBLE, {"ROS_LOCALHOST_ONLY": "1"}),
        (HUMBLE, {"ROS_LOCALHOST_ONLY": "1", "ROS_DISTRO": "humble"}),
        (JAZZY, {"ROS_LOCALHOST_ONLY": "1", "ROS_DISTRO": "jazzy"}),
        (JAZZY, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}),
    ],
)
def test_nodes_that_keep_to_their_machine_are_heard_by_who_is_told_the_same(
    theirs: str, ours: dict[str, str], domain: int
) -> None:
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed (extra: dds; wheels for x86_64 only)")
    node = [sys.executable, "-c", NODE, str(domain)]
    with subprocess.Popen(node, cwd=ROOT, env=outside(CYCLONEDDS_URI=theirs), stdin=subprocess.PIPE) as running:
        listener = [sys.executable, "-c", OURS, str(domain)]
        done = subprocess.run(listener, cwd=ROOT, env=outside(**ours), capture_output=True, text=True, check=False)
        running.communicate()
    assert done.stdout == "heard\n", done.stderr


@pytest.mark.parametrize("environment", [{}, {"ROS_LOCALHOST_ONLY": "0"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}])
def test_the_subnet_is_cyclonedds_own_default(environment: dict[str, str]) -> None:
    assert reach_of(environment) == ""


def test_peers_are_looked_for_besides_unless_the_system_decides() -> None:
    told = reach_of({"ROS_STATIC_PEERS": "192.0.2.7; car-2;;"})
    assert '<Peers><Peer address="192.0.2.7"/><Peer address="car-2"/></Peers>' in told
    assert "AllowMulticast" not in told
    here = reach_of({"ROS_STATIC_PEERS": 'a"b', "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"})
    assert '<Peer address="localhost"/><Peer address=\'a"b\'/>' in here
    assert reach_of({"ROS_STATIC_PEERS": "car-2", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}) == ""


@pytest.mark.parametrize(
    ("wanted", "why"), [("OFF", "'OFF', and nobody is found so"), ("localhost", "'localhost'; set")]
)
def test_a_range_in_which_nobody_is_found_or_that_is_none_is_refused(wanted: str, why: str) -> None:
    with pytest.raises(LinkError, match=f"ROS_AUTOMATIC_DISCOVERY_RANGE is {why}"):
        reach_of({"ROS_AUTOMATIC_DISCOVERY_RANGE": wanted})
