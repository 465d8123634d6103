"""Makes room: deletes segments of the drives that lie in one folder, each by a signed tombstone."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtime.contracts.config import RetentionConfig
from runtime.contracts.errors import SealError, SightlineError
from runtime.contracts.messages import SealHead
from runtime.record.lock import DriveInUseError, exclusive
from runtime.retention.choice import StoredSegment, choose
from runtime.retention.grave import bury, show_rotations
from runtime.retention.listing import drives_in, is_closed, segments_of
from runtime.retention.reserve import Reserve, is_no_room
from runtime.retention.use import DiskUse
from runtime.seal.chain import DriveSealer
from runtime.seal.envelope import EnvelopeError, key_id_of, parse_public_key
from runtime.seal.keys import VehicleKey, copy_of_retired, load_key, retired_files

_MIB = 1024 * 1024
# Where nothing more may go, thousands of files are looked at again after so many sweeps, or as soon as the drive that
# is written has another segment: one before it may go then.
_EXHAUSTED_LOOKS = 10


@dataclass(frozen=True, slots=True)
class OwnDrive:
    """The drive that is being written: what of it must stay, since it is pinned or so new that it may yet be."""

    folder: Path
    sealer: DriveSealer
    pinned: Collection[int]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and did. `exhausted`: room is short, and nothing more may be deleted."""

    room_bytes: int
    exhausted: bool
    deleted: tuple[StoredSegment, ...] = ()
    heads: tuple[SealHead, ...] = ()
    problems: tuple[str, ...] = ()  # drives that cannot be deleted from, and why: each told once


class Sweeper:
    """One thread uses it at a time: the one that seals, since a chain has one writer."""

    def __init__(self, root: Path, config: RetentionConfig, key_dir: Path) -> None:
        """`root` holds the drives. Without the vehicle's key nothing is deleted, since nobody could sign for it."""
        self._root, self._key_dir, self._use = root, key_dir, DiskUse(root)
        self._key: VehicleKey | None = None
        self._our_keys: frozenset[str] = frozenset()
        self._untold: list[str] = []
        self._told: set[str] = set()
        with contextlib.suppress(SealError):  # the record says that nothing is signed
            self._read_keys(self._untold)
        self._quota_bytes = None if config.quota_mib is None else config.quota_mib * _MIB
        self._min_free_bytes = config.min_free_mib * _MIB
        self._refused: set[Path] = set()
        self._idle_looks = 0  # that go by before the drives are listed again
        self._newest = -1  # segment of the own drive when they were

    def room_bytes(self) -> int:
        """How much may still be written. Raises OSError where the disk fails."""
        return self._use.room_bytes(self._quota_bytes)

    def sweep(self, own: OwnDrive | None, reserve: Reserve) -> Swept:
        """Delete until there is room, or nothing is left that may go. `own` None: it is not signed.

        Raises OSError where the disk fails.
        """
        room = self.room_bytes()
        done, self._untold = _Done(problems=self._untold), []
        if room >= self._min_free_bytes:
            self._idle_looks = 0
            return done.swept(room, exhausted=False)
        if own is None or self._key is None:
            return done.swept(room, exhausted=True)
        before, self._newest = self._newest, max(own.sealer.segments, default=-1)
        if self._idle_looks > 0 and self._newest == before:
            self._idle_looks -= 1
            return done.swept(room, exhausted=True)
        with contextlib.suppress(SealError):  # then those that are known
            self._read_keys(done.problems)
        key = self._key
        segments = self._segments(own, done)
        while chosen := choose(segments, room, self._min_free_bytes):
            for drive in dict.fromkeys(one.drive for one in chosen):
                these = [one for one in chosen if one.drive == drive]
                segments = [one for one in segments if one not in these]
                if not self._delete(these, own, key, reserve, done):
                    segments = [one for one in segments if one.drive != drive]
            room = self.room_bytes()
        exhausted = room < self._min_free_bytes
        self._idle_looks = _EXHAUSTED_LOOKS if exhausted else 0
        return done.swept(room, exhausted=exhausted)

    def _read_keys(self, problems: list[str]) -> None:
        """Today's key, which may be another than when the run began, and the identities of those before it that can be
        read. Raises SealError without the first.
        """
        self._key = load_key(self._key_dir)
        unread: list[str] = []
        earlier = [_identity(path, unread) for path in retired_files(self._key_dir)]
        self._our_keys = frozenset({self._key.key_id}).union(*earlier)
        problems += [one for one in unread if one not in self._told]
        self._told.update(unread)

    def _segments(self, own: OwnDrive, done: _Done) -> list[StoredSegment]:
        """All segments that there are to choose from."""
        segments: list[StoredSegment] = []
        for drive in drives_in(self._root):
            if drive in self._refused or not (drive == own.folder or is_closed(drive)):
                continue
            with self._refusing(drive, done):
                if drive == own.folder:
                    signers = self._our_keys | {own.sealer.key_id}  # ours, whatever became of the keys since it began
                    segments += _of_own(segments_of(drive, signers, pinned=own.pinned))
                else:
                    segments += segments_of(drive, self._our_keys)
        return segments

    def _delete(
        self, these: list[StoredSegment], own: OwnDrive, key: VehicleKey, reserve: Reserve, done: _Done
    ) -> bool:
        """Delete segments of one drive; False where nothing (more) can be deleted from it now."""
        drive = these[0].drive
        with self._refusing(drive, done):
            if drive == own.folder:
                for one in these:
                    _delete_one(own.sealer, one, reserve, done, in_use=True)
                return True
            with exclusive(drive):
                pinned_now = {one.index for one in segments_of(drive, self._our_keys) if one.pinned}
                sealer = DriveSealer(drive, key)
                show_rotations(sealer, drive, self._key_dir)
                for one in these:
                    if one.index not in pinned_now:
                        _delete_one(sealer, one, reserve, done, in_use=False)
            return True
        return False

    @contextlib.contextmanager
    def _refusing(self, drive: Path, done: _Done) -> Iterator[None]:
        """What goes wrong with one drive has it left alone from now on, unless somebody only has it at this moment, or
        it was only for want of room.
        """
        try:
            yield
        except DriveInUseError:
            return
        except Exception as error:  # noqa: BLE001  (what nobody thought of in an old drive may not end the present one)
            if is_no_room(error):
                return
            self._refused.add(drive)
            ours = isinstance(error, SightlineError)
            why = error.strerror if isinstance(error, OSError) else error if ours else repr(error)
            done.problems.append(f"nothing can be deleted from {drive.name}: {why}")


@dataclass(slots=True)
class _Done:
    deleted: list[StoredSegment] = field(default_factory=list)
    heads: list[SealHead] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def swept(self, room_bytes: int, *, exhausted: bool) -> Swept:
        """All of it, told."""
        return Swept(room_bytes, exhausted, tuple(self.deleted), tuple(self.heads), tuple(self.problems))


def _identity(path: Path, problems: list[str]) -> set[str]:
    """Of the earlier key whose public half this is, where that can be read."""
    try:
        return {key_id_of(parse_public_key(path.read_bytes()))}
    except (OSError, EnvelopeError) as error:
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else f"is damaged: {error}"
        problems.append(
            f"nothing can be deleted from drives that an earlier key signed, for its public half {path} {why}; each of "
            f"them has a copy of it, {copy_of_retired(path)}: put it back"
        )
        return set()


def _of_own(segments: list[StoredSegment]) -> list[StoredSegment]:
    """The newest stays, whatever else: a recorder that starts again learns from it where it was."""
    return [replace(one, in_use=one.index == segments[-1].index, is_own=True) for one in segments]


def _delete_one(sealer: DriveSealer, one: StoredSegment, reserve: Reserve, done: _Done, *, in_use: bool) -> None:
    """By way of the reserve where there is no room even for the tombstone."""
    try:
        head = bury(sealer, one, in_use=in_use)
    except OSError as error:
        if not is_no_room(error):
            raise
        reserve.release()
        head = bury(sealer, one, in_use=in_use)
    done.deleted.append(one)
    if head is not None:
        done.heads.append(head)
