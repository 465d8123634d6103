"""The process that builds or judges a plan: `python -m runtime.engines.tensorrt`, a job on its first line of input.

It is a process of its own since a build takes the memory and the time that it wants, holds Python's interpreter for
as long as it likes, and can die; who asked for it goes on telling how it stands, and can end it.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec

from runtime.contracts.engine import EngineRequest
from runtime.contracts.errors import EngineError, ModelError, SightlineError
from runtime.contracts.model import manifest_of
from runtime.engines.tensorrt.builder import build_plan
from runtime.engines.tensorrt.cuda import Cuda
from runtime.engines.tensorrt.progress import CANCEL, BuildJob, Built, Checked, CheckJob, Failed, Job, Step, Told
from runtime.engines.tensorrt.times import Times


class Reporter:
    """The way back to who asked. From any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock = out, threading.Lock()
        self._cancelled = threading.Event()
        self._told = Times()

    def listen(self, orders: BinaryIO) -> None:
        """Wait for the order to end; the end of the input is one, since then nobody waits for the plan."""
        while True:
            line = orders.readline()
            if not line or line == CANCEL:
                self._cancelled.set()
                return

    def step(self, step: Step) -> bool:
        """Tell of progress, a few times a second; whether to go on."""
        if self._told.due():
            self.tell(step)
        return not self._cancelled.is_set()

    def tell(self, told: Told) -> None:
        """One line. Where nobody reads any more, the work is to end."""
        with self._lock:
            try:
                self._out.write(msgspec.json.encode(told) + b"\n")
                self._out.flush()
            except OSError:
                self._cancelled.set()


def build(job: BuildJob, reporter: Reporter) -> Built:
    """Build the plan and leave it in its file."""
    Cuda()  # TensorRT gives a builder without a GPU as well
    onnx, timing = Path(job.model).read_bytes(), Path(job.timing)
    before = timing.read_bytes() if timing.is_file() else b""
    manifest = manifest_of(onnx, job.where)
    built = build_plan(onnx, manifest, job.where, settings=job.settings, timing=before, on_step=reporter.step)
    Path(job.plan).write_bytes(built.plan)
    timing.write_bytes(built.timing)
    return Built(built.layers, built.build_s, built.timing_used)


def check(job: CheckJob, reporter: Reporter) -> Checked:
    """Run the plan beside ONNX Runtime, then time it."""
    from runtime.engines import onnx
    from runtime.engines.check import named_outputs
    from runtime.engines.tensorrt.engine import open_judged
    from runtime.engines.tensorrt.judgement import compare, latency_of
    from runtime.engines.tensorrt.times import time_in_turns
    from runtime.engines.tensorrt.trial import trial_inputs

    model = Path(job.model)
    manifest = manifest_of(model.read_bytes(), job.where)
    cpu = ("CPUExecutionProvider",)
    with (
        closing(open_judged(EngineRequest(model, cpu, 1, "all", Path(job.plan)), job.where)) as engine,
        closing(onnx.open_engine(EngineRequest(model, cpu, 1, "all"))) as reference,
    ):
        tried = []
        for name, given in trial_inputs(manifest, engine.inputs, job.seed):
            if not reporter.step(Step((f"parity: {name}",))):
                raise EngineError(f"the check of {job.where} was cancelled")
            tried.append((name, reference.run(given), engine.run(given)))
        parity = compare(tried, job.tolerance, named_outputs(manifest))
        reporter.step(Step(("latency",)))
        last = next(iter(trial_inputs(manifest, engine.inputs, job.seed)))[1]
        before = None
        try:
            if job.replaced is not None:
                before = open_judged(EngineRequest(model, cpu, 1, "all", Path(job.replaced)))
            times_us, before_us = time_in_turns(engine, before, last)
        except EngineError:
            if before is not None:
                raise
            times_us, before_us = time_in_turns(engine, None, last)  # what does not load is no bar
        finally:
            if before is not None:
                before.close()
        return Checked(parity, latency_of(times_us, job.limit_us, before_us), engine.graph)


def main() -> int:
    """Do the job that the first line of standard input describes."""
    # Libraries print on standard output as they like: that is turned to standard error, the line back is a copy.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    orders = sys.stdin.buffer
    reporter = Reporter(out)
    try:
        job: BuildJob | CheckJob = msgspec.json.decode(orders.readline(), type=Job)
        threading.Thread(target=reporter.listen, args=(orders,), daemon=True).start()
        reporter.tell(build(job, reporter) if isinstance(job, BuildJob) else check(job, reporter))
    except SightlineError as error:
        reporter.tell(Failed(str(error), of_model=isinstance(error, ModelError)))
    except OSError as error:
        reporter.tell(Failed(f"{error.filename or 'a file'}: {error.strerror}; make room, or choose another --cache"))
    else:
        return 0
    return 2


if __name__ == "__main__":
    # A build's threads may be left waiting for the interpreter: nothing of theirs is needed any more.
    code = main()
    sys.stderr.flush()
    os._exit(code)
