"""Does anything that can reach us from outside crash, hang or fill up what reads it?

At least 100,000 inputs: sessions at the recorder's end of the link, answers at the driving process's, a viewer's
socket, a real recorder's tcp and ipc sockets under strangers, and a recorded drive made wrong in its bytes, records,
chunks, messages, seals and names, before its reader, replay, the verifier (as the verb and as the one file), and a
recorder that takes it up. Every input hangs on the seed, its target and its number. Each target runs in a process of
its own with bounded memory and a watchdog; whatever is no answer and no error of ours is a finding, kept as a file that
`--again FILE` feeds once more. The tests do some hundreds of each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from benchmarks.fuzzing.targets import BOUNDS, SHARES, open_target
from benchmarks.fuzzing.worker import CASE_DIGITS, Job, Tally, case_random, finding_path, judged, read_progress
from benchmarks.machine import machine, today

INPUTS = 100_000
_MOST_CRASHES = 5  # of one target; then it is enough
_SPENT_S = 3600


def run_target(name: str, seed: int, inputs: int, folder: Path) -> Tally:
    """A target in a process of its own; one that dies is a finding, and the next begins behind it."""
    whole = Tally(name)
    first = 0
    while whole.inputs < inputs and len(whole.crashes) < _MOST_CRASHES:
        with tempfile.TemporaryDirectory(dir=_fast_folder()) as scratch:
            work, progress = Path(scratch) / "w", Path(scratch) / "case"
            work.mkdir()
            progress.write_bytes(bytes(CASE_DIGITS))
            job = Job(name, seed, first, inputs - whole.inputs, folder, progress)
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_DATA_HOME": str(Path(scratch) / "data")}
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.fuzzing.worker", *job.arguments(), str(work)],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env=environment,
                timeout=_SPENT_S,
                check=False,
            )
            number = read_progress(progress)
        last = done.stdout.decode().strip().rpartition("\n")[2]
        if done.returncode == 0 and last.startswith("{"):
            whole.add(Tally(**json.loads(last)))
            break
        path = finding_path(folder, name, seed, number)
        path.with_suffix(".txt").write_bytes(done.stderr[-20_000:])
        end = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        whole.crashes.append(f"{path.name}: the process ended with {done.returncode} in case {number}: {end[:200]}")
        whole.inputs += 1
        first = number + 1
    return whole


def _fast_folder() -> str | None:
    """Memory, where there is some: a hundred thousand files wear a disk out for nothing."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def again(path: Path) -> int:
    """Feed a finding once more; 1 where it still is one."""
    name = path.name.partition("-")[0]
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as scratch:
        os.environ["XDG_DATA_HOME"] = str(Path(scratch) / "data")
        work = Path(scratch) / "w"
        work.mkdir()
        with closing(open_target(name, work)) as target:
            if path.exists():
                case = target.load(path)
            else:  # a process died of it: only where it came from is known
                _, seed, number = path.name.split("-")
                case = target.case(case_random(int(seed), name, int(number)))
            found = judged(target, case, BOUNDS[name], Tally(name))
    print(found or f"{path.name}: answered")
    return 1 if found else 0


def main() -> int:
    """Print the table; 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other inputs (1)")
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"about how many ({INPUTS})")
    parser.add_argument("--target", action="append", choices=list(SHARES), help="only this one (may be given again)")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="where they are kept (findings/)")
    parser.add_argument("--again", type=Path, default=None, metavar="FILE", help="feed a finding once more")
    arguments = parser.parse_args()
    if arguments.again is not None:
        return again(arguments.again)
    arguments.findings.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    tallies = []
    for name, share in SHARES.items():
        if arguments.target is None or name in arguments.target:
            inputs = max(1, round(arguments.inputs * share))
            tallies.append(run_target(name, arguments.seed, inputs, arguments.findings.resolve()))
            print(f"{name}: {tallies[-1].inputs} inputs in {tallies[-1].wall_s:.0f} s", file=sys.stderr, flush=True)
    with suppress(OSError):  # it holds something
        arguments.findings.rmdir()
    wall_s = time.perf_counter() - began
    found = [one for tally in tallies for one in (*tally.findings, *tally.crashes)]
    total = sum(tally.inputs for tally in tallies)
    if arguments.json:
        rows = [tally.__dict__ for tally in tallies]
        told = {"machine": machine(), "date": today(), "seed": arguments.seed, "inputs": total, "wall_s": wall_s}
        print(json.dumps({**told, "findings": found, "rows": rows}, indent=2))
        return 1 if found else 0
    print("| target | inputs | accepted | refused | findings | worst time | bound | peak memory | bound |")
    print("|---|---|---|---|---|---|---|---|---|")
    for tally in tallies:
        bounds = BOUNDS[tally.target]
        findings = len(tally.findings) + len(tally.crashes)
        print(
            f"| {tally.target} | {tally.inputs} | {tally.accepted} | {tally.refused} | {findings} | "
            f"{tally.worst_s:.2f} s | {bounds.seconds:g} s | {tally.peak_mib:.0f} MiB | {bounds.mib:g} MiB |"
        )
    print(f"\n{total} inputs in {wall_s:.0f} s, seed {arguments.seed}; {machine()}, {today()}")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
