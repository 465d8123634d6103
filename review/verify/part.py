"""A part of a segment held against the segment's seal: every message proven at its place, and what was left out."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from review.verify.account import PartAccount
from review.verify.align import Deviation, deviations
from review.verify.left_out import MARK_TOPIC, account_of
from review.verify.manifest import Asked
from review.verify.plain_file import is_plain, read_plain
from review.verify.report import Finding, FindingKind
from review.verify.segments import findings_of, limits_for, parts_of
from runtime.contracts.errors import RecordError
from runtime.record.scan import Buffer, mapped
from runtime.seal.leaves_file import SealedMessage
from runtime.seal.part_file import LARGEST_PROOF_BYTES, KeptMessage, PartProof, parse_proof, part_name, proof_name
from runtime.seal.part_mcap import PartChannel, PartError, PartMessage, read_part, write_part
from runtime.seal.proof import ProofError
from runtime.seal.sealed_file import SealedFileReader, decompress
from runtime.seal.statement import SegmentSeal


class PartCheck:
    """Checks one part. `findings` may be gone through once; `account` is there afterwards, None where nothing of the
    part is proven.

    Args:
        folder: where the part and its proof lie.
        seal: the seal of the segment that it is a part of.
        others: the seals of the drive's other segments.
    """

    def __init__(self, folder: Path, seal: SegmentSeal, others: Sequence[SegmentSeal]) -> None:
        self._folder, self._seal, self._others = folder, seal, others
        self._name, self._proof_name = part_name(seal.segment), proof_name(seal.segment)
        self.account: PartAccount | None = None

    def findings(self, asked: Asked | None) -> Iterator[Finding]:
        """What is not as it was sealed. `asked`: what was to be handed over, by which the account tells what was left
        out. Raises RecordError where the disk does not give a file.
        """
        seal = self._seal
        if not is_plain(self._folder / self._name):
            yield self._finding("segment-missing", self._name, f"the part of segment {seal.segment} is not there")
            return
        proof = self._proof()
        if isinstance(proof, Finding):
            yield proof
            return
        try:
            with mapped(self._folder / self._name) as buffer:
                follows = _follows(proof, buffer)
                self.account = account_of(seal, proof.kept, asked, _frame_marks(proof, buffer if follows else None))
                yield from self._labels(proof, buffer) if follows else self._messages(proof, buffer)
        except OSError as error:
            raise RecordError(f"{self._folder / self._name} cannot be read: {error.strerror}") from error

    def _proof(self) -> PartProof | Finding:
        """The proof, where it leads to the root that was signed."""
        path = self._folder / self._proof_name
        if not is_plain(path):
            return self._finding("file-missing", self._proof_name, "the part's proof is not there")
        try:
            proof = parse_proof(read_plain(path, LARGEST_PROOF_BYTES))
        except ProofError as error:
            return self._finding("proof-damaged", self._proof_name, f"the proof does not hold: {error}")
        problem = self._leads_elsewhere(proof)
        return proof if not problem else self._finding("proof-damaged", self._proof_name, problem)

    def _leads_elsewhere(self, proof: PartProof) -> str:
        """Why it does not lead to the root that was signed; "": it does."""
        seal = self._seal
        try:
            if proof.root(seal.messages).hex() == seal.root:
                same = proof.segment == seal.segment
                return "" if same else f"the proof says that it is of segment {proof.segment}"
            why = "one of its messages or hashes was changed"
        except ProofError as error:
            why = str(error)
        other = next((one for one in self._others if _leads_to(proof, one)), None)
        if other is not None:
            why = f"it is the proof of segment {other.segment}"
        return f"the proof does not lead to the root that segment {seal.segment} was sealed with: {why}"

    def _messages(self, proof: PartProof, buffer: Buffer) -> Iterator[Finding]:
        """Which of the proven messages are not in the file, or what else is not as it was written."""
        sealed = [SealedMessage(one.leaf, one.topic, one.sequence, one.log_time_ns) for one in proof.kept]
        salts = {one.digest: one.salt for one in proof.kept}
        limits = limits_for(len(sealed), len(buffer))
        reader = SealedFileReader(b"", decompress, loose=True, salts=salts, limits=limits)
        places = [*(one.index for one in proof.kept), self._seal.messages]
        found = [_at(one, places) for one in deviations(sealed, list(parts_of(reader.chunks(buffer))))]
        yield from findings_of(found, self._name, self._seal.segment)
        if not found:
            text = "its messages are as they were sealed, but the bytes around them do not follow from these"
            yield Finding(
                "bytes-changed", self._name, text, self._seal.segment, first_byte=0, last_byte=len(buffer) - 1
            )

    def _labels(self, proof: PartProof, buffer: Buffer) -> Iterator[Finding]:
        """What the proof says of each message, against the message: what was left out is told by it."""
        for said, one in zip(proof.kept, read_part(buffer), strict=True):
            if (said.topic, said.sequence, said.log_time_ns) != (one.channel.topic, one.sequence, one.log_time_ns):
                text = f"it says of message {said.index} another topic, sequence or time than the message has"
                yield self._finding("proof-damaged", self._proof_name, text)
                return

    def _finding(self, kind: FindingKind, file: str, text: str) -> Finding:
        return Finding(kind, file, text, segment=self._seal.segment)


def _follows(proof: PartProof, buffer: Buffer) -> bool:
    """Whether the file holds the proven messages in their order, and is written as every part is."""
    prefixes: dict[PartChannel, bytes] = {}
    waiting = iter(proof.kept)

    def proven() -> Iterator[PartMessage]:
        for one in read_part(buffer):
            said: KeptMessage | None = next(waiting, None)
            prefix = prefixes.get(one.channel) or prefixes.setdefault(one.channel, one.channel.prefix())
            if said is None or one.digest(prefix) != said.digest:
                raise PartError("it holds another message")
            yield one
        if next(waiting, None) is not None:
            raise PartError("it ends too early")

    again = hashlib.sha256()
    try:
        write_part(proven(), again.update)
    except (PartError, struct.error):
        return False
    return again.digest() == hashlib.sha256(buffer).digest()


def _frame_marks(proof: PartProof, buffer: Buffer | None) -> frozenset[int]:
    """The places of the marks behind sets that are a frame's; where the file (None) does not tell, of all marks."""
    marks = [one.index for one in proof.kept if one.topic == MARK_TOPIC]
    if buffer is None:
        return frozenset(marks)
    said = zip(proof.kept, read_part(buffer), strict=True)
    return frozenset(row.index for row, one in said if row.topic == MARK_TOPIC and _is_of_frame(one.payload))


def _is_of_frame(mark: bytes) -> bool:
    try:
        return int(json.loads(mark)["frame_sequence"]) >= 0
    except (ValueError, TypeError, KeyError, RecursionError):
        return True


def _leads_to(proof: PartProof, seal: SegmentSeal) -> bool:
    try:
        return proof.root(seal.messages).hex() == seal.root
    except ProofError:
        return False


def _at(one: Deviation, places: list[int]) -> Deviation:
    return Deviation(one.fate, places[one.index], one.topic, one.sequence, one.log_time_ns, one.part)
