"""DSSE envelopes (https://github.com/secure-systems-lab/dsse, version 1) with one Ed25519 signature.

An envelope's file has one spelling only, so that no byte of it can change unseen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

_SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the key's own 32 bytes
_PEM_BEGIN, _PEM_END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


class EnvelopeError(ValueError):
    """Bytes that are no envelope, or no Ed25519 public key."""


@dataclass(frozen=True)
class Envelope:
    """A payload with its type, its signature (64 bytes) and the identity of the key that made it."""

    payload_type: str
    payload: bytes
    key_id: str
    signature: bytes

    def signed_bytes(self) -> bytes:
        """What the signature is over: DSSE's pre-authentication encoding."""
        return pre_authentication(self.payload_type, self.payload)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE: type and payload, each behind its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def make_envelope(payload_type: str, payload: bytes, key_id: str, sign: Callable[[bytes], bytes]) -> Envelope:
    """Sign a payload."""
    return Envelope(payload_type, payload, key_id, sign(pre_authentication(payload_type, payload)))


def envelope_bytes(envelope: Envelope) -> bytes:
    """The envelope's file: canonical JSON and a line's end."""
    signature = {"keyid": envelope.key_id, "sig": base64.b64encode(envelope.signature).decode()}
    fields = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [signature],
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def parse_envelope(data: bytes) -> Envelope:
    """An envelope from its file. Raises EnvelopeError on anything but what `envelope_bytes` writes."""
    try:
        fields = json.loads(data)
        [signature] = fields["signatures"]
        envelope = Envelope(
            str(fields["payloadType"]),
            base64.b64decode(fields["payload"], validate=True),
            str(signature["keyid"]),
            base64.b64decode(signature["sig"], validate=True),
        )
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise EnvelopeError(f"it is no DSSE envelope: {error}") from error
    if envelope_bytes(envelope) != data:
        raise EnvelopeError("it holds more than a DSSE envelope, or spells it in another way than it was written")
    return envelope


def is_signed_by(envelope: Envelope, public_key: bytes) -> bool:
    """Whether the signature was made with the private half of `public_key` (32 bytes), and the envelope names it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if envelope.key_id != key_id_of(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(envelope.signature, envelope.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id_of(public_key: bytes) -> str:
    """A key's identity: SHA-256 of its DER (`openssl pkey -pubin -in KEY.pub -outform DER | sha256sum`), in hex."""
    return hashlib.sha256(_SPKI_ED25519 + public_key).hexdigest()


def public_key_pem(public_key: bytes) -> bytes:
    """A public key's file (PEM), in its one spelling."""
    return f"{_PEM_BEGIN}\n{base64.b64encode(_SPKI_ED25519 + public_key).decode()}\n{_PEM_END}\n".encode()


def parse_public_key(data: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM. Raises EnvelopeError on anything else."""
    try:
        lines = [line.strip() for line in data.decode("ascii").strip().splitlines()]
        if len(lines) < 3 or lines[0] != _PEM_BEGIN or lines[-1] != _PEM_END:
            raise EnvelopeError("it is no public key in PEM")
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        raise EnvelopeError(f"it is no public key in PEM: {error}") from error
    if len(der) != len(_SPKI_ED25519) + 32 or not der.startswith(_SPKI_ED25519):
        raise EnvelopeError("it is a public key of another kind than Ed25519")
    return der[len(_SPKI_ED25519) :]
