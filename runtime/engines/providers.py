"""ONNX Runtime's execution providers. Of an absent one it only warns, and computes on the CPU: here that is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from runtime.contracts.errors import EngineError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

_INSTALL = {
    "CUDAExecutionProvider": "install onnxruntime-gpu (x86-64) in place of onnxruntime, with CUDA and cuDNN",
    "TensorrtExecutionProvider": "install onnxruntime-gpu (x86-64) in place of onnxruntime, with TensorRT 10",
    "OpenVINOExecutionProvider": "install onnxruntime-openvino in place of onnxruntime",
}
# By default cuDNN's algorithm is chosen by timing, so that two runs could differ in their bits; and products of float32
# are rounded to TF32's 10 bits where the GPU has it, which the file did not ask for.
_OPTIONS = {CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}}


def refuse_absent(wanted: Sequence[str], available: Sequence[str]) -> None:
    """Raise EngineError where this ONNX Runtime lacks a wanted provider, saying what it has and how to mend it."""
    for name in wanted:
        if name not in available:
            mend = _INSTALL.get(name, "look for its build of ONNX Runtime")
            raise EngineError(
                f"engine.providers names {name!r}, which this ONNX Runtime does not have "
                f"(it has: {', '.join(available)}); {mend}, or take it out of engine.providers"
            )


def with_options(wanted: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The providers as a session takes them, with the options that pin their arithmetic."""
    return [(name, _OPTIONS.get(name, {})) for name in wanted]


def refuse_unused(wanted: Sequence[str], profile: Path) -> tuple[str, ...]:
    """Which of the wanted providers computed anything in a profiled pass.

    Args:
        wanted: providers in order of preference. CPUExecutionProvider may stay idle: it takes what others cannot.
        profile: the JSON that ONNX Runtime wrote about the pass.

    Raises:
        EngineError: a wanted provider computed nothing.
    """
    events = json.loads(profile.read_text(encoding="utf-8"))
    used = {event["args"]["provider"] for event in events if "provider" in event.get("args", {})}
    for name in wanted:
        if name not in used and name != CPU:
            raise EngineError(
                f"engine.providers names {name!r}, but not one operator of the model ran on it (all ran on "
                f"{', '.join(sorted(used)) or 'nothing'}); take it out of engine.providers, or see that its "
                "device and libraries are there (`sightline doctor`)"
            )
    return tuple(name for name in wanted if name in used)
