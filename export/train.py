"""`python -m export.train --out configs/pilotnet.onnx`: make data, learn, export, write the manifest, judge.

Nothing is read but the proving ground: the reference weights can be made again from a checkout alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import torch
from tqdm import tqdm

from export.closed_loop import judge, table
from export.curriculum import TRAINING_SEEDS, training_scenario
from export.dataset import Samples, concatenate, scattered_frames, visited_frames
from export.learning import Course, errors, fit
from export.onnx_export import export_onnx, write_model
from export.pilotnet import PilotNet
from export.policy import OnnxPolicy
from export.reference import manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FRAMES_PER_ROAD = 40
_KEEP_EVERY = 2
_DESCRIPTION = (
    "NVIDIA PilotNet layout (arXiv 1604.07316), trained by export.train on the proving ground alone: "
    "right-hand traffic, lane lines present, target speed 15 m/s."
)


@dataclass(frozen=True)
class Plan:
    """How much to do. Epochs: of the scattered frames, of each round, of the end, when the rate falls to nothing."""

    roads: int = 500
    rounds: int = 3
    drives_per_round: int = 32
    first_epochs: float = 8.0
    round_epochs: float = 2.5
    last_epochs: float = 6.0
    held_out_roads: int = 12
    seed: int = 1


@dataclass(frozen=True)
class _Job:
    seed: int
    model: Path | None  # None: scattered poses; else the policy that drives


def main(argv: list[str] | None = None) -> int:
    """The command. Exit code 0 where the policy held every road and stopped, 1 where not."""
    options = _options(argv)
    torch.set_num_threads(options.threads)
    first, each_round, last = options.epochs
    plan = Plan(options.roads, options.rounds, options.drives, first, each_round, last, seed=options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {text}", flush=True)  # noqa: T201 -- a command's output

    policy = learn(plan, options.work, options.threads, say)
    write_model(options.out, export_onnx(policy, manifest(_DESCRIPTION)))
    say(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")
    verdict = judge(options.out, minutes=options.judge_minutes, processes=options.threads)
    say("judged on roads that were not trained on:\n" + table(verdict))
    return 0 if verdict.held else 1


def learn(plan: Plan, work: Path, threads: int, say: Callable[[str], None]) -> PilotNet:
    """A policy made from nothing but the plan's seed. Checkpoints and the rounds' models go to `work`."""
    torch.manual_seed(plan.seed)
    policy = PilotNet()
    policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seeds = iter(TRAINING_SEEDS)
    held_out = _frames([_Job(next(seeds), None) for _ in range(plan.held_out_roads)], threads, "held-out frames")
    parts = [_frames([_Job(next(seeds), None) for _ in range(plan.roads)], threads, "scattered frames")]
    say(f"{len(parts[0])} frames from {plan.roads} roads, and {len(held_out)} held out")

    def learn_more(name: str, epochs: float, rate: float, final_rate: float, step: int) -> None:
        samples = concatenate(parts)
        with tqdm(total=0, desc=name, unit="step", leave=False, file=sys.stderr) as bar:

            def progress(done: int, steps: int, loss: float) -> None:
                bar.total = steps
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update(done - bar.n)

            fit(policy, samples, Course(epochs, rate, final_rate, plan.seed * 1000 + step), progress)
        turned, pushed = errors(policy, held_out)
        torch.save(policy.state_dict(), work / f"{name}.pt")
        say(f"{name}: {epochs:g} epochs of {len(samples)}; error {turned * 1e3:.2f} mrad, {pushed:.3f} m/s2")

    learn_more("first", plan.first_epochs, 1.5e-3, 3e-4, 0)
    for number in range(1, plan.rounds + 1):
        model = work / f"round-{number}.onnx"
        write_model(model, export_onnx(policy, manifest(_DESCRIPTION)))
        jobs = [_Job(next(seeds), model) for _ in range(plan.drives_per_round)]
        parts.append(_frames(jobs, threads, f"round {number} drives"))
        say(f"round {number}: {len(parts[-1])} frames from {len(jobs)} drives")
        if number < plan.rounds:
            learn_more(f"round-{number}", plan.round_epochs, 8e-4, 3e-4, number)
    learn_more("last", plan.last_epochs, 8e-4, 2e-6, plan.rounds + 1)
    return policy


def _frames(jobs: list[_Job], processes: int, what: str) -> Samples:
    """Every job's frames in the order of the jobs, whichever process made them."""
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_one_thread) as pool:
        made: Iterable[Samples] = pool.imap(_made, jobs)
        return concatenate(list(tqdm(made, total=len(jobs), desc=what, unit="road", leave=False, file=sys.stderr)))


def _one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _made(job: _Job) -> Samples:
    scenario = training_scenario(job.seed)
    if job.model is None:
        return scattered_frames(scenario, _FRAMES_PER_ROAD)
    policy = OnnxPolicy(job.model)
    try:
        return visited_frames(scenario, policy, _KEEP_EVERY)
    finally:
        policy.close()


def _options(argv: list[str] | None) -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m export.train", description=__doc__, epilog="example: python -m export.train --out m.onnx"
    )
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--work", type=Path, default=Path("training"), help="folder of checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--roads", type=int, default=plan.roads, help="roads with scattered poses")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="rounds of driving and labelling")
    parser.add_argument("--drives", type=int, default=plan.drives_per_round, help="drives in a round")
    parser.add_argument(
        "--epochs",
        type=float,
        nargs=3,
        default=(plan.first_epochs, plan.round_epochs, plan.last_epochs),
        metavar=("FIRST", "ROUND", "LAST"),
    )
    parser.add_argument("--judge-minutes", type=float, default=2.0, help="simulated minutes per road in the end")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
