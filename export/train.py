"""`python -m export.train concepts --out configs/concepts.onnx`: make data, learn, export, judge.

Nothing is read but the proving ground, so the reference weights can be made again from a checkout alone; or, with
`--log`, the driving log of a simulator, on whose end the policy is then measured.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec
import torch
from tqdm import tqdm

from export.closed_loop import judge, table
from export.curriculum import TRAINING_SEEDS
from export.driving_log import LogScore, logged_frames, mirrored, score, split
from export.frame_factory import Road, frames_of_roads
from export.learning import Course, answers, errors, fit
from export.model_file import write_model
from export.policies.catalogue import REFERENCES, Plan, Reference, reference_by_name
from export.samples import concatenate
from runtime.contracts.errors import ExitCode, SightlineError
from runtime.contracts.model import Crop

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.config import ModelConfig
    from export.learning import Policy
    from export.samples import Samples


@dataclass(frozen=True)
class Workshop:
    """Where checkpoints and frames are kept, with how many threads the work is done, and who is told of it."""

    folder: Path
    threads: int
    say: Callable[[str], None]


@dataclass(frozen=True)
class Log:
    """A driving log, how much of it is learned from, and which rows of its pictures (shares of the height) are seen.

    `mirrored`: it is learned from a second time with left and right exchanged, which is right on a track without sides,
    and wrong where traffic keeps to one.
    """

    uri: str
    frames: int = 1600
    epochs: float | None = None  # None: as the policy's plan says
    crop: tuple[float, float] = (0.375, 0.84)
    mirrored: bool = True
    seed: int = 1

    def config(self, reference: Reference) -> ModelConfig:
        """The reference policy's configuration for this log's camera, of which nothing else is known."""
        config = reference.config()
        top, bottom = self.crop
        image = msgspec.structs.replace(config.images[0], crop=Crop(top, bottom), intrinsics=None)
        return msgspec.structs.replace(config, images=(image,), description=f"{reference.name}, learned from a log.")


def learn(reference: Reference, plan: Plan, workshop: Workshop) -> Policy:
    """A policy made from nothing but the plan's seed. Checkpoints and the rounds' models go to the workshop."""
    torch.manual_seed(plan.seed)
    policy = reference.make()
    policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = reference.config()
    image = config.images[0].image_input()
    kept, say, threads = workshop.folder / "frames", workshop.say, workshop.threads
    folder = workshop.folder / reference.name
    folder.mkdir(parents=True, exist_ok=True)
    seeds = iter(TRAINING_SEEDS)
    held_out = frames_of_roads(
        [Road(next(seeds), image, kept=kept) for _ in range(plan.held_out_roads)], threads, "held-out frames"
    )
    roads = [Road(next(seeds), image, kept=kept) for _ in range(plan.roads)]
    roads += [Road(seed, image, "obscured", kept=kept) for seed in TRAINING_SEEDS[: plan.obscured_roads]]
    parts = [frames_of_roads(roads, threads, "scattered frames")]
    say(f"{len(parts[0])} frames from {len(roads)} roads, and {len(held_out)} held out")

    def learn_more(name: str, samples: Samples, course: Course) -> None:
        with tqdm(total=0, desc=name, unit="step", leave=False, file=sys.stderr) as bar:
            fit(policy, samples, course, _shown(bar))
        turned, pushed = errors(policy, held_out)
        torch.save(policy.state_dict(), folder / f"{name}.pt")
        say(f"{name}: {course.epochs:g} epochs of {len(samples)}; error {turned * 1e3:.2f} mrad, {pushed:.3f} m/s2")

    seed = plan.seed * 1000  # of the courses: one each
    learn_more("first", parts[0], Course(plan.first_epochs, plan.rate, plan.rate / 5, seed))
    for number in range(1, plan.rounds + 1):
        model = folder / f"round-{number}.onnx"
        write_model(model, reference.driver(policy))
        drives = [Road(next(seeds), image, driver=model) for _ in range(plan.drives_per_round)]
        parts.append(frames_of_roads(drives, threads, f"round {number} drives"))
        say(f"round {number}: {len(parts[-1])} frames from {len(drives)} drives")
        if number < plan.rounds:
            course = Course(plan.round_epochs, plan.rate / 2, plan.rate / 5, seed + number)
            learn_more(f"round-{number}", concatenate(parts), course)
    learn_more("last", concatenate(parts), Course(plan.last_epochs, plan.rate / 2, 2e-6, seed + plan.rounds + 1))
    if plan.finishing_epochs:
        course = Course(plan.finishing_epochs, plan.rate / 3, plan.rate / 150, 7 * plan.seed, finishing=True)
        learn_more("finish", parts[0], course)
    return policy


def learn_log(reference: Reference, log: Log, workshop: Workshop) -> tuple[Policy, LogScore]:
    """A policy that learned a driving log's beginning, and how well it foretells the steering of the rest."""
    torch.manual_seed(log.seed)
    policy = reference.make()
    policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frames, _ = logged_frames(log.uri, log.config(reference).images[0].image_input())
    training, rest = split(frames, log.frames)
    workshop.say(f"{len(training)} frames to learn from, {len(rest)} held out")
    taught = concatenate([training, mirrored(training)]) if log.mirrored else training
    with tqdm(total=0, desc="log", unit="step", leave=False, file=sys.stderr) as bar:
        epochs = reference.plan.log_epochs if log.epochs is None else log.epochs
        fit(policy, taught, Course(epochs, reference.plan.log_rate, 1e-5, log.seed), _shown(bar))
    foretold = answers(policy, rest)[0][:, 0]
    return policy, score(foretold, rest.steering_angle_rad, float(training.steering_angle_rad.mean()))


def main(argv: list[str] | None = None) -> int:
    """The command. Exit code 0 where the policy held every road and stopped, or learned the log; 1 where not."""
    options = _options(argv)
    torch.set_num_threads(options.threads)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {text}", flush=True)  # noqa: T201 -- a command's output

    try:
        return _made(options, Workshop(options.work, options.threads, say))
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- a command's output
        return ExitCode.COULD_NOT


def _made(options: argparse.Namespace, workshop: Workshop) -> int:
    reference, say = reference_by_name(options.policy), workshop.say
    if options.log is None:
        policy = learn(reference, reference.plan, workshop)
        write_model(options.out, reference.explained(policy, reference.config()))
        say(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")
        verdict = judge(options.out, minutes=options.judge_minutes, processes=options.threads)
        say("judged on roads that were not trained on:\n" + table(verdict))
        return ExitCode.YES if verdict.held else ExitCode.NO
    log = Log(
        options.log,
        options.log_frames,
        options.log_epochs,
        tuple(options.crop),
        not options.one_sided,
        reference.plan.seed,
    )
    policy, found = learn_log(reference, log, workshop)
    write_model(options.out, reference.explained(policy, log.config(reference)))
    say(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")
    say(
        f"on {found.frames} frames that were not learned from: correlation {found.correlation:.2f}, RMSE "
        f"{found.rmse_rad:.4f} rad, {1 - found.rmse_rad / found.constant_rmse_rad:.0%} under the constant predictor's"
    )
    return ExitCode.YES if found.learned else ExitCode.NO


def _shown(bar: tqdm[NoReturn]) -> Callable[[int, int, float], None]:
    def progress(done: int, steps: int, loss: float) -> None:
        bar.total = steps
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        bar.update(done - bar.n)

    return progress


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m export.train",
        description=__doc__,
        epilog="example: python -m export.train pilotnet --out my_policy.onnx",
    )
    parser.add_argument("policy", choices=REFERENCES)
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--work", type=Path, default=Path("training"), help="folder of checkpoints and frames")
    parser.add_argument("--threads", type=int, default=1, help="another number gives other weights (default: 1)")
    parser.add_argument("--judge-minutes", type=float, default=2.0, help="simulated minutes per road in the end")
    log = parser.add_argument_group("from a driving log, in place of the proving ground")
    log.add_argument("--log", help="a recording that tells speed and steering, such as the Udacity simulator's")
    log.add_argument("--log-frames", type=int, default=Log.frames, help="learn from so many; the rest is held out")
    log.add_argument("--log-epochs", type=float, help="default: the policy's own")
    log.add_argument("--one-sided", action="store_true", help="learn no mirrored pictures: traffic keeps to one side")
    log.add_argument(
        "--crop",
        type=float,
        nargs=2,
        default=Log.crop,
        metavar=("TOP", "BOTTOM"),
        help="the part of the log's pictures that the policy sees",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
