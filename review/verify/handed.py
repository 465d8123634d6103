"""What a bundle hands over of a drive's segments and files, held against what it says that it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from review.verify.account import PartAccount
from review.verify.left_out import other_account, withheld
from review.verify.manifest import Asked
from review.verify.part import PartCheck
from review.verify.plain_file import is_plain
from review.verify.report import Finding
from runtime.seal.part_file import part_name, proof_name
from runtime.seal.statement import SegmentSeal


class Handed:
    """Goes along with the check of a bundle's drive. `asked` None: the bundle does not tell what was to be in it."""

    def __init__(self, folder: Path, asked: Asked | None) -> None:
        self._folder, self._asked = folder, asked
        self.accounts: list[PartAccount] = []
        self.files_left_out: list[str] = []

    def is_part(self, seal: SegmentSeal) -> bool:
        """Whether only a part of the segment is there."""
        names = (part_name(seal.segment), proof_name(seal.segment))
        return not self.is_whole(seal) and any(is_plain(self._folder / name) for name in names)

    def is_whole(self, seal: SegmentSeal) -> bool:
        """Whether the segment is there as it was recorded."""
        return is_plain(self._folder / seal.file_name)

    def whole(self, seal: SegmentSeal) -> Iterator[Finding]:
        """A segment that is there as it was recorded."""
        yield from self._take(seal, other_account(seal, "whole"), seal.file_name)

    def part(self, seal: SegmentSeal, others: Sequence[SegmentSeal]) -> Iterator[Finding]:
        """A segment of which a part is there."""
        check = PartCheck(self._folder, seal, others)
        yield from check.findings(self._asked)
        if check.account is None:
            self.accounts.append(other_account(seal, "unproven"))
        else:
            yield from self._take(seal, check.account, part_name(seal.segment))

    def absent(self, seal: SegmentSeal, *, deleted: bool) -> Iterator[Finding]:
        """A segment of which nothing is there: left out, or deleted by the vehicle itself."""
        self.accounts.append(other_account(seal, "deleted" if deleted else "left out"))
        asked = self._asked
        if deleted or asked is None:
            return
        name, many = seal.file_name, f"{seal.messages} messages were sealed in it"
        if seal.segment in asked.segments:
            text = f"segment {seal.segment} was asked for and is not here; {many}"
            yield Finding("segment-missing", name, text, segment=seal.segment)
        elif asked.has_window and asked.meets(seal.first_log_time_ns, seal.last_log_time_ns) and seal.messages:
            text = f"segment {seal.segment} reaches into the time that was asked for and is not here; {many}"
            yield Finding("message-withheld", name, text, segment=seal.segment)

    def leaves_out(self, name: str) -> bool:
        """Whether a file of the drive that is not there was left out, and the bundle says so."""
        told = self._asked is not None and name in self._asked.without_files
        if told and name not in self.files_left_out:
            self.files_left_out.append(name)
        return told

    def _take(self, seal: SegmentSeal, account: PartAccount, file: str) -> Iterator[Finding]:
        self.accounts.append(account)
        asked = self._asked
        if asked is not None and seal.segment not in asked.segments:
            text = f"the bundle does not say that segment {seal.segment} is in it, and it is"
            yield Finding("manifest-wrong", file, text, segment=seal.segment)
        yield from withheld(seal, account, asked, file)
