"""`python -m export.closed_loop`: does the policy keep its lane, and does it stop behind a stopped car?

The exported ONNX drives the proving ground through the same preprocess and engine as the vehicle; its command alone
moves the car. Seeds are ones that training never saw.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import msgspec
from tqdm import tqdm

from export.curriculum import TRAINING_SEEDS
from export.policy import OnnxPolicy
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation
from runtime.contracts.errors import ExitCode, SightlineError, UsageError

if TYPE_CHECKING:
    from proving_ground.scenario import Scenario

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "configs" / "pilotnet.onnx"
LANE_SEEDS, STOP_SEEDS = (1, 2, 3, 4), (11, 12, 13, 14, 15, 16)
STANDING_MPS = 0.05


class Drive(msgspec.Struct, frozen=True):
    """One simulated drive. `gap_at_stop_m` is None where there was no lead or the car did not stand in the end."""

    scenario: str
    seed: int
    simulated_s: float
    largest_lateral_offset_m: float
    median_lateral_offset_m: float  # of absolute values
    departures: int
    collided: bool
    mean_speed_mps: float
    gap_at_stop_m: float | None
    end: str


class Verdict(msgspec.Struct, frozen=True):
    """All drives of an evaluation. `held`: nobody left the lane or ran into anything, and all who had to stop did."""

    model: str
    lanes: tuple[Drive, ...]
    stops: tuple[Drive, ...]
    held: bool


def drive(scenario: Scenario, policy: OnnxPolicy) -> Drive:
    """The policy drives the scenario to its end."""
    simulation = Simulation(scenario)
    offsets: list[float] = []
    speeds: list[float] = []
    departures, was_out = 0, False
    while simulation.end is None:
        frame = simulation.observe()
        offsets.append(abs(frame.truth.lateral_offset_m))
        speeds.append(frame.truth.speed_mps)
        departures += frame.truth.departed and not was_out
        was_out = frame.truth.departed
        simulation.step(policy.control(frame.picture, frame.truth.speed_mps))
    last = simulation.truth_of(simulation.car)
    standing = last.speed_mps < STANDING_MPS
    return Drive(
        scenario=scenario.name,
        seed=scenario.seed,
        simulated_s=simulation.sequence / scenario.frame_rate_hz,
        largest_lateral_offset_m=max(offsets),
        median_lateral_offset_m=statistics.median(offsets),
        departures=departures,
        collided=last.collided or simulation.end == "collided",
        mean_speed_mps=statistics.fmean(speeds),
        gap_at_stop_m=last.gap_m if standing else None,
        end=simulation.end or "",
    )


@dataclass(frozen=True)
class _Job:
    scenario: str
    seed: int
    duration_s: float | None


def judge(
    model: Path,
    minutes: float,
    lane_seeds: tuple[int, ...] = LANE_SEEDS,
    stop_seeds: tuple[int, ...] = STOP_SEEDS,
    processes: int = 1,
) -> Verdict:
    """Drive `lane` for `minutes` on every lane seed and `stopped-lead` to its end on every stop seed.

    Raises UsageError for a seed that training used.
    """
    for seed in (*lane_seeds, *stop_seeds):
        if seed in TRAINING_SEEDS:
            raise UsageError(
                f"seed {seed} lies in the training range {TRAINING_SEEDS.start} to {TRAINING_SEEDS.stop - 1}; "
                "judge on seeds outside of it"
            )
    jobs = [_Job("lane", seed, minutes * 60.0) for seed in lane_seeds]
    jobs += [_Job("stopped-lead", seed, None) for seed in stop_seeds]
    run = partial(_drive_job, model)
    bar = partial(tqdm, total=len(jobs), desc="closed loop", unit="drive", leave=False, file=sys.stderr)
    if processes == 1:
        drives = list(bar(map(run, jobs)))
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            drives = list(bar(pool.imap(run, jobs)))
    lanes, stops = tuple(drives[: len(lane_seeds)]), tuple(drives[len(lane_seeds) :])
    held = all(d.departures == 0 and not d.collided for d in drives)
    stopped = all(d.gap_at_stop_m is not None for d in stops)
    return Verdict(model.name, lanes, stops, held and stopped)


def _drive_job(model: Path, job: _Job) -> Drive:
    cv2.setNumThreads(1)
    scenario = scenario_by_name(job.scenario, job.seed)
    if job.duration_s is not None:
        scenario = replace(scenario, duration_s=job.duration_s)
    policy = OnnxPolicy(model)
    try:
        return drive(scenario, policy)
    finally:
        policy.close()


def table(verdict: Verdict) -> str:
    """The verdict for people."""
    lines = ["scenario      seed  simulated  speed     offset: median  largest  departures  gap at stop"]
    for d in (*verdict.lanes, *verdict.stops):
        gap = "collided" if d.collided else "-" if d.gap_at_stop_m is None else f"{d.gap_at_stop_m:.1f} m"
        lines.append(
            f"{d.scenario:<13} {d.seed:>4}  {d.simulated_s:>7.1f} s  {d.mean_speed_mps:>4.1f} m/s  "
            f"{d.median_lateral_offset_m:>12.2f} m  {d.largest_lateral_offset_m:>5.2f} m  {d.departures:>10}  {gap:>11}"
        )
    lines.append("held: yes" if verdict.held else "held: NO")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The command. Exit code 0 where the policy held, 1 where not, 2 where it could not be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m export.closed_loop",
        description=__doc__,
        epilog="example: python -m export.closed_loop --minutes 10 --seeds 1 2 3 --processes 2",
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated minutes on each road")
    parser.add_argument("--seeds", type=int, nargs="*", default=LANE_SEEDS, help="roads to keep the lane on")
    parser.add_argument("--stop-seeds", type=int, nargs="*", default=STOP_SEEDS, help="roads with a stopped lead")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    try:
        verdict = judge(
            options.model, options.minutes, tuple(options.seeds), tuple(options.stop_seeds), options.processes
        )
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- a command's output
        return ExitCode.COULD_NOT
    print(msgspec.json.encode(verdict).decode() if options.json else table(verdict))  # noqa: T201 -- a command's output
    return ExitCode.YES if verdict.held else ExitCode.NO


if __name__ == "__main__":
    sys.exit(main())
