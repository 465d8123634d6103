"""The statement by which a vehicle's key names its successor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from runtime.seal.envelope import Envelope, is_signed_by, key_id_of

ROTATION_TYPE = "application/vnd.sightline.key-rotation.v1+json"
ROTATION_PREFIX = "rotation-"


@dataclass(frozen=True)
class Rotation:
    """From one key to the next; the public key in hex."""

    old_key_id: str
    new_key_id: str
    new_public_key: str
    utc_ns: int


def rotation_payload(rotation: Rotation) -> bytes:
    """The statement's bytes, those that are signed."""
    return json.dumps(dataclasses.asdict(rotation), sort_keys=True, separators=(",", ":")).encode()


def successors(trusted: Iterable[bytes], statements: Iterable[Envelope]) -> dict[str, bytes]:
    """The trusted keys and those that they led to, by identity. What is not signed by one of them counts nothing."""
    known = {key_id_of(key): key for key in trusted}
    waiting = [one for one in statements if one.payload_type == ROTATION_TYPE]
    progress = True
    while progress:
        progress = False
        for envelope in waiting:
            signer = known.get(envelope.key_id)
            new = _new_key(envelope)
            if signer is None or new is None or key_id_of(new) in known:
                continue
            if is_signed_by(envelope, signer):
                known[key_id_of(new)] = new
                progress = True
    return known


def _new_key(envelope: Envelope) -> bytes | None:
    try:
        key = bytes.fromhex(json.loads(envelope.payload)["new_public_key"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return key if len(key) == 32 else None
