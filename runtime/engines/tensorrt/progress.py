"""What the process that builds or checks a plan is asked, and what it tells: one JSON line each on its pipes."""

from __future__ import annotations

import msgspec

from runtime.engines.tensorrt.judgement import Latency, Parity
from runtime.engines.tensorrt.settings import BuildSettings


class BuildJob(msgspec.Struct, frozen=True, tag="build"):
    """Build a plan of `model` (`where` names it in errors), write its bytes to `plan` and the tactics' times to
    `timing`, where an earlier build's may stand.
    """

    model: str
    where: str
    plan: str
    timing: str
    settings: BuildSettings


class CheckJob(msgspec.Struct, frozen=True, tag="check"):
    """Judge the plan in the file `plan` beside ONNX Runtime; take its times in turns with those of `replaced`."""

    model: str
    where: str
    plan: str
    replaced: str | None
    tolerance: float | None
    limit_us: float
    seed: int


Job = BuildJob | CheckJob


class Step(msgspec.Struct, frozen=True, tag="step"):
    """The work goes on: TensorRT's phases from the outermost in, and how far the innermost is. `steps` 0: not known."""

    phases: tuple[str, ...]
    step: int = 0
    steps: int = 0

    def __str__(self) -> str:
        """For a person."""
        where = " > ".join(self.phases)
        return f"{where} {self.step}/{self.steps}" if self.steps else where


class Built(msgspec.Struct, frozen=True, tag="built"):
    """The plan is written. `timing_cache`: whether times of an earlier build could be used."""

    layers: int
    build_s: float
    timing_cache: bool


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """The plan was run. `graph` is "" where it was captured as a CUDA graph, else why not."""

    parity: Parity
    latency: Latency
    graph: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be done."""

    error: str
    of_model: bool = False  # the model is at fault, not the machine


Told = Step | Built | Checked | Failed
CANCEL = b"cancel\n"
"""On the process's standard input: end at the next step."""


def parse(line: bytes) -> Told | None:
    """What a line tells, None where it is something else (a library that prints)."""
    try:
        told: Told = msgspec.json.decode(line, type=Told)
    except msgspec.DecodeError:
        return None
    return told
