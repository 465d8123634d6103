"""A part of one sealed segment: the messages that were asked for, and the proof that they are the sealed ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader

from review.verify.manifest import ALWAYS_HANDED_OVER, Asked
from review.verify.plain_file import is_as, is_plain, read_plain
from runtime.contracts.errors import RecordError
from runtime.contracts.topics import STORED
from runtime.record.segment import DAMAGE, damaged
from runtime.seal.leaf import leaf_hash, salt_of
from runtime.seal.leaves_file import Leaves, LeavesError, parse_leaves
from runtime.seal.part_file import LARGEST_PROOF_BYTES, KeptMessage, PartProof, part_name, proof_bytes, proof_name
from runtime.seal.part_mcap import PartChannel, PartMessage, write_part
from runtime.seal.proof import multi_proof
from runtime.seal.statement import SegmentSeal, leaves_name
from runtime.seal.tree import tree_root

_MAX_RECORD_BYTES = 1 << 30


def sealed_leaves(folder: Path, seal: SegmentSeal) -> Leaves:
    """A segment's leaves, proven to be the sealed ones. Raises RecordError."""
    path = folder / leaves_name(seal.segment)
    if not is_plain(path) or not is_as(path, seal.leaves_file):
        raise RecordError(f"{path} is not as it was sealed; see what was changed: sightline verify {folder}")
    try:
        leaves = parse_leaves(read_plain(path, seal.leaves_file.size_bytes))
    except LeavesError as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
    if tree_root(one.leaf for one in leaves.messages).hex() != seal.root:
        raise RecordError(f"{path} is not what the root in the segment's seal was made of")
    return leaves


def kept_places(leaves: Leaves, asked: Asked) -> list[int]:
    """The places of the messages that are handed over, ascending.

    A set is in the window where its mark is; what follows the last mark is kept. Header, marks, gaps and the drive's
    closing are kept always.
    """
    kept: list[int] = []
    waiting: list[int] = []  # of the set whose mark has not come
    for place, one in enumerate(leaves.messages):
        if one.topic in ALWAYS_HANDED_OVER:
            if one.topic == STORED.name:
                kept += waiting if asked.holds_time(one.log_time_ns) else ()
                waiting = []
            kept.append(place)
        elif one.topic not in asked.without_topics:
            waiting.append(place)
    return sorted([*kept, *waiting])


def write_cut(folder: Path, seal: SegmentSeal, leaves: Leaves, places: list[int], to: Path) -> None:
    """Write the part's file and its proof into the folder `to`. Raises RecordError where a message is not the sealed
    one, OSError where the disk refuses.
    """
    cut = _Cut(folder / seal.file_name, leaves, places)
    with (to / part_name(seal.segment)).open("wb") as file:
        write_part(cut.messages(), file.write)
    hashes = multi_proof([one.leaf for one in leaves.messages], places)
    proof = proof_bytes(PartProof(seal.segment, tuple(cut.kept), hashes))
    if len(proof) > LARGEST_PROOF_BYTES:
        raise RecordError(f"the proof of a part of {seal.file_name} has {len(proof)} bytes; hand over fewer messages")
    (to / proof_name(seal.segment)).write_bytes(proof)


class _Cut:
    """Goes through a segment's file once."""

    def __init__(self, path: Path, leaves: Leaves, places: list[int]) -> None:
        self._path, self._leaves, self._places = path, leaves, set(places)
        self.kept: list[KeptMessage] = []

    def messages(self) -> Iterator[PartMessage]:
        """Those that are kept, each held against its leaf."""
        schemas = {0: ("", "", b"")}
        channels: dict[int, tuple[PartChannel, bytes]] = {}
        place = -1
        try:
            with self._path.open("rb") as stream:
                for record in StreamReader(stream, record_size_limit=_MAX_RECORD_BYTES).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = (record.name, record.encoding, record.data)
                    elif isinstance(record, Channel):
                        about = PartChannel(record.topic, record.message_encoding, *schemas[record.schema_id])
                        channels[record.id] = (about, about.prefix())
                    elif isinstance(record, Message):
                        place += 1
                        if place in self._places:
                            yield self._kept(place, record, *channels[record.channel_id])
        except (OSError, *DAMAGE) as error:
            raise damaged(self._path, error) from error
        if len(self.kept) != len(self._places):
            raise RecordError(
                f"{self._path} holds fewer messages than were sealed: sightline verify {self._path.parent}"
            )

    def _kept(self, place: int, found: Message, channel: PartChannel, prefix: bytes) -> PartMessage:
        one = PartMessage(channel, found.sequence, found.log_time, found.publish_time, found.data)
        digest = one.digest(prefix)
        salt = salt_of(self._leaves.secret, digest)
        if leaf_hash(salt, digest) != self._leaves.messages[place].leaf:
            raise RecordError(
                f"message {place} of {self._path} is not the sealed one; see what was changed: "
                f"sightline verify {self._path.parent}"
            )
        self.kept.append(KeptMessage(place, salt, digest, channel.topic, one.sequence, one.log_time_ns))
        return one
