"""May a plan drive? Parity with ONNX Runtime on the CPU, and latency: what was measured, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.contracts.messages import NonFinite, recordable

_SLOWER_THAN_BEFORE = 1.25
"""A plan that takes longer than this times the one which it would replace is not swapped in."""


class OutputParity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One output over all inputs tried. `max_abs` is in the tensor's own unit, infinite where one side is not finite
    and the other is, or is another; `cosine` is the smallest of any input, 1 where both are all 0.
    """

    name: str
    max_abs: float | NonFinite
    cosine: float
    worst_input: str
    judged: bool  # the manifest names it: decision, hidden state or attribution


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every output beside ONNX Runtime's on the CPU. `tolerance` (absolute, each element) None: the manifest's."""

    inputs: int
    tolerance: float | None
    outputs: tuple[OutputParity, ...]

    def refusal(self, manifest_tolerance: float) -> str:
        """Why the plan may not drive under the manifest as it is now; "" where it may."""
        allowed = manifest_tolerance if self.tolerance is None else self.tolerance
        far = [one for one in self.outputs if one.judged and not float(one.max_abs) <= allowed]
        return "; ".join(
            f"{one.name!r} is off by {float(one.max_abs):.3g} (input {one.worst_input!r}), allowed is {allowed:.3g}"
            for one in far
        )


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pass with its copies to the device and back, as a frame takes it."""

    passes: int
    p50_us: float
    p99_us: float
    limit_us: float
    replaced_p50_us: float | None = None  # of the plan that this one would replace, passes taken in turns

    def refusal(self) -> str:
        """Why the plan may not drive; "" where it may."""
        if self.p99_us > self.limit_us:
            return f"p99 is {self.p99_us / 1000:.2f} ms, allowed is {self.limit_us / 1000:.2f} ms"
        if self.replaced_p50_us is not None and self.p50_us > _SLOWER_THAN_BEFORE * self.replaced_p50_us:
            return (
                f"p50 is {self.p50_us / 1000:.2f} ms, the plan in use takes {self.replaced_p50_us / 1000:.2f} ms "
                f"(allowed is {_SLOWER_THAN_BEFORE} x)"
            )
        return ""


def compare(
    tried: Sequence[tuple[str, Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]],
    tolerance: float | None,
    judged: frozenset[str],
) -> Parity:
    """The parity of outputs.

    Args:
        tried: for each input its name, the reference's outputs and the plan's.
        tolerance: absolute, each element; None: the manifest's.
        judged: the outputs that count.
    """
    worst: dict[str, OutputParity] = {}
    for name, reference, found in tried:
        for output in (output for output in reference if output in found):
            expected = reference[output]
            distance, cosine = _distance(expected, found[output]), _cosine(expected, found[output])
            before = worst.get(output)
            if before is not None:
                cosine = min(cosine, before.cosine)
            if before is None or distance > float(before.max_abs):
                worst[output] = OutputParity(output, recordable(distance), cosine, name, output in judged)
            else:
                worst[output] = msgspec.structs.replace(before, cosine=cosine)
    return Parity(len(tried), tolerance, tuple(worst.values()))


def latency_of(times_us: Sequence[float], limit_us: float, replaced_us: Sequence[float] = ()) -> Latency:
    """Figures of the passes' times."""
    p50, p99 = np.percentile(times_us, (50, 99))
    replaced = float(np.median(replaced_us)) if replaced_us else None
    return Latency(len(times_us), float(p50), float(p99), limit_us, replaced)


def _distance(expected: NDArray[Any], found: NDArray[Any]) -> float:
    if expected.shape != found.shape:
        return float("inf")
    one, other = expected.astype(np.float64), found.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if bool(same.all()):
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)[~same]
    return float("inf") if bool((~np.isfinite(apart)).any()) else float(apart.max())


def _cosine(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Of the two as vectors; where something is not finite, or one is all 0: 1 if they are the same, else 0."""
    if expected.shape != found.shape:
        return 0.0
    one, other = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    largest = [float(np.abs(values).max(initial=0.0)) for values in (one, other)]
    if not all(np.isfinite(largest)) or 0.0 in largest:
        return 1.0 if np.array_equal(one, other, equal_nan=True) else 0.0
    one, other = one / largest[0], other / largest[1]
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
