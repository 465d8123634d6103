"""Is every change to a sealed drive found, and the message named where it can be decoded?

A drive of the proving ground is recorded and sealed, and one more by the same vehicle. Then, one change at a time, in a
copy: single bytes anywhere in any file, messages removed, changed, swapped and inserted (the segment written anew by an
MCAP writer, as by somebody who has the tools and not the key), segments removed, swapped, and taken from the other
drive. A change counts as found where verifying says that the drive is damaged, and as falsely named where a message is
named that was left as it was. The tests make a tenth of these changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from benchmarks.machine import machine, today
from benchmarks.tamperer import Tamperer, Tampering
from review.verify.drive import verify_drive
from review.verify.report import Verification
from runtime.contracts.config import default_config
from runtime.seal.keys import known_keys
from runtime.supervise.launch import run_drive


@dataclass(frozen=True)
class Row:
    """The tally of one kind of change."""

    kind: str
    done: int
    found: int
    named: int  # with a message of the change named, or the range of the unreadable chunk that it lies in
    falsely_named: int


def record(out: Path, key_dir: Path, seconds: float, seed: int, segment_s: float = 1.0) -> Path:
    """A sealed drive with a segment for every `segment_s`."""
    config = default_config()
    changed = msgspec.structs.replace(config.record, segment_s=segment_s, key_dir=str(key_dir))
    config = msgspec.structs.replace(config, record=changed)
    uri = f"proving-ground://lane?seed={seed}&duration_s={seconds:g}"
    return Path(run_drive(config, uri, out, "lockstep", lambda _: None).drive)


def judge(done: Tampering, found: Verification) -> tuple[bool, bool, bool]:
    """Whether a change was found, whether its message (or the chunk around it) was named, and whether one was named
    that was left as it was.
    """
    right = wrong = False
    for one in found.findings:
        if one.message is None or one.last_message is None:
            continue
        fits = done.hidden if one.kind == "chunk-unreadable" else done.allowed
        inside = one.file == done.file and one.message in fits and one.last_message in fits
        right, wrong = right or inside, wrong or not inside
    return found.verdict == "damaged", right, wrong


@dataclass(frozen=True)
class Speed:
    """How fast an intact drive verifies: the median and the slowest of several times, in one process."""

    median_realtime_factor: float
    least_realtime_factor: float
    mib_per_s: float


def speed(work: Path, seed: int, seconds: float = 30.0, times: int = 9) -> Speed:
    """Record a longer drive in one segment and verify it again and again."""
    drive = record(work / "speed", work / "keys", seconds, seed, segment_s=60.0)
    runs = [verify_drive(drive, known_keys(work / "keys")) for _ in range(times)]
    factors = [one.realtime_factor for one in runs]
    middle = statistics.median(one.wall_s for one in runs)
    return Speed(statistics.median(factors), min(factors), runs[0].size_bytes / 2**20 / middle)


def measure(work: Path, counts: tuple[int, int, int], seed: int, seconds: float = 5.0) -> tuple[list[Row], list[str]]:
    """Record two drives, make the changes, and tally them; the second list tells what was not as it should be."""
    keys = work / "keys"
    drive, other = record(work / "drives", keys, seconds, seed), record(work / "others", keys, seconds, seed + 1)
    trusted = known_keys(keys)
    wrong = [
        f"an intact drive is {verify_drive(one, trusted)}"
        for one in (drive, other)
        if verify_drive(one, trusted).verdict != "intact"
    ]
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    tamperer = Tamperer(drive, other, work / "copy", seed)
    for done in tamperer.changes(*counts):
        found = verify_drive(tamperer.copy, trusted)
        seen, named, falsely = judge(done, found)
        for place, counts_it in enumerate((True, seen, named, falsely)):
            tally[done.kind][place] += counts_it
        if not seen or falsely or (done.named and not named):
            wrong.append(f"{done}: {[str(one) for one in found.findings[:5]]}")
    return [Row(kind, *numbers) for kind, numbers in tally.items()], wrong


def main() -> int:
    """Print the table; 0 where every change was found and none falsely named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tampering", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other changes (1)")
    parser.add_argument("--changes", type=int, default=1000, help="about how many (1000)")
    arguments = parser.parse_args()
    n = arguments.changes
    with tempfile.TemporaryDirectory() as folder:
        rows, wrong = measure(Path(folder), (n * 61 // 100, n * 3 // 10, n // 25), arguments.seed)
        fast = speed(Path(folder), arguments.seed)
    total = sum(row.done for row in rows)
    if arguments.json:
        report = {
            "machine": machine(),
            "date": today(),
            "seed": arguments.seed,
            "changes": total,
            "wrong": wrong,
            **asdict(fast),
        }
        print(json.dumps({**report, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print("| change | done | found | named | falsely named |\n|---|---|---|---|---|")
        for row in rows:
            print(f"| {row.kind} | {row.done} | {row.found} | {row.named} | {row.falsely_named} |")
        print(f"\n{total} changes, seed {arguments.seed}; {machine()}, {today()}")
        print(
            f"verifying: {fast.median_realtime_factor:.0f} x real time (least {fast.least_realtime_factor:.0f}), "
            f"{fast.mib_per_s:.0f} MiB/s"
        )
        print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
