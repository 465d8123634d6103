"""Whoever reads a drive that somebody else wrote: the reader, the verbs, the verifier, and a recorder's recovery."""

from __future__ import annotations

import contextlib
import io
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType

from benchmarks.fuzzing.folder_case import Bench, Entry, decode_case, encode_case, keep_folder, load_folder
from benchmarks.fuzzing.folder_mutation import FolderMutation
from benchmarks.fuzzing.seeds import a_drive, leave_unfinished, put_away
from benchmarks.fuzzing.target import BrokenPromiseError, Outcome
from review.reopen import recorded_config, recorded_manifest, recorded_plan
from review.verify.drive import verify_drive
from review.verify.standalone import standalone_source
from runtime.commands.main import main
from runtime.contracts.errors import SightlineError
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.recover import take_up
from runtime.seal.keys import VehicleKey, known_keys, load_key


class DriveTarget:
    """What the folder targets share: a real drive with an unfinished segment, and copies of it made wrong."""

    def __init__(self, work: Path, *, unfinished: bool) -> None:
        self._work = work
        drive = a_drive(work)
        self.key: VehicleKey = load_key(work / "keys")
        if unfinished:
            leave_unfinished(drive, max(int(path.stem[-4:]) for path in drive.glob("segment-*.mcap")))
        self._bench = Bench(drive, work / "bench")
        self.folder = self._bench.folder
        self._mutation = FolderMutation(self._bench.files, self.key)

    def case(self, random: Random) -> bytes:
        """One drive made wrong."""
        return encode_case(self._mutation.case(random))

    def take(self, case: bytes) -> Outcome:
        """Put it there, and ask."""
        entries = decode_case(case)
        self._bench.put(entries)
        try:
            accepted = self.ask()
        finally:
            self._bench.restore(entries)
        return Outcome(1, int(accepted), int(not accepted))

    def ask(self) -> bool:
        """Whether the drive was taken; anything but a SightlineError is a finding."""
        raise NotImplementedError

    def keep(self, case: bytes, path: Path) -> None:
        """The whole folder."""
        keep_folder(self._bench.files, decode_case(case), path)

    def load(self, path: Path) -> bytes:
        """As a case of this process's own drive."""
        return encode_case(load_folder(self._bench.files, path))

    def smaller(self, case: bytes) -> list[bytes]:
        """Fewer changed files."""
        entries = decode_case(case)
        return [encode_case([one for one in entries if one is not entry]) for entry in entries[1:]]

    def close(self) -> None:
        """Remove it all."""
        put_away(self._work)


class ReaderTarget(DriveTarget):
    """Everything that `runtime.record.drive` and the verbs of review read."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, unfinished=True)
        self._asked = 0

    def ask(self) -> bool:
        """Read all there is, one part after the other, and say it as the verbs say it."""
        folder = self.folder
        self._asked += 1
        spelled = ("--json",) if self._asked % 2 else ()
        parts = [
            self._answered(lambda: _read(folder)),
            self._answered(lambda: _drove(folder)),
            _said("info", str(folder), *spelled) == 0,
            _said("incidents", str(folder), *spelled) == 0,
        ]
        return all(parts)

    def _answered(self, question: Callable[[], object]) -> bool:
        try:
            question()
        except SightlineError:
            return False
        return True


class ReplayTarget(DriveTarget):
    """Replay: the model is loaded and decides upon what the record says."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, unfinished=True)

    def ask(self) -> bool:
        """Replay it as the verb does."""
        return _said("replay", str(self.folder), "--workers", "1") == 0


class VerifyTarget(DriveTarget):
    """The verifier, as the verb and as the one file."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, unfinished=False)
        self._trusted = known_keys(work / "keys")
        self._public = next((work / "keys").glob("*.pub"))
        self._alone = ModuleType("sightline_verify")
        sys.modules["sightline_verify"] = self._alone  # where dataclasses look for a module's names
        exec(compile(standalone_source(), "sightline_verify.py", "exec"), self._alone.__dict__)
        if verify_drive(self.folder, self._trusted).verdict != "intact":
            raise BrokenPromiseError("the untouched drive does not verify")

    def ask(self) -> bool:
        """Verify it both ways, which must agree."""
        try:
            intact = verify_drive(self.folder, self._trusted).verdict == "intact"
        except SightlineError:
            intact = False
        verb = _said("verify", str(self.folder), "--key", str(self._public))
        with _captured() as said:
            alone = int(self._alone.main([str(self.folder), "--key", str(self._public)]))
        _prove_printable(said.getvalue())
        if (verb == 0) != intact or (alone == 0) != intact:
            raise BrokenPromiseError(f"verify answers {verb}, the one file {alone}, and the drive is intact: {intact}")
        return intact


class RecoveryTarget(DriveTarget):
    """A recorder that takes up what a dead one left, on a disk that did not keep it whole."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, unfinished=True)

    def ask(self) -> bool:
        """Take it up; what is called recovered and sealed can be read and verifies no worse than it is."""
        done = take_up(self.folder, self._work / "keys")
        _prove_printable(str(done))
        if not done.sealed:
            return False
        with contextlib.suppress(SightlineError):
            _read(self.folder)
        return True


def _read(folder: Path) -> None:
    """All of a drive, every message decoded; one that does not decode is passed over, as a tool may do."""
    drive = open_drive(folder)
    for message in drive.messages():
        with contextlib.suppress(SightlineError):
            message.decode()
    for question in (
        drive.topics,
        drive.duration_s,
        lambda: list(drive.gaps()),
        drive.ledger,
        drive.closing,
        lambda: list(lacks(drive)),
        lambda: [frame.sequence for frame in drive.frames()],
        lambda: [drive.note(file.index) for file in drive.segments],
    ):
        question()


def _drove(folder: Path) -> None:
    """What drove, as replay asks for it."""
    drive = open_drive(folder)
    recorded_config(drive)
    recorded_manifest(drive)
    recorded_plan(drive)


def _said(*arguments: str) -> int:
    """The command's exit code; what it says may not steer a terminal."""
    with _captured() as said:
        code = main(arguments)
    if code not in (0, 1, 2):
        raise BrokenPromiseError(f"sightline {arguments[0]} ends with {code}")
    _prove_printable(said.getvalue())
    return code


@contextlib.contextmanager
def _captured() -> Iterator[io.StringIO]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


def _prove_printable(text: str) -> None:
    for letter in set(text) - {"\n"}:
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise BrokenPromiseError(f"{letter!a} is printed: {text[max(0, text.index(letter) - 60) :][:200]!a}")


def changed(name: str, data: bytes) -> bytes:
    """The case of a drive in which one file holds other bytes."""
    return encode_case([Entry(name, "file", data)])
