"""What runs a model, and what makes its bits repeatable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


class EngineFingerprint(msgspec.Struct, frozen=True):
    """Same model, same fingerprint, same input: the same bits.

    Only what changes arithmetic belongs here; `plan_sha256` is the hash of a plan whose tactics were chosen by timing
    (TensorRT).
    """

    backend: str
    backend_version: str
    provider: str
    threads: int
    optimisation: str
    processor: str  # CPU model and vector extensions, or GPU and its compute capability
    system: str  # operating system, machine, C library (its atan and exp round in their own way)
    plan_sha256: str = ""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that enters or leaves a graph: numpy's name of its type, and its shape with dynamic sizes settled."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What is asked of a back-end when it is opened: the model's file, providers in order of preference, CPU threads,
    and `optimisation` (`all`, `extended`, `basic`, `none`).

    `plan_path` is the plan to run it from, for a back-end that compiles one on the device; None: the one that this
    device built last.
    """

    model_path: Path
    providers: tuple[str, ...]
    threads: int
    optimisation: str
    plan_path: Path | None = None


class Engine(Protocol):
    """A loaded model. Batch is 1."""

    @property
    def fingerprint(self) -> EngineFingerprint:
        """What makes the bits repeatable."""
        ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Every input of the graph by name, as `run` takes it."""
        ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Every output of the graph by name, as `run` gives it."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass: named tensors in, every output of the graph out, by name. Raises EngineError."""
        ...

    def close(self) -> None:
        """Give the device's memory back. Idempotent."""
        ...
