"""What of a message is sealed, byte by byte. This is the one place that says so.

A message's digest is SHA-256 over its fields, each with its length or of a fixed one, integers little-endian:

    "sightline/message/1" | u32 length, topic (UTF-8) | schema hash, 32 bytes | u64 log time | u64 publish time
    | u32 sequence | u64 length, payload

Its leaf is "sightline/leaf/1" | salt, 16 bytes | digest, 32 bytes, hashed as RFC 6962 hashes leaves (0x00 in front).
The salt is the first 16 bytes of HMAC-SHA256(the segment's secret, digest): nobody without the secret can guess a
message that was left out and prove the guess by its leaf, and the salt of one message tells nothing about another's.
It hangs on the message and not on its place, so that a message that was moved is still known; its place is held by the
tree.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

LEAF_PREFIX = b"\x00"  # RFC 6962, 2.1
SALT_BYTES = 16
SECRET_BYTES = 32

_MESSAGE_DOMAIN = b"sightline/message/1"
_LEAF_DOMAIN = b"sightline/leaf/1"
_SCHEMA_DOMAIN = b"sightline/schema/1"
_TIMES = struct.Struct("<QQIQ")
_LENGTH = struct.Struct("<I")


def schema_hash(message_encoding: str, name: str, schema_encoding: str, schema_data: bytes) -> bytes:
    """The hash of how a channel's messages are to be read: 32 bytes."""
    parts = (message_encoding.encode(), name.encode(), schema_encoding.encode(), schema_data)
    return hashlib.sha256(_SCHEMA_DOMAIN + b"".join(_LENGTH.pack(len(part)) + part for part in parts)).digest()


def channel_prefix(topic: str, schema_sha256: bytes) -> bytes:
    """What the digests of all messages of one channel begin with."""
    name = topic.encode()
    return _MESSAGE_DOMAIN + _LENGTH.pack(len(name)) + name + schema_sha256


def message_digest(prefix: bytes, log_time_ns: int, publish_time_ns: int, sequence: int, payload: bytes) -> bytes:
    """A message's digest: 32 bytes. `prefix` is its channel's."""
    digest = hashlib.sha256(prefix + _TIMES.pack(log_time_ns, publish_time_ns, sequence, len(payload)))
    digest.update(payload)
    return digest.digest()


def salt_of(secret: bytes, digest: bytes) -> bytes:
    """The salt of the message with this digest: 16 bytes."""
    return hmac.digest(secret, digest, "sha256")[:SALT_BYTES]


def leaf_hash(salt: bytes, digest: bytes) -> bytes:
    """A message's place in the tree: 32 bytes."""
    return hashlib.sha256(LEAF_PREFIX + _LEAF_DOMAIN + salt + digest).digest()
