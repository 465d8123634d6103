"""`sightline engine`: build, list and check the TensorRT plans of this device."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runtime.engines.tensorrt.building import BuildResult, CheckResult, Demand
    from runtime.engines.tensorrt.cache import PlanCache
    from runtime.engines.tensorrt.listing import Listed
    from runtime.engines.tensorrt.plan_file import PlanRecord

SUMMARY = "build a model's TensorRT plan on this device, list the plans that there are, check one again"
EXAMPLE = "sightline engine build model.onnx"
_LINE_EVERY_S = 10.0
_NEWS_EVERY_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("action", choices=("build", "list", "check"))
    parser.add_argument(
        "model", nargs="?", type=Path, metavar="MODEL", help="an ONNX file with its manifest, or a packaged one"
    )
    parser.add_argument("--cache", type=Path, help="the folder of plans (default: what `sightline run` reads)")
    parser.add_argument("--tolerance", type=float, help="allowed beside ONNX Runtime (default: the manifest's)")
    parser.add_argument("--limit-ms", type=float, default=100.0, help="allowed for a pass, p99 (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise that parity is tried on")
    build = parser.add_argument_group("build")
    build.add_argument("--again", action="store_true", help="build also where there is a plan; it is swapped if better")
    build.add_argument("--no-wait", action="store_true", help="give up where another build is going on")
    build.add_argument("--workspace-mib", type=int, default=1024, help="memory that a layer may use to work in (1024)")
    build.add_argument("--level", type=int, default=3, help="how hard TensorRT looks for the quickest plan, 0 to 5 (3)")
    build.add_argument("--tf32", action="store_true", help="let products of float32 be rounded to 10 bits")
    build.add_argument("--limit-mib", type=int, default=4096, help="of all plans; the longest unused go first (4096)")


def run(args: argparse.Namespace) -> int:
    """0: there is a plan that may drive; 1 (check): it may not; 2: it could not be built or judged."""
    from runtime.contracts.config import model_path
    from runtime.engines.tensorrt.cache import PlanCache, cache_folder

    cache = PlanCache(args.cache or cache_folder())
    if args.action == "list":
        return _list(args, cache)
    if args.model is None:
        raise UsageError(f"no model is named: sightline engine {args.action} MODEL.onnx")
    args.model = model_path(str(args.model))
    return _build(args, cache) if args.action == "build" else _check(args, cache)


def _build(args: argparse.Namespace, cache: PlanCache) -> int:
    import msgspec

    from runtime.engines.tensorrt.building import BuildOrder, build
    from runtime.engines.tensorrt.settings import BuildSettings

    wanted = {"workspace_mib": args.workspace_mib, "optimization_level": args.level, "tf32": args.tf32}
    try:
        settings = msgspec.convert(wanted, BuildSettings)
    except msgspec.ValidationError as error:
        raise UsageError(f"--workspace-mib or --level: {error}") from error
    if args.limit_mib < 1:
        raise UsageError(f"--limit-mib {args.limit_mib}: at least 1")
    order = BuildOrder(
        args.model, settings, _demand(args), cache, args.limit_mib << 20, again=args.again, wait=not args.no_wait
    )
    with Progress() as progress:
        result = build(order, progress.show)
    if args.json:
        console.emit_json(result)
    else:
        console.emit(_built_words(result, args.cache))
    return ExitCode.YES


def _check(args: argparse.Namespace, cache: PlanCache) -> int:
    from runtime.engines.tensorrt.building import check

    with Progress() as progress:
        result = check(args.model, cache, _demand(args), progress.show)
    if args.json:
        console.emit_json(result)
    else:
        console.emit(_checked_words(result))
    return ExitCode.NO if result.refusal else ExitCode.YES


def _list(args: argparse.Namespace, cache: PlanCache) -> int:
    from runtime.engines.tensorrt.listing import listing

    if args.model is not None:
        raise UsageError(f"list takes no model ({args.model}); it lists all plans")
    plans = listing(cache)
    if args.json:
        console.emit_json({"cache": str(cache.folder), "plans": plans})
        return ExitCode.YES
    console.emit(f"{len(plans)} plan(s) in {cache.folder}")
    for plan in plans:
        console.emit(_listed_words(plan))
    return ExitCode.YES


def _demand(args: argparse.Namespace) -> Demand:
    from runtime.engines.tensorrt.building import Demand

    if args.tolerance is not None and not args.tolerance >= 0.0:
        raise UsageError(f"--tolerance {args.tolerance}: at least 0")
    if not args.limit_ms > 0.0:
        raise UsageError(f"--limit-ms {args.limit_ms}: more than 0")
    return Demand(args.tolerance, args.limit_ms * 1000.0, args.seed)


class Progress:
    """How a build stands, on standard error: a line that is written over on a terminal, else one for each new kind of
    work and every ten seconds.
    """

    def __init__(self) -> None:
        self._begin_s = time.monotonic()
        self._line_s, self._kind = -_LINE_EVERY_S, ""
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._width:
            self._write("\r" + " " * self._width + "\r")

    def show(self, what: str) -> None:
        """What is being done now. Called once a second or more often."""
        now_s = time.monotonic() - self._begin_s
        text = f"{int(now_s) // 60}:{int(now_s) % 60:02d} {what}"
        if self._terminal:
            self._write("\r" + text.ljust(self._width))
            self._width = len(text)
            return
        kind = what.rstrip("0123456789/ ")
        if now_s - self._line_s >= (_LINE_EVERY_S if kind == self._kind else _NEWS_EVERY_S):
            self._line_s, self._kind = now_s, kind
            self._write(text + "\n")

    def _write(self, text: str) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # nobody reads it any more: the build goes on
                sys.stderr.write(text)
                sys.stderr.flush()


def _built_words(result: BuildResult, cache: Path | None) -> str:
    record = result.record
    lines = [
        f"plan      {result.plan}",
        f"          {'built' if result.built else 'there already, built'} {record.built_utc} in {record.build_s:.0f} s",
        *_judged(record),
    ]
    if result.graph is not None:
        lines.append(_passes(result.graph))
    lines += [f"taken out {path}, longest unused" for path in result.evicted]
    if cache is not None:
        lines.append("note      sightline run reads the plans of its own cache, not those of --cache")
    return "\n".join(lines)


def _checked_words(result: CheckResult) -> str:
    import msgspec

    judged = msgspec.structs.replace(result.record, parity=result.checked.parity, latency=result.checked.latency)
    verdict = f"may not drive: {result.refusal}" if result.refusal else "may drive"
    lines = [f"plan      {result.plan}", f"verdict   {verdict}", *_judged(judged), _passes(result.checked.graph)]
    return "\n".join(lines)


def _passes(graph: str) -> str:
    return f"passes    {f'enqueued one by one: {graph}' if graph else 'one CUDA graph each'}"


def _judged(record: PlanRecord) -> list[str]:
    lines = [f"hash      {record.plan_sha256}", f"device    {record.here.device}"]
    if record.parity is not None:
        lines += [
            f"parity    {one.name}: largest difference {float(one.max_abs):.3g} ({one.worst_input}), "
            f"cosine {one.cosine:.6f}" + ("" if one.judged else ", not judged")
            for one in record.parity.outputs
        ]
    if record.latency is not None:
        lines.append(f"latency   p50 {record.latency.p50_us / 1000:.3f} ms, p99 {record.latency.p99_us / 1000:.3f} ms")
    return lines


def _listed_words(plan: Listed) -> str:
    if plan.record is None:
        return f"{plan.key[:12]}  {plan.size_mib:8.1f} MiB  {plan.state}"
    record = plan.record
    speed = f"{record.latency.p50_us / 1000:.2f} ms" if record.latency is not None else "not timed"
    return (
        f"{plan.key[:12]}  {plan.size_mib:8.1f} MiB  {record.subject.model}  {record.built_utc}  {speed}  "
        f"{record.here.device}  {plan.state}"
    )
