"""The proof of a part of a segment (`segment-0000.proof.json`): which messages are in it, and why they are the sealed.

One line of canonical JSON, in one spelling only:

    {"format": "sightline.part.v1", "hashes": [HASH, …], "kept": [[INDEX, SALT, DIGEST, TOPIC, SEQUENCE, LOG TIME], …],
     "segment": NUMBER, "topics": [NAME, …]}

`kept` has a row for each message of the part, in the segment's order: its place among the sealed, its salt and digest
(hex), and what is said of it where it cannot be read (the topic as a place in `topics`). `hashes` is the rest of the
tree (runtime.seal.proof). The leaf of each row follows from salt and digest; with the hashes they lead to the root that
the segment's seal has signed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from runtime.seal.leaf import SALT_BYTES, leaf_hash
from runtime.seal.proof import ProofError, proven_root

PART_FORMAT = "sightline.part.v1"
PART_SUFFIX, PROOF_SUFFIX = ".part.mcap", ".proof.json"
BUNDLE_MANIFEST, BUNDLE_DRIVE = "manifest.json", "drive"  # of a bundle: what is in it, and its part of the drive
LARGEST_PROOF_BYTES = 64 * 1024 * 1024  # half a million messages
_DIGITS = 20  # of the largest number, 2^64 - 1
_U64_END = 1 << 64


@dataclass(frozen=True)
class KeptMessage:
    """One message of a part. Only its leaf is proven; topic, sequence and time are what its proof says of it."""

    index: int
    salt: bytes
    digest: bytes
    topic: str
    sequence: int
    log_time_ns: int

    @property
    def leaf(self) -> bytes:
        """Its leaf's hash in the segment's tree."""
        return leaf_hash(self.salt, self.digest)


@dataclass(frozen=True)
class PartProof:
    """What proves a part of a segment."""

    segment: int
    kept: tuple[KeptMessage, ...]
    hashes: tuple[bytes, ...]

    def root(self, count: int) -> bytes:
        """The root that it leads to in a tree of `count` leaves. Raises ProofError."""
        return proven_root(count, [one.index for one in self.kept], [one.leaf for one in self.kept], self.hashes)


def part_name(segment: int) -> str:
    """The name of a part's file."""
    return f"segment-{segment:04d}{PART_SUFFIX}"


def proof_name(segment: int) -> str:
    """The name of its proof."""
    return f"segment-{segment:04d}{PROOF_SUFFIX}"


def proof_bytes(proof: PartProof) -> bytes:
    """The file."""
    topics = sorted({one.topic for one in proof.kept})
    numbers = {topic: number for number, topic in enumerate(topics)}
    fields = {
        "format": PART_FORMAT,
        "hashes": [one.hex() for one in proof.hashes],
        "kept": [
            [one.index, one.salt.hex(), one.digest.hex(), numbers[one.topic], one.sequence, one.log_time_ns]
            for one in proof.kept
        ],
        "segment": proof.segment,
        "topics": topics,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def parse_proof(data: bytes) -> PartProof:
    """A proof from its file. Raises ProofError on anything but what `proof_bytes` writes."""
    if len(data) > LARGEST_PROOF_BYTES:
        raise ProofError(f"it has {len(data)} bytes, too many for a proof")
    try:
        fields = json.loads(data, parse_int=_number)
        topics = fields["topics"]
        kept = tuple(_kept(row, topics) for row in fields["kept"])
        proof = PartProof(_fits(fields["segment"]), kept, tuple(bytes.fromhex(one) for one in fields["hashes"]))
        spelled = proof_bytes(proof)
    except ProofError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ProofError(f"it is no proof of a part: {error!r:.200}") from error
    if spelled != data:
        raise ProofError("it holds more than a proof, or spells it in another way than it was written")
    return proof


def _kept(row: Any, topics: Any) -> KeptMessage:
    index, salt, digest, topic, sequence, log_time_ns = row
    name = topics[_fits(topic)]
    if not isinstance(name, str):
        raise ProofError(f"it names a topic {name!a:.80}")
    one = KeptMessage(
        _fits(index), bytes.fromhex(salt), bytes.fromhex(digest), name, _fits(sequence), _fits(log_time_ns)
    )
    if (len(one.salt), len(one.digest)) != (SALT_BYTES, 32):
        raise ProofError(f"the salt or digest of its message {one.index} is of another length")
    return one


def _number(text: str) -> int:
    if len(text) > _DIGITS:
        raise ProofError(f"it has a number of {len(text)} digits")
    return int(text)


def _fits(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _U64_END:
        raise ProofError(f"it has {value!a:.80} where a number belongs")
    return value
