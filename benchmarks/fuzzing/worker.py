"""One target in a process of its own: bounded memory, a watchdog on every case, and each finding kept as a file.

Started by `benchmarks.fuzz`. Which case is under way stands in a small shared file, so that a process that was killed
by what it read is a finding too, with the case that did it: a case hangs on seed, target and number only.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from benchmarks.fuzzing.target import BrokenPromiseError, Target

GIB, MIB = 1 << 30, 1 << 20
CASE_DIGITS = 8
ADDRESS_SPACE_BYTES = 3 * GIB  # beyond what the process has when it begins


@dataclass
class Tally:
    """What a target did. Times in seconds a case, memory in MiB beyond what the process had before the case."""

    target: str
    cases: int = 0
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    worst_s: float = 0.0
    peak_mib: float = 0.0
    wall_s: float = 0.0
    findings: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)  # of the whole process

    def add(self, other: Tally) -> None:
        """Count another process's in."""
        self.cases += other.cases
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.refused += other.refused
        self.worst_s = max(self.worst_s, other.worst_s)
        self.peak_mib = max(self.peak_mib, other.peak_mib)
        self.wall_s += other.wall_s
        self.findings += other.findings


@dataclass(frozen=True)
class Bounds:
    """What a case may take."""

    seconds: float
    mib: float


class HangError(BaseException):
    """A case took longer than it may. No Exception: nothing that reads foreign bytes may swallow it."""


def case_random(seed: int, target: str, number: int) -> Random:
    """Where case `number` of a target comes from."""
    return Random(f"{seed}/{target}/{number}")


@dataclass(frozen=True)
class Job:
    """What one process has to do: cases of a target from `first` on until `inputs` were taken. Findings go into
    `folder`; the number of the case under way stands in `progress`.
    """

    target: str
    seed: int
    first: int
    inputs: int
    folder: Path
    progress: Path

    def arguments(self) -> list[str]:
        """As `main` takes them."""
        return [self.target, str(self.seed), str(self.first), str(self.inputs), str(self.folder), str(self.progress)]


def finding_path(folder: Path, target: str, seed: int, number: int) -> Path:
    """Where a finding is kept; the same name with `.txt` says what it is."""
    return folder / f"{target}-{seed}-{number}"


def read_progress(path: Path) -> int:
    """The number of the case that was under way."""
    return int.from_bytes(path.read_bytes(), "little")


def drive_target(target: Target, job: Job, bounds: Bounds) -> Tally:
    """Do it."""
    name, seed = job.target, job.seed
    tally = Tally(name)
    under_way = os.open(job.progress, os.O_WRONLY)
    signal.signal(signal.SIGALRM, _hang)
    number, began = job.first, time.perf_counter()
    while tally.inputs < job.inputs:
        case = target.case(case_random(seed, name, number))
        os.pwrite(under_way, number.to_bytes(CASE_DIGITS, "little"), 0)
        found = judged(target, case, bounds, tally)
        tally.cases += 1
        if found:
            path = finding_path(job.folder, name, seed, number)
            target.keep(case, path)
            path.with_suffix(".txt").write_text(found, encoding="utf-8", errors="backslashreplace")
            tally.findings.append(f"{path.name}: {found.strip().splitlines()[-1][:300]}")
            tally.inputs += 1
            if len(tally.findings) >= 20:
                break
        number += 1
    tally.wall_s = time.perf_counter() - began
    os.close(under_way)
    return tally


def judged(target: Target, case: bytes, bounds: Bounds, tally: Tally) -> str:
    """One case under watch; what is wrong, as a traceback, or nothing."""
    before_mib = _reset_peak()
    faulthandler.dump_traceback_later(4 * bounds.seconds, exit=True)  # where no Python runs any more
    signal.setitimer(signal.ITIMER_REAL, bounds.seconds)
    began = time.perf_counter()
    try:
        outcome = target.take(case)
    except (Exception, HangError):  # noqa: BLE001  whatever it is, it is what is looked for
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        tally.worst_s = max(tally.worst_s, time.perf_counter() - began)
        grown_mib = _peak_mib() - before_mib
        tally.peak_mib = max(tally.peak_mib, grown_mib)
    tally.inputs += outcome.inputs
    tally.accepted += outcome.accepted
    tally.refused += outcome.refused
    grown_mib = max(grown_mib, outcome.peak_mib)
    tally.peak_mib = max(tally.peak_mib, grown_mib)
    if grown_mib > bounds.mib:
        return f"{BrokenPromiseError.__name__}: the case took {grown_mib:.0f} MiB, more than {bounds.mib:g}"
    return ""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise HangError("the case hangs")


def _reset_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")  # the peak from now on (proc(5))
    return _status_mib("VmRSS")


def _peak_mib() -> float:
    return _status_mib("VmHWM")


def _status_mib(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def main(arguments: list[str]) -> int:
    """`TARGET SEED FIRST INPUTS FOLDER PROGRESS WORK`: print the tally as JSON."""
    from benchmarks.fuzzing.targets import BOUNDS, open_target

    name, seed, first, inputs = arguments[0], *(int(text) for text in arguments[1:4])
    folder, progress, work = (Path(text) for text in arguments[4:7])
    with closing(open_target(name, work)) as target:
        space = int(_status_mib("VmSize") * MIB) + ADDRESS_SPACE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        tally = drive_target(target, Job(name, seed, first, inputs, folder, progress), BOUNDS[name])
    print(json.dumps(asdict(tally)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
