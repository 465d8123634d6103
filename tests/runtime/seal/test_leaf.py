"""What of a message is sealed."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest

from runtime.seal.leaf import channel_prefix, leaf_hash, message_digest, salt_of, schema_hash

SCHEMA = schema_hash("json", "sightline.Decision", "jsonschema", b"{}")
SECRET = bytes(range(32))


def test_a_leaf_is_made_as_the_page_says_in_words() -> None:
    """Made again here by hand: whoever changes the bytes of a leaf breaks every drive that was ever sealed."""

    def field(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    fields = b"".join(map(field, (b"json", b"sightline.Decision", b"jsonschema", b"{}")))
    schema = hashlib.sha256(b"sightline/schema/1" + fields).digest()
    assert schema == SCHEMA
    message = b"sightline/message/1" + field(b"/decision") + schema
    message += struct.pack("<QQIQ", 5, 6, 7, 3) + b"yes"
    digest = hashlib.sha256(message).digest()
    assert message_digest(channel_prefix("/decision", SCHEMA), 5, 6, 7, b"yes") == digest
    salt = hmac.new(SECRET, digest, hashlib.sha256).digest()[:16]
    assert salt_of(SECRET, digest) == salt
    assert leaf_hash(salt, digest) == hashlib.sha256(b"\x00sightline/leaf/1" + salt + digest).digest()


@pytest.mark.parametrize(
    ("topic", "schema", "rest"),
    [
        ("/decisioo", SCHEMA, (5, 6, 7, b"yes")),
        ("/decision", schema_hash("json", "sightline.Decision", "jsonschema", b"{ }"), (5, 6, 7, b"yes")),
        ("/decision", SCHEMA, (4, 6, 7, b"yes")),
        ("/decision", SCHEMA, (5, 7, 7, b"yes")),
        ("/decision", SCHEMA, (5, 6, 8, b"yes")),
        ("/decision", SCHEMA, (5, 6, 7, b"yes ")),
    ],
    ids=("topic", "schema", "log time", "publish time", "sequence", "payload"),
)
def test_every_field_of_a_message_counts(topic: str, schema: bytes, rest: tuple[int, int, int, bytes]) -> None:
    sealed = message_digest(channel_prefix("/decision", SCHEMA), 5, 6, 7, b"yes")
    assert message_digest(channel_prefix(topic, schema), *rest) != sealed


def test_a_boundary_between_fields_cannot_be_moved() -> None:
    assert schema_hash("js", "onx", "", b"") != schema_hash("json", "x", "", b"")
    assert channel_prefix("/a", b"b" * 32) != channel_prefix("/ab", b"b" * 31)


def test_a_guess_cannot_be_proven_without_the_secret() -> None:
    digest = message_digest(channel_prefix("/decision", SCHEMA), 5, 6, 7, b"yes")
    assert len({leaf_hash(salt_of(bytes([number]) * 32, digest), digest) for number in range(50)}) == 50
