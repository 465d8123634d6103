"""Real processes that are killed and frozen at random moments, and what is in the record afterwards.

Each run is a process of its own, which forks a recorder and a sender: both begin at once, with all modules there.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.durable import sender
from benchmarks.durable.sets import payloads
from review.verify.drive import verify_drive
from runtime.contracts.config import BusConfig, Config, RecordConfig
from runtime.contracts.topics import MODEL_INPUT, STORED
from runtime.contracts.units import NS_PER_S
from runtime.record import __main__ as recorder
from runtime.record.drive import open_drive
from runtime.record.recover import take_up
from runtime.seal.keys import ensure_key
from runtime.supervise.plan import RunPlan, make_plan, make_run_dir, write_plan

Fault = Literal["recorder killed", "driving process killed", "both killed", "recorder frozen"]
FAULTS: tuple[Fault, ...] = ("recorder killed", "driving process killed", "both killed", "recorder frozen")
RATES_HZ = (30, 200)
_DRIVE_S = 1.2
_FROZEN_S = 0.6
_RING_S = 0.2  # of a recorder that is to be frozen for longer
_BACKOFF_S = 0.1  # the supervisor's
_PATIENCE_S = 60.0


class Run(msgspec.Struct, frozen=True):
    """One run: what happens to it, at how many frames a second, and by which seed."""

    fault: Fault
    rate_hz: int
    seed: int


class Outcome(msgspec.Struct, frozen=True):
    """What was handed over, acknowledged (and not given up), and is in the record."""

    run: Run
    handed_over: int
    acknowledged: int
    lost: int  # acknowledged and missing
    missing: int  # sets that are not in the record
    declared: int  # sets that the record says are not in it
    wrong: str  # what else is not as it should be

    @property
    def holds(self) -> bool:
        """Whether nothing acknowledged is missing, and just what is missing is declared."""
        return not self.lost and self.missing == self.declared and not self.wrong


def outcomes(wanted: Iterable[Run], at_once: int) -> Iterator[Outcome]:
    """Every run that is wanted, so many at once."""
    waiting = list(wanted)
    under_way: dict[int, tuple[int, Run]] = {}
    while waiting or under_way:
        while waiting and len(under_way) < at_once:
            one = waiting.pop(0)
            ours, theirs = os.pipe()
            pid = forked(lambda one=one, theirs=theirs: _told(theirs, one))  # type: ignore[misc]
            os.close(theirs)
            under_way[pid] = (ours, one)
        pid, status = os.wait()
        ours, one = under_way.pop(pid)
        with os.fdopen(ours, "rb") as file:
            said = file.read()
        if said:
            yield msgspec.json.decode(said, type=Outcome)
        else:
            why = f"the run itself ended with {os.waitstatus_to_exitcode(status)}"
            yield Outcome(one, 0, 0, 0, 0, 0, why)


def _told(fd: int, run: Run) -> int:
    os.write(fd, msgspec.json.encode(one_run(run)))
    return 0


def one_run(run: Run) -> Outcome:
    """Drive, let the fault happen once or twice, bring the drive to its end, and look at the record."""
    chance = random.Random(str(run))
    folder = Path(tempfile.mkdtemp(prefix="sightline-durability-"))
    plan = _plan(folder, run)
    try:
        wrong = _drive(plan, folder, run, chance)
        return _judged(plan, folder, run, wrong)
    finally:
        shutil.rmtree(plan.run_dir, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _plan(folder: Path, run: Run) -> RunPlan:
    key_dir = folder / "keys"
    ensure_key(key_dir)
    sets = max(8, int(run.rate_hz * _RING_S)) if run.fault == "recorder frozen" else 600
    config = Config(record=RecordConfig(segment_s=1.0, link_sets=sets, key_dir=str(key_dir)), bus=BusConfig())
    (folder / "drive").mkdir()
    return make_plan(
        drive_id="drive",
        drive_dir=folder / "drive",
        run_dir=make_run_dir(),
        source_uri="benchmark",
        pacing=None,
        config=config,
    )


def _drive(plan: RunPlan, folder: Path, run: Run, chance: random.Random) -> str:
    plan_path = str(write_plan(plan))

    def record() -> int:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return recorder.main([plan_path])

    recording = forked(record)
    frames = int(run.rate_hz * _DRIVE_S)
    driving = forked(lambda: sender.drive(plan, run.rate_hz, frames, folder / "account"))
    time.sleep(chance.uniform(0.02, _DRIVE_S))
    if run.fault == "recorder killed":
        for _ in range(chance.choice((1, 1, 2))):
            _end(recording, signal.SIGKILL)
            time.sleep(_BACKOFF_S)
            recording = forked(record)
            time.sleep(chance.uniform(0.0, 0.3))
    elif run.fault == "recorder frozen":
        os.kill(recording, signal.SIGSTOP)
        time.sleep(_FROZEN_S)
        os.kill(recording, signal.SIGCONT)
    elif run.fault == "driving process killed":
        _end(driving, signal.SIGKILL)
        if _end(recording, signal.SIGTERM) == 0:
            return ""
        return _mended(plan)  # it had not begun to listen yet: the supervisor has the drive taken up
    else:
        for pid in chance.sample((recording, driving), 2):
            _end(pid, signal.SIGKILL)
        return _mended(plan)
    said = _said("sender", _ended(driving))
    return said + _said("recorder", _end(recording, signal.SIGTERM))


def _mended(plan: RunPlan) -> str:
    done = take_up(Path(plan.drive_dir), config=plan.config)
    return done.why if done.outcome in ("recovered", "empty") else f"the drive is {done.outcome}: {done.why}"


def _judged(plan: RunPlan, folder: Path, run: Run, wrong: str) -> Outcome:
    with sender.account(folder / "account") as kept:
        handed_over = kept.handed_over
        acknowledged = {number for number in range(kept.acknowledged) if not kept.given_up(number)}
    drive_dir = Path(plan.drive_dir)
    stored: list[int] = []
    declared: set[int] = set()
    if any(drive_dir.glob("segment-*.mcap*")):
        drive = open_drive(drive_dir)
        gaps = list(drive.gaps())
        ranges = {(gap.first, gap.last) for gap in gaps}
        marks = [message.decode() for message in drive.messages(STORED)]
        stored = [mark.first for mark in marks if (mark.first, mark.last) not in ranges]
        # A sender may die between handing over a set and saying so: the record may hold one more than it told.
        handed_over = max(handed_over, max(stored, default=-1) + 1)
        for gap in gaps:
            declared |= set(range(gap.first, handed_over if gap.last is None else gap.last + 1))
            if gap.last is None and handed_over - gap.first > plan.config.record.link_sets:
                wrong += f"{handed_over - gap.first} sets are behind the open end, more than the ring holds; "
        wrong += "".join(_otherwise(plan, drive_dir, run, stored))
    elif acknowledged:
        wrong += "there is no record; "
    missing = set(range(handed_over)) - set(stored)
    if stored and missing != declared:
        wrong += f"missing: {sorted(missing)}, declared: {sorted(declared)}; "
    return Outcome(
        run,
        handed_over,
        len(acknowledged),
        len(acknowledged - set(stored)),
        len(missing) if stored else 0,
        len(declared),
        wrong,
    )


def _otherwise(plan: RunPlan, drive_dir: Path, run: Run, stored: list[int]) -> Iterator[str]:
    """What is wrong with the record beside what is missing."""
    if stored != sorted(set(stored)):
        yield "a set is there twice, or out of its order; "
    for message in open_drive(drive_dir).messages(MODEL_INPUT):
        right = payloads(message.sequence, NS_PER_S // run.rate_hz, sender.INPUT_BYTES)[1].data
        if message.data != right:
            yield f"frame {message.sequence} is not what was handed over; "
    key, _ = ensure_key(Path(str(plan.config.record.key_dir)))
    found = verify_drive(drive_dir, [key.public_key])
    yield from (f"{one}; " for one in found.findings)


def forked(job: Callable[[], int]) -> int:
    """A process that does it and ends; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        code = job()
    except BaseException:  # noqa: BLE001  # nothing may get past the fork
        traceback.print_exc()
    finally:
        os._exit(code)


def _end(pid: int, number: signal.Signals) -> int:
    os.kill(pid, number)
    return _ended(pid)


def _ended(pid: int) -> int:
    """The exit code of a process; one that does not end is killed."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGKILL


def _said(name: str, code: int) -> str:
    return "" if code == 0 else f"the {name} ended with {code}; "
