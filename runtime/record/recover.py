"""Takes up drives that nobody writes any more: their processes were killed, or the power failed.

What is no whole set is cut away, the open end is declared, segments are sealed as `recovered` or `late`, and the chain
is closed. As a process of a run, `python -m runtime.record.recover PLAN` does so for the drives beside that of the
plan, at idle priority, and prints one line of JSON for each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Literal

import msgspec

from runtime.contracts.clock import SystemClock
from runtime.contracts.config import Config
from runtime.contracts.errors import ConfigError, ExitCode, RecordError, SealError, SightlineError
from runtime.record.leftover import Leftover, examine, half_written, leftovers
from runtime.record.lock import DriveInUseError, exclusive
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.store import DriveStore
from runtime.retention.grave import show_rotations
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import key_dir_of, load_key
from runtime.seal.statement import SEAL_SUFFIX
from runtime.supervise.plan import RunPlan, read_plan

Outcome = Literal["recovered", "whole", "empty", "in-use", "damaged"]


class Recovery(msgspec.Struct, frozen=True):
    """What was found in one drive, and what was done.

    `outcome`: *recovered*; *whole*, nothing was to be done; *empty*, nothing was recorded; *in-use* and *damaged*
    drives are left as they are. `why` says why not, or why a recovered one is not sealed.
    """

    drive: str
    outcome: Outcome
    sets: int = 0  # whole message sets below this sequence are on the disk, or declared as lost
    journals: int = 0  # segments that were still growing
    cut_bytes: int = 0  # of a set that was not whole
    open_from: int | None = None  # the set from which on nothing is known, where the end was not declared yet
    sealed: bool = False
    head: str = ""  # number:hash of the newest seal
    why: str = ""

    def __str__(self) -> str:
        """One line for people."""
        if self.outcome != "recovered":
            said = {"whole": "nothing to recover", "empty": "nothing was recorded", "in-use": "in use"}
            words = said.get(self.outcome, "damaged, left as it is")
            return f"{self.drive}: {words}" + (f": {self.why}" if self.why else "")
        end = "its end was declared" if self.open_from is None else f"nothing is known from set {self.open_from} on"
        seal = f"sealed ({self.head})" if self.sealed else f"not sealed: {self.why}"
        found = f"{self.sets} message sets, {self.journals} open segments, {self.cut_bytes} bytes cut"
        return f"{self.drive}: recovered: {found}; {end}; {seal}"


def recover(drive_dir: Path, key_dir: Path | None = None) -> Recovery:
    """Take up one drive that nobody else has. Every trouble is in what is returned.

    Args:
        drive_dir: the drive's folder.
        key_dir: where the vehicle's key is, if not where the drive's configuration says.
    """
    try:
        with exclusive(drive_dir):
            return take_up(drive_dir, key_dir)
    except DriveInUseError as error:
        return Recovery(str(drive_dir), "in-use", why=str(error))
    except RecordError as error:
        return Recovery(str(drive_dir), "damaged", why=str(error))


def take_up(drive_dir: Path, key_dir: Path | None = None, config: Config | None = None) -> Recovery:
    """As `recover`, for a drive that the caller holds; `config` is the drive's, where the caller knows it."""
    try:
        found = examine(drive_dir, config)
        if found is None and next(drive_dir.glob(f"*{SEAL_SUFFIX}"), None) is None:
            return Recovery(str(drive_dir), "empty")
        if found is None or found.whole:  # or every segment was deleted to make room
            for leftover in half_written(drive_dir):  # by whoever deleted from it
                leftover.unlink()
            return Recovery(str(drive_dir), "whole", sealed=True)
        signer, unsigned = sealer_of(drive_dir, key_dir or key_dir_of(found.config.record.key_dir))
    except (RecordError, SealError, ConfigError) as error:
        return Recovery(str(drive_dir), "damaged", why=str(error))
    except OSError as error:
        return Recovery(str(drive_dir), "damaged", why=f"{drive_dir} cannot be written: {error.strerror}")
    if found.ended and not found.journals and signer is None:
        return Recovery(str(drive_dir), "recovered", why=unsigned)
    try:
        return _take_up(drive_dir, found, signer, unsigned)
    except (RecordError, SealError) as error:
        return Recovery(str(drive_dir), "recovered", journals=found.journals, why=str(error))


def sealer_of(drive_dir: Path, key_dir: Path) -> tuple[DriveSealer | None, str]:
    """What signs the drive. A record without signatures is worth more than none: where the key that was there when the
    run began is not to be had any more, why.
    """
    try:
        signer = DriveSealer(drive_dir, load_key(key_dir))
    except SealError as error:
        return None, f"the record is not signed: {error}"
    with contextlib.suppress(OSError):  # a full disk: whoever verifies needs the newer key as well, and it is sealed
        show_rotations(signer, drive_dir, key_dir)
    return signer, ""


def _take_up(drive_dir: Path, found: Leftover, signer: DriveSealer | None, unsigned: str) -> Recovery:
    store = DriveStore(drive_dir, found.session, found.config.record, signer)
    recovered = store.recovered
    recorder = Recorder(
        _plan(drive_dir, found),
        store,
        PictureEncoder(_to_nobody, found.config.record),
        clock=SystemClock(),
        reply=_to_nobody,
        publish=_to_nobody,
        unsigned=unsigned,
        took_up="the drive was taken up after its processes had died",
    )
    open_from = None
    if not found.ended and store.next_sequence:
        open_from = store.next_sequence
        recorder.end_open("the driving process and the recorder ended without a farewell, or without room for it")
    elif store.next_sequence:
        recorder.end_taken_up()
    why = unsigned
    try:
        store.close()
    except RecordError as error:
        why = str(error)
    if not store.next_sequence and not (signer is not None and signer.segments):
        return Recovery(str(drive_dir), "empty", journals=found.journals)  # it died before it had a whole set
    why = why or store.sealing.unfinished
    heads = store.sealing.take_heads()
    return Recovery(
        drive=str(drive_dir),
        outcome="recovered",
        sets=store.next_sequence,
        journals=found.journals,
        cut_bytes=recovered.cut_bytes if recovered is not None else 0,
        open_from=open_from,
        sealed=signer is not None and signer.closed and not why,
        head=f"{heads[-1].number}:{heads[-1].seal_sha256}" if heads else "",
        why=why,
    )


def _plan(drive_dir: Path, found: Leftover) -> RunPlan:
    """The plan of a run that is over: nobody is at the other end of any socket."""
    return RunPlan(
        drive_id=drive_dir.name,
        drive_dir=str(drive_dir),
        run_dir="",
        source_uri="",
        pacing=None,
        session=found.session,
        viewers="",
        pictures="",
        link="",
        marks="",
        config=found.config,
    )


def _to_nobody(_: object) -> None:
    """There is no other end."""


def main(arguments: list[str]) -> int:
    """Recover what lies beside the plan's drive; 0, or 2 with one line on stderr where nothing can be looked for."""
    parent_pid = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's affair
    signal.signal(signal.SIGTERM, lambda *_: _in_earnest())
    _schedule(os.SCHED_IDLE)
    try:
        plan = read_plan(Path(arguments[0]))
        own = Path(plan.drive_dir)
        for drive_dir in leftovers(own.parent, but=own):
            done = recover(drive_dir)
            if done.outcome not in ("whole", "in-use"):
                sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
                sys.stdout.flush()
            if os.getppid() != parent_pid:
                break  # the supervisor was killed: the next run goes on
    except (SightlineError, OSError) as error:
        sys.stderr.write(f"sightline recovery: {error}\n")
        return ExitCode.COULD_NOT
    return ExitCode.YES


def parse_recovery(line: str) -> Recovery | None:
    """What the process of a run printed; None where a line is something else."""
    try:
        return msgspec.json.decode(line.encode(), type=Recovery)
    except msgspec.DecodeError:
        return None


def _in_earnest() -> None:
    """The drive is over: what waits for this process, waits for it alone."""
    _schedule(os.SCHED_OTHER)


def _schedule(policy: int) -> None:
    """Give all threads of this process a policy (sched(7)); SCHED_IDLE brings the disk's idle class with it."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or the system refuses: then as it was
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
