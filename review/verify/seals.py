"""The seals in a drive's folder: whose they are, whether they are whole, and whether they follow each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from review.verify.plain_file import is_plain, read_plain
from review.verify.report import Finding
from runtime.seal.envelope import (
    Envelope,
    EnvelopeError,
    is_signed_by,
    key_id_of,
    parse_envelope,
    parse_public_key,
    public_key_pem,
)
from runtime.seal.rotation import ROTATION_PREFIX, successors
from runtime.seal.statement import (
    KEY_PREFIX,
    KEY_SUFFIX,
    LARGEST_SEAL_BYTES,
    PAYLOAD_TYPE,
    SEAL_SUFFIX,
    ClosingSeal,
    Seal,
    StatementError,
    key_name,
    parse_seal,
    printable,
    seal_hash,
    seal_name,
    segment_of,
)

_LARGEST_KEY_BYTES = 64 * 1024


@dataclass(frozen=True)
class FoundSeal:
    """A seal whose signature holds."""

    name: str
    seal: Seal
    sha256: str


@dataclass(frozen=True)
class FoundSeals:
    """The seals of the folder that hold, by number, and what is wrong with the others and with their order."""

    drive_id: str
    seals: tuple[FoundSeal, ...]
    findings: tuple[Finding, ...]


def read_seals(folder: Path, names: Iterable[str], trusted: Iterable[bytes]) -> FoundSeals:
    """Read and check every seal. Raises RecordError where the disk does not give a file."""
    plain = sorted(name for name in names if is_plain(folder / name))
    findings: list[Finding] = []
    shown = dict(_shown_keys(folder, plain, findings))
    vouched = successors(trusted, _statements(folder, plain))
    found: list[FoundSeal] = []
    for name in plain:
        if name.endswith(SEAL_SUFFIX):
            one = _read(folder / name, {**shown, **vouched})
            (found if isinstance(one, FoundSeal) else findings).append(one)  # type: ignore[arg-type]
    drive_id = _drive_id_of(found)
    foreign = [one for one in found if one.seal.drive_id != drive_id]
    for one in foreign:
        text = f"it is a seal of another drive, {one.seal.drive_id}, and not of {drive_id}"
        findings.append(Finding("segment-foreign", one.name, text, segment=segment_of(one.seal)))
    own = sorted((one for one in found if one not in foreign), key=lambda one: one.seal.number)
    findings += _unknown_keys(own, vouched)
    findings += _order(own)
    return FoundSeals(drive_id, tuple(own), tuple(findings))


def _shown_keys(folder: Path, names: Iterable[str], findings: list[Finding]) -> Iterator[tuple[str, bytes]]:
    """The public keys in the folder, by identity: what a seal is checked with, which is not to say trusted."""
    for name in names:
        if name.startswith(KEY_PREFIX) and name.endswith(KEY_SUFFIX):
            data = read_plain(folder / name, _LARGEST_KEY_BYTES)
            try:
                key = parse_public_key(data)
            except EnvelopeError as error:
                findings.append(Finding("file-changed", printable(name), str(error)))
                continue
            if public_key_pem(key) != data:  # no seal covers the file of a key that came in mid-drive
                text = "the key is spelled in another way than it was written"
                findings.append(Finding("file-changed", printable(name), text))
            if key_name(key_id_of(key)) == name:
                yield key_id_of(key), key
            else:
                findings.append(Finding("file-changed", printable(name), "it is another key than its name says"))


def _statements(folder: Path, names: Iterable[str]) -> Iterator[Envelope]:
    for name in names:
        if name.startswith(ROTATION_PREFIX):
            try:
                yield parse_envelope(read_plain(folder / name, LARGEST_SEAL_BYTES))
            except EnvelopeError:
                continue  # its file's hash is in the first seal


def _read(path: Path, keys: dict[str, bytes]) -> FoundSeal | Finding:
    name = printable(path.name)
    try:
        envelope = parse_envelope(read_plain(path, LARGEST_SEAL_BYTES))
        seal = parse_seal(envelope.payload)
    except (EnvelopeError, StatementError) as error:
        return Finding("seal-damaged", name, f"the seal cannot be read: {error}")
    segment = segment_of(seal)
    key = keys.get(envelope.key_id)
    if key is None:
        text = f"it names the key {printable(envelope.key_id[:16])}…, whose public half is not here; give it by --key"
        return Finding("key-missing", name, text, segment=segment)
    if envelope.payload_type != PAYLOAD_TYPE or seal.key_id != envelope.key_id or not is_signed_by(envelope, key):
        return Finding("seal-damaged", name, "its signature does not hold: the seal was changed", segment=segment)
    if seal_name(seal) != path.name:
        return Finding("seal-damaged", name, f"it is the seal {seal_name(seal)} under another name")
    return FoundSeal(name, seal, seal_hash(envelope.payload))


def _drive_id_of(found: list[FoundSeal]) -> str:
    """The drive that most seals are of; where two have as many, the one that is closed."""
    counts = Counter(one.seal.drive_id for one in found)
    closed = {one.seal.drive_id for one in found if isinstance(one.seal, ClosingSeal)}
    return max(counts, key=lambda drive_id: (counts[drive_id], drive_id in closed), default="")


def _unknown_keys(own: list[FoundSeal], vouched: dict[str, bytes]) -> Iterator[Finding]:
    """Signatures prove nothing where anybody could have made the key."""
    for key_id in sorted({one.seal.key_id for one in own} - set(vouched)):
        first = next(one for one in own if one.seal.key_id == key_id)
        text = (
            f"the seals are signed by the key {key_id}, which nobody vouches for: give the vehicle's public key, had "
            "from elsewhere than with the drive, by --key"
        )
        yield Finding("key-unknown", first.name, text)


def _order(own: list[FoundSeal]) -> Iterator[Finding]:
    """Numbers without a hole or a double, each naming the one before it."""
    expected, before = 0, ""
    for one in own:
        number = one.seal.number
        if number < expected:
            yield Finding("chain-broken", one.name, f"there are two seals with the number {number}")
            continue
        if number > expected:
            missing = str(expected) if number == expected + 1 else f"{expected} to {number - 1}"
            yield Finding(
                "seal-missing", one.name, f"seal {missing} of the chain, before it, is not there or does not hold"
            )
        elif one.seal.previous != before:
            text = f"it does not follow seal {number - 1} of this folder: one of the two was replaced"
            yield Finding("chain-broken", one.name, text, segment=segment_of(one.seal))
        expected, before = number + 1, one.sha256
