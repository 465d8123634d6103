"""What a drive that nobody writes any more lacks, and whether it may be taken up. Reads only; changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.config import Config, recorded_config
from runtime.contracts.errors import ConfigError, RecordError, SealError
from runtime.contracts.topics import CLOSING, GAP
from runtime.record import scan
from runtime.record.journal import SUFFIX, Survey, survey
from runtime.record.reading import read_messages
from runtime.record.segment import TEMPORARY, SegmentFile, read_note, segment_files
from runtime.seal.chain import file_hash, recorded_seals
from runtime.seal.keys import copies_in_drives, key_dir_of
from runtime.seal.rotation import ROTATION_PREFIX
from runtime.seal.statement import (
    INCIDENTS_NAME,
    KEY_PREFIX,
    KEY_SUFFIX,
    SEAL_SUFFIX,
    ClosingSeal,
    Seal,
    SegmentSeal,
    seal_hash,
)
from runtime.supervise.plan import CONFIG_NAME

_MARK = re.compile(
    rb'\{"session":"[^"\\]{1,128}","first":\d+,"last":\d+,"frame_sequence":-?\d+,"messages":\d+(,"crc32":\w+)?\}'
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """What lies in a drive's folder. `session` "": there is no whole set in it. `ended`: the record says how."""

    session: str
    config: Config
    ended: bool
    closed: bool  # the chain of seals is
    unsealed: tuple[int, ...]  # segments that were rewritten and not signed
    journals: int

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do, but for a signature where there is no key."""
        return self.ended and self.closed and not self.unsealed and not self.journals


def leftovers(folder: Path, key_dir: Path | None = None, *, but: Path | None = None) -> Iterator[Path]:
    """The drives in a folder that may lack something and were begun by this vehicle, the oldest first.

    Thousands of whole ones are passed over by the names of their files. `key_dir`: where this vehicle's keys are, if
    not where a drive's configuration says.
    """
    for drive_dir in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        if drive_dir != but and _is_left(drive_dir, key_dir):
            yield drive_dir


def _is_left(drive_dir: Path, key_dir: Path | None) -> bool:
    try:
        return _may_lack(drive_dir) and _is_ours(drive_dir, key_dir)
    except (OSError, ConfigError, SealError):
        return True  # whoever looks closer says why it cannot be judged


def _may_lack(drive_dir: Path) -> bool:
    names = [entry.name for entry in drive_dir.iterdir()]
    if not any(name.startswith("segment-") for name in names):
        return False
    return any(name.endswith((SUFFIX, TEMPORARY)) for name in names) or not any(
        name.startswith("closing-") for name in names
    )


def _is_ours(drive_dir: Path, key_dir: Path | None) -> bool:
    """Whether a drive has the public half of a key of this vehicle's: nothing of another vehicle's is signed unless
    somebody names it.
    """
    shown = {entry.name for entry in drive_dir.glob(f"{KEY_PREFIX}*{KEY_SUFFIX}")}
    if not shown:
        return False
    ours = copies_in_drives(key_dir or key_dir_of(recorded_config(drive_dir / CONFIG_NAME).record.key_dir))
    return not shown.isdisjoint(ours)


def half_written(drive_dir: Path) -> Iterator[Path]:
    """Files of the record that whoever wrote them did not bring under their names. Nothing of them was promised."""
    for path in drive_dir.glob(f"*{TEMPORARY}"):
        name = path.name.removesuffix(TEMPORARY)
        of_segment = name.startswith("segment-") or name.endswith(SEAL_SUFFIX)
        if of_segment or name == INCIDENTS_NAME or name.startswith((KEY_PREFIX, ROTATION_PREFIX)):
            yield path


def examine(drive_dir: Path, config: Config | None = None) -> Leftover | None:
    """Read all that a recovery builds upon; None where the folder holds no segment.

    `config` is the drive's, where the caller knows it; else it is read from the folder.
    Raises RecordError, SealError or ConfigError naming what is damaged: more than a crash can have done.
    """
    files = segment_files(drive_dir)
    if not files:
        return None
    if config is None and not (drive_dir / CONFIG_NAME).is_file():
        raise RecordError(f"{drive_dir / CONFIG_NAME} is not there: a drive keeps the configuration that drove")
    config = config or recorded_config(drive_dir / CONFIG_NAME)
    seals = recorded_seals(drive_dir)
    _refuse_broken_chain(drive_dir, seals)
    signed = {seal.segment: seal for _, seal in seals if isinstance(seal, SegmentSeal)}
    surveys = {file.index: survey(file.path) for file in files if not file.sealed}
    for file in files:
        if file.sealed:
            _refuse_changed(file, signed.get(file.index))
        else:
            _refuse_holed(file.path, surveys[file.index], config.record.credit)
    return Leftover(
        session=_session(files, surveys),
        config=config,
        ended=_ended(files, surveys) or (not surveys and _was_ended([seal for _, seal in seals])),
        closed=_closed([seal for _, seal in seals]),
        unsealed=tuple(file.index for file in files if file.sealed and file.index not in signed),
        journals=len(surveys),
    )


def _refuse_broken_chain(drive_dir: Path, seals: Iterable[tuple[bytes, Seal]]) -> None:
    previous = ""
    for number, (payload, seal) in enumerate(seals):
        if seal.number != number or seal.previous != previous:
            raise SealError(
                f"the drive {drive_dir} has no whole chain of seals: seal {seal.number} does not follow the one "
                "before it; `sightline verify` says what was changed"
            )
        previous = seal_hash(payload)


def _was_ended(seals: Iterable[Seal]) -> bool:
    """Whether the seals say how the drive ended: the segment with its end may have been deleted to make room."""
    return any(isinstance(seal, ClosingSeal) and seal.ended for seal in seals)


def _closed(seals: Iterable[Seal]) -> bool:
    """Whether a closing seal speaks of all segments: one that is sealed after it wants another."""
    closed = False
    for seal in seals:
        closed = isinstance(seal, ClosingSeal) or (closed and not isinstance(seal, SegmentSeal))
    return closed


def _refuse_changed(file: SegmentFile, seal: SegmentSeal | None) -> None:
    """Raise RecordError where a segment is not as it was sealed or, without a seal, cannot be read to its end."""
    if seal is None:
        for _ in read_messages(file, ()):
            pass
        return
    try:
        found = file_hash(file.path)
    except OSError as error:
        raise RecordError(f"the segment {file.path} cannot be read: {error.strerror}") from error
    if found != seal.file:
        raise RecordError(f"the segment {file.path} is not as it was sealed; `sightline verify` says what was changed")


def _refuse_holed(path: Path, found: Survey, credit: int) -> None:
    """Raise RecordError where behind the last whole set there are marks of more sets than can have been under way:
    they were on the disk, so no crash made the hole before them.
    """
    with scan.mapped(path) as buffer:
        beyond = sum(1 for _ in _MARK.finditer(buffer, found.whole_bytes))
    if beyond > credit:
        raise RecordError(
            f"the journal {path} is damaged at byte {found.whole_bytes} or soon after: marks of {beyond} more sets lie "
            f"behind, and a crash leaves {credit} at most; it is kept as it is"
        )


def _session(files: Iterable[SegmentFile], surveys: dict[int, Survey]) -> str:
    for file in files:
        if file.sealed:
            note = read_note(file.path)
            if note.sets:
                return note.session
        else:
            mark = surveys[file.index].mark
            if mark is not None:
                return mark.session
    return ""


def _ended(files: tuple[SegmentFile, ...], surveys: dict[int, Survey]) -> bool:
    """Whether the record's last sets, or the recorder's own words behind them, say how the drive ended."""
    for file in reversed(files):
        if not file.sealed:
            if surveys[file.index].closes:
                return True
            if surveys[file.index].mark is not None:
                return False
            continue
        for message in read_messages(file, (CLOSING, GAP)):
            if message.row is CLOSING or message.decode().last is None:
                return True
        if read_note(file.path).sets:
            return False
    return False
