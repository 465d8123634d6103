"""DDS on this machine's loopback alone: nothing that a test says leaves it, and no multicast is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ros_bridge.reach import VARIABLES

LOOPBACK = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces></General>'
    "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>'
)


@pytest.fixture(scope="session", autouse=True)
def _dds_stays_on_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name in VARIABLES:
            patched.delenv(name, raising=False)
        patched.setenv("CYCLONEDDS_URI", LOOPBACK)
        yield


@pytest.fixture
def domain() -> int:
    """A DDS domain that other test runs on this machine are unlikely to use at the same time."""
    return 1 + os.getpid() % 230
