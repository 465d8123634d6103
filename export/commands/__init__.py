"""The verbs that make and compare models: `sightline export`, `sightline model`."""

from __future__ import annotations

from importlib.util import find_spec

from runtime.contracts.errors import UsageError

_NEEDED = ("onnx", "onnxruntime", "numpy")


def need_extra(*more: str) -> None:
    """Raise UsageError with the way to install it where a package is not there."""
    absent = [name for name in (*_NEEDED, *more) if find_spec(name) is None]
    if absent:
        raise UsageError(
            f"not installed here: {', '.join(absent)}; a vehicle needs none of it. Where models are exported, in a "
            "checkout of Sightline: python -m pip install '.[export]'"
        )
