"""Does a record lose anything that was acknowledged, and what does it cost?

Real recorders and senders are killed and frozen at random moments; the power fails at any moment on a disk that
remembers what was synced; a journal is cut anywhere in its last megabyte. After each, nothing acknowledged may be
missing, and what is missing must be what the record declares as missing. Last, the CPU that recording takes, beside a
plain file and the MCAP library's writer. The tests do a tenth of it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.durable import cuts, faults
from benchmarks.durable.cost import Cost, measure
from benchmarks.durable.disk import Place
from benchmarks.durable.loss import (
    Scenario,
    broken,
    failures,
    fast_folder,
    killed,
    moments,
    need,
    record,
    soon_after,
)
from benchmarks.machine import machine, today

PARTS = ("faults", "power", "cuts", "cost")


@dataclass(frozen=True)
class FaultRow:
    """The tally of one fault at one rate, over its runs."""

    fault: str
    rate_hz: int
    runs: int
    handed_over: int
    acknowledged: int
    lost: int
    missing: int
    declared: int
    wrong: int  # runs that were not as they should be


@dataclass(frozen=True)
class PowerRow:
    """`done` failures or cuts of one kind, and how many of them broke a promise."""

    kind: str
    done: int
    broken: int


@dataclass
class Report:
    """Everything that was asked for."""

    machine: str
    date: str
    faults: list[FaultRow]
    power: list[PowerRow]
    cost: Cost | None
    wrong: list[str]


def fault_rows(runs: int, at_once: int, wrong: list[str]) -> Iterator[FaultRow]:
    """Every fault at every rate, `runs` times."""
    for fault, rate_hz in itertools.product(faults.FAULTS, faults.RATES_HZ):
        wanted = [faults.Run(fault, rate_hz, seed) for seed in range(runs)]
        done = list(faults.outcomes(wanted, at_once))
        wrong += [str(one) for one in done if not one.holds]
        yield FaultRow(
            fault,
            rate_hz,
            len(done),
            handed_over=sum(one.handed_over for one in done),
            acknowledged=sum(one.acknowledged for one in done),
            lost=sum(one.lost for one in done),
            missing=sum(one.missing for one in done),
            declared=sum(one.declared for one in done),
            wrong=sum(not one.holds for one in done),
        )


def power_rows(share: float, wrong: list[str]) -> Iterator[PowerRow]:
    """Power failures of a whole drive, and what the deletion of each call of sync would do."""
    scenario, chance = Scenario(), random.Random(1)
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        root, key_dir = Path(folder) / "root", Path(folder) / "keys"
        root.mkdir()
        disk = record(root, key_dir, scenario)
        if not disk.faithful():
            wrong.append("the shim did not see all that was written")
        wanted = list(failures(moments(disk, chance, anywhere=200), unsynced_kept=3))
        for keep in ("nothing", "all", "some"):
            chosen = [one for one in wanted if one.keep == keep]
            chosen = chance.sample(chosen, max(1, int(len(chosen) * share)))
            told = [(one, broken(disk, key_dir, one, scenario)) for one in chosen]
            wrong += [f"{one}: {lacks[:3]}" for one, lacks in told if lacks]
            yield PowerRow(f"power failure, {keep} kept", len(told), sum(bool(lacks) for _, lacks in told))
        synced_in: dict[Place, list[Scenario]] = {place: [scenario] for place in disk.places}
        yield _behind_a_kill(Path(folder) / "killed", key_dir, share, synced_in, wrong)
        missed = 0
        for place, scenarios in sorted(synced_in.items()):
            if need(place, scenarios, Path(folder), key_dir):
                missed += 1
            else:
                wrong.append(f"nobody would miss the sync at {place}")
        yield PowerRow("a call of sync deleted", len(synced_in), missed)


def _behind_a_kill(
    folder: Path, key_dir: Path, share: float, synced_in: dict[Place, list[Scenario]], wrong: list[str]
) -> PowerRow:
    """Drives whose recorder was killed, and then the power failed. Notes in which of them each place is synced."""
    done = broke = 0
    for number, one in enumerate(killed(Scenario())):
        root = folder / str(number) / "root"
        root.mkdir(parents=True)
        disk = record(root, key_dir, one)
        for place in disk.places:
            synced_in.setdefault(place, []).append(one)
        wanted = soon_after(disk, unsynced_kept=3)
        for failure in random.Random(number).sample(wanted, max(1, int(len(wanted) * share))):
            lacks = broken(disk, key_dir, failure, one)
            wrong += [f"{failure}, {one.deaths}: {lacks[:3]}"] if lacks else []
            done, broke = done + 1, broke + bool(lacks)
    return PowerRow("recorder killed, then a power failure", done, broke)


def cut_rows(share: float, wrong: list[str]) -> Iterator[PowerRow]:
    """A journal cut at every boundary of its last megabyte, and anywhere else in it."""
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        (Path(folder) / "root").mkdir()
        data = cuts.a_journal(Path(folder) / "root", Path(folder) / "keys")
        sizes = cuts.cuts(data, int(10_000 * share), every=1, chance=random.Random(1))
        told = list(cuts.wrong(data, sizes, Path(folder) / "journal"))
        wrong += told
        yield PowerRow("journal cut", len(sizes), len(told))


def report(parts: list[str], runs: int, at_once: int) -> Report:
    """Do what was asked for."""
    wrong: list[str] = []
    share = min(1.0, runs / 100)
    power = list(power_rows(share, wrong)) if "power" in parts else []
    power += list(cut_rows(share, wrong)) if "cuts" in parts else []
    rows = list(fault_rows(runs, at_once, wrong)) if "faults" in parts else []
    cost = measure() if "cost" in parts else None
    return Report(machine(), today(), rows, power, cost, wrong)


def show(found: Report) -> None:
    """Print the tables."""
    if found.faults:
        print(
            "| fault | frames/s | runs | handed over | acknowledged | of these missing | not in the record | declared |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for row in found.faults:
            print(
                f"| {row.fault} | {row.rate_hz} | {row.runs} | {row.handed_over} | {row.acknowledged} | {row.lost} | "
                f"{row.missing} | {row.declared} |"
            )
        print()
    if found.power:
        print("| what | times | broke a promise |\n|---|---|---|")
        for one in found.power:
            print(f"| {one.kind} | {one.done} | {one.broken} |")
        print()
    if found.cost is not None:
        plain = found.cost.median.plain_us
        print("| CPU of one frame | us | x plain file |\n|---|---|---|")
        for name, what in (
            ("plain_us", "plain file, synced every 50 ms"),
            ("unchunked_us", "Python's mcap writer, unchunked, synced alike"),
            ("zstd_us", "Python's mcap writer, chunks of 1 MiB with zstd, synced alike"),
            ("hand_over_us", "the driving process's hand-over, with its socket's thread"),
            (
                "recorder_us",
                "the recorder's process: journal, syncs, zstd, leaves, signatures, reading back",
            ),
        ):
            value = getattr(found.cost.median, name)
            print(f"| {what} | {value:.0f} | {value / plain:.2f} |")
        print(f"\nOne frame: {found.cost.set_bytes} bytes that do not compress. Median of {found.cost.rounds} rounds.")
    print(f"{found.machine}, {found.date}")
    print("\n".join(found.wrong[:20]))


def main() -> int:
    """Print the tables; 0 where every promise held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--runs", type=int, default=100, help="of each fault at each rate (100)")
    parser.add_argument("--at-once", type=int, default=4, help="how many of them at the same time (4)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="all, where none is named")
    arguments = parser.parse_args()
    found = report(arguments.parts, arguments.runs, arguments.at_once)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        show(found)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
