"""How far a participant reaches, by the environment variables that ROS nodes obey: in cyclonedds's words, and as
rmw_cyclonedds words it, since participants that differ in this do not find each other even on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from runtime.contracts.errors import LinkError

VARIABLES = ("ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS")

_OLDER = ("foxy", "galactic", "humble")  # these know ROS_LOCALHOST_ONLY alone, and mean the loopback interface by it
_LOOPBACK = '<General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces></General>'
_UNICAST = "<General><AllowMulticast>false</AllowMulticast></General>"
_MOST_PARTICIPANTS = 32  # on one host, that are looked for without multicast: as rmw_cyclonedds has it


def reach_of(environment: Mapping[str, str]) -> str:
    """cyclonedds's configuration for a reach; "" where its own default is meant, which is the subnet.

    Raises LinkError where nobody may be found, or the range is none that ROS knows.
    """
    only_here, wanted, static = (environment.get(name, "") for name in VARIABLES)
    peers = [peer for part in static.split(";") if (peer := part.strip())]
    if only_here == "1":
        older = not wanted and environment.get("ROS_DISTRO", "humble") in _OLDER
        return _domain(_LOOPBACK) if older else _domain(_UNICAST, _looking_for("localhost"))
    if wanted == "LOCALHOST":
        return _domain(_UNICAST, _looking_for("localhost", *peers))
    if wanted in ("", "SUBNET"):
        return _domain(_looking_for(*peers)) if peers else ""
    if wanted == "SYSTEM_DEFAULT":
        return ""
    raise LinkError(
        f"ROS_AUTOMATIC_DISCOVERY_RANGE is {wanted!r}"
        + (", and nobody is found so" if wanted == "OFF" else "")
        + "; set it to SUBNET or LOCALHOST, as the nodes have it"
    )


def _domain(*parts: str) -> str:
    return f"<CycloneDDS><Domain>{''.join(parts)}</Domain></CycloneDDS>"


def _looking_for(*peers: str) -> str:
    named = "".join(f"<Peer address={quoteattr(peer)}/>" for peer in peers)
    return (
        "<Discovery><ParticipantIndex>auto</ParticipantIndex>"
        f"<MaxAutoParticipantIndex>{_MOST_PARTICIPANTS}</MaxAutoParticipantIndex><Peers>{named}</Peers></Discovery>"
    )
