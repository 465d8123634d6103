"""Envelopes and public keys, against the standard's own words and another tool."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from runtime.seal.envelope import (
    EnvelopeError,
    envelope_bytes,
    is_signed_by,
    key_id_of,
    make_envelope,
    parse_envelope,
    parse_public_key,
    pre_authentication,
    public_key_pem,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
ENVELOPE = make_envelope("application/test", b'{"a":1}', key_id_of(PUBLIC), PRIVATE.sign)


def test_what_is_signed_is_what_the_standard_gives_as_its_example() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == expected


def test_an_envelope_holds_with_its_key_and_with_no_other() -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    read = parse_envelope(envelope_bytes(ENVELOPE))
    assert read == ENVELOPE
    assert is_signed_by(read, PUBLIC)
    assert not is_signed_by(read, other)
    assert not is_signed_by(make_envelope("application/other", b"{}", key_id_of(other), PRIVATE.sign), other)


def test_no_byte_of_an_envelopes_file_can_change_and_still_hold() -> None:
    data = envelope_bytes(ENVELOPE)
    for offset in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            try:
                held = is_signed_by(parse_envelope(bytes(changed)), PUBLIC)
            except EnvelopeError:
                continue
            assert not held, (offset, bit)
    for more in (data + b"\n", b" " + data, data.replace(b",", b", ", 1)):
        with pytest.raises(EnvelopeError, match="more than a DSSE envelope"):
            parse_envelope(more)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_envelope_or_no_key_are_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        parse_envelope(data)
    with pytest.raises(EnvelopeError):
        parse_public_key(data)


def test_deep_json_is_refused_and_not_followed() -> None:
    with pytest.raises(EnvelopeError):
        parse_envelope(b"[" * 1_000_000)


def test_a_public_key_is_written_as_every_tool_reads_it() -> None:
    pem = public_key_pem(PUBLIC)
    assert load_pem_public_key(pem) == PRIVATE.public_key()
    assert parse_public_key(pem) == PUBLIC
    with pytest.raises(EnvelopeError, match="another kind"):
        parse_public_key(b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ==\n-----END PUBLIC KEY-----\n")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_keys_identity_is_what_the_page_computes_with_openssl(tmp_path: Path) -> None:
    path = tmp_path / "signing.pub"
    path.write_bytes(public_key_pem(PUBLIC))
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", path, "-outform", "DER"], capture_output=True, check=True
    ).stdout
    assert hashlib.sha256(der).hexdigest() == key_id_of(PUBLIC)
