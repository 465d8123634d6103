"""What does an explanation cost, and is it worth that? `python -m benchmarks.attribution_cost [POLICY …] [--json]`

For each network and each way to explain it: the time of a pass beside the plain network's (the fastest export of the
same weights without a map), interleaved on one thread, and how much the decision changes when the marked pixels are
taken away (deletion: mean of two imputers over the top 2, 5, 10 and 20 %), from the same graph. Beside them the plain
engine against itself, the full input gradient, edges, random maps, and Captum on the same weights in torch, where
installed.
Promise, for `pilotnet` by its default: at most 1.05 x, and a deletion of at least the full input gradient's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.attribution_networks import GRADIENT, Network, Variant, reference, squeezenet, torch_twin
from benchmarks.machine import machine, today
from export.explain import ATTRIBUTION, gradient_of
from export.frames import Frames, frames_of
from export.session import Session
from export.worth.controls import EDGES, RANDOM, controls
from export.worth.imputers import IMPUTERS
from export.worth.laying import Field, laid
from export.worth.removal import removed
from export.worth.subject import Inputs, Subject
from export.worth.yardstick import gradient_x_input
from runtime.contracts.model import AttributionOutput, manifest_of

PROMISED_RATIO = 1.05
NETWORKS: Mapping[str, Callable[[], Network]] = {
    "pilotnet": lambda: reference("pilotnet"),
    "concepts": lambda: reference("concepts"),
    "squeezenet": squeezenet,
}
INPUT_GRADIENT = "gradient x input"
ONNX_RUNTIME, TORCH = "ONNX Runtime, CPU, 1 thread", "torch eager, CPU, 1 thread"
_WARM_UP, _DRAWS, _SEED = 20, 2000, 1

Pass = Callable[[Inputs], object]
Times = NDArray[np.float64]
"""Nanoseconds, rounds x ways."""


@dataclass(frozen=True)
class Timed:
    """Medians over rounds, and the upper end of the ratio's 95 % bootstrap interval."""

    plain_us: float
    ratio_p50: float
    ratio_high: float
    added_us: float


@dataclass(frozen=True)
class Row:
    """One way to explain one network. Times are medians; deletions are in the target's unit, `plain_us` in us."""

    policy: str
    method: str
    layer: str
    cells: str
    plain_us: float
    ratio_p50: float
    ratio_high: float
    added_us: float
    deletion: float
    deletion_input_gradient: float
    deletion_edges: float
    deletion_random: float
    deletion_blur: float
    deletion_mean_colour: float
    default: bool
    engine: str


def interleaved(ways: Sequence[Pass], frames: Frames, rounds: int) -> Times:
    """Every way once a round, on the round's frame; the order turns, so that none always follows the same."""
    times = np.empty((rounds, len(ways)))
    for round_ in range(-_WARM_UP, rounds):
        inputs = frames.inputs[round_ % len(frames)]
        for turn in range(len(ways)):
            place = (turn + round_) % len(ways)
            begun = time.perf_counter_ns()
            ways[place](inputs)
            if round_ >= 0:
                times[round_, place] = time.perf_counter_ns() - begun
    return times


def timed(times: Times, way: int) -> Timed:
    """One way beside the plain one, which is the first: medians over rounds."""
    ratios = times[:, way] / times[:, 0]
    rng = np.random.default_rng(_SEED)
    medians = np.median(ratios[rng.integers(0, len(ratios), (_DRAWS, len(ratios)))], axis=1)
    return Timed(
        plain_us=float(np.median(times[:, 0])) / 1e3,
        ratio_p50=float(np.median(ratios)),
        ratio_high=float(np.quantile(medians, 0.975)),
        added_us=float(np.median(times[:, way] - times[:, 0])) / 1e3,
    )


def deletions(subject: Subject, frames: Frames, fine: Callable[[Inputs, int], Field] | None) -> dict[str, list[float]]:
    """Of the subject's own map and what it must beat: deletion by imputer, by name of the map."""
    maps = []
    for place, inputs in enumerate(frames.inputs):
        view = subject.view(inputs)
        drawn = controls(subject.pixels(inputs), subject.attribution, subject.image, (_SEED, place))
        fields = {ATTRIBUTION: [laid(view.map, subject.attribution, subject.image)]}
        fields |= {name: drawn[name] for name in (EDGES, RANDOM)}
        maps.append(fields | ({} if fine is None else {INPUT_GRADIENT: [fine(inputs, view.index)]}))
    found = removed(subject, frames.inputs, maps, _SEED)
    return {name: [float(found.by_frame(name, "deletion", i).mean()) for i in IMPUTERS] for name in maps[0]}


def measured(network: Network, frames: Frames, rounds: int) -> tuple[list[Row], float]:
    """All rows of a network, and the plain engine's ratio to itself (the median over the rows' runs)."""
    plain, again = Session(network.plain), Session(network.plain)
    subjects = [Subject(variant.onnx) for variant in network.variants]
    companion = gradient_of(network.given, network.config, manifest_of(network.plain, network.name).graph_sha256)
    fine = gradient_x_input(companion, network.config, subjects[0].attribution.image)
    rows, selves = [], []
    # Three engines a time: with every way in one round, each would find its weights gone from the cache.
    for place, (variant, subject) in enumerate(zip(network.variants, subjects, strict=True)):
        times = interleaved([plain.run, Session(variant.onnx).run, again.run], frames, rounds)
        found = deletions(subject, frames, fine)
        rows.append(row(network, variant, subject.attribution, timed(times, 1), found, default=place == 0))
        selves.append(timed(times, 2).ratio_p50)
    element = -1 if subjects[0].attribution.target_index == "argmax" else 0
    times = interleaved([plain.run, lambda inputs: fine(inputs, element)], frames, max(1, rounds // 4))
    whole = Variant(INPUT_GRADIENT, "input", b"")
    found |= {ATTRIBUTION: found[INPUT_GRADIENT]}
    rows.append(row(network, whole, None, timed(times, 1), found))
    return rows, float(np.median(selves))


def row(
    network: Network,
    variant: Variant,
    contract: AttributionOutput | None,
    timed: Timed,
    found: Mapping[str, Sequence[float]],
    *,
    engine: str = ONNX_RUNTIME,
    default: bool = False,
) -> Row:
    """The figures of one way; `contract` is its map's, None where it has a value for each pixel."""
    return Row(
        policy=network.name,
        method=variant.method,
        layer=variant.layer if contract is None else contract.layer,
        cells="pixels" if contract is None else f"{contract.rows} x {contract.columns}",
        **asdict(timed),
        deletion=float(np.mean(found[ATTRIBUTION])),
        deletion_input_gradient=float(np.mean(found[INPUT_GRADIENT])),
        deletion_edges=float(np.mean(found[EDGES])),
        deletion_random=float(np.mean(found[RANDOM])),
        deletion_blur=found[ATTRIBUTION][0],
        deletion_mean_colour=found[ATTRIBUTION][1],
        default=default,
        engine=engine,
    )


def captum_rows(network: Network, frames: Frames, rounds: int) -> list[Row]:
    """Captum's LayerGradCam and InputXGradient on the same weights in torch, beside torch's own plain pass."""
    import torch
    from captum.attr import InputXGradient, LayerGradCam

    torch.set_num_threads(1)
    twin, activations = torch_twin(network.plain)
    # The exact map of the same layer, for where its cells lie.
    subject = next(
        s for s in (Subject(v.onnx) for v in network.variants if v.method == GRADIENT) if s.attribution.rows == 3
    )
    cam = LayerGradCam(twin, activations[3])  # of the fourth convolution, where the default asks for the gradient
    pixels = InputXGradient(twin)

    def tensors(inputs: Inputs, *, grad: bool) -> tuple[Any, Any]:
        image = torch.from_numpy(np.asarray(inputs["image"], np.float32)).requires_grad_(grad)
        return image, torch.from_numpy(np.asarray(inputs["speed_mps"]))

    def forward(inputs: Inputs) -> Any:
        with torch.no_grad():
            return twin(*tensors(inputs, grad=False))

    def grad_cam(inputs: Inputs) -> Field:
        image, speed = tensors(inputs, grad=True)
        grid = cam.attribute(image, additional_forward_args=(speed,)).detach().numpy()
        return laid(grid.reshape(grid.shape[-2:]).astype(np.float64), subject.attribution, subject.image)

    def input_x_gradient(inputs: Inputs) -> Field:
        image, speed = tensors(inputs, grad=True)
        found = pixels.attribute(image, additional_forward_args=(speed,))
        return np.asarray(found.detach().numpy()[0].sum(axis=-1), np.float64)

    ways = {"Captum LayerGradCam": grad_cam, "Captum InputXGradient": input_x_gradient}
    times = interleaved([forward, *ways.values()], frames, rounds)
    rows = []
    for place, (name, way) in enumerate(ways.items()):
        fields = [{ATTRIBUTION: [way(inputs)]} for inputs in frames.inputs]
        cut = removed(subject, frames.inputs, fields, _SEED)
        found = {ATTRIBUTION: [float(cut.by_frame(ATTRIBUTION, "deletion", i).mean()) for i in IMPUTERS]}
        found |= deletions(subject, frames, None) | found | {INPUT_GRADIENT: [float("nan")] * 2}
        variant = Variant(name, "conv4" if way is grad_cam else "input", b"")
        rows.append(row(network, variant, None, timed(times, place + 1), found, engine=TORCH))
    return rows


def line(found: Row) -> str:
    """One row of the table."""
    return (
        f"{found.policy:10} {found.method + (' (default)' if found.default else ''):32} {found.layer[:16]:16} "
        f"{found.cells:9} {found.plain_us:8.0f} {found.ratio_p50:6.3f} {found.ratio_high:6.3f} {found.added_us:8.1f} "
        f"{found.deletion:8.4f} {found.deletion_input_gradient:8.4f} {found.deletion_edges:8.4f} "
        f"{found.deletion_random:8.4f}"
    )


def main() -> int:
    """Print the figures; 0 where `pilotnet` keeps the promise by its default, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution_cost", description=__doc__)
    parser.add_argument("policies", nargs="*", metavar="POLICY", help=f"of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--frames", default="proving-ground://lane?seed=9", help="any source (default: %(default)s)")
    parser.add_argument("--count", type=int, default=30, help="frames to judge on (default: 30)")
    parser.add_argument("--rounds", type=int, default=600, help="interleaved passes of each way (default: 600)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.policies) - set(NETWORKS))
    if unknown:
        parser.error(f"there is no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    rows: list[Row] = []
    controls_: dict[str, float] = {}
    without = ""
    for name in arguments.policies or NETWORKS:
        network = NETWORKS[name]()
        frames = frames_of(
            manifest_of(network.plain, name), Session(network.plain).inputs, arguments.frames, arguments.count
        )
        few = 30 if name == "squeezenet" else arguments.rounds  # a hundred times pilotnet's arithmetic
        found, controls_[name] = measured(network, frames, few)
        rows += found
        if name == "pilotnet":
            try:
                rows += captum_rows(network, frames, arguments.rounds)
            except ImportError as error:
                without = f"without Captum ({error}); pip install '.[dev]' brings it"
    default = next((found for found in rows if found.policy == "pilotnet" and found.default), None)
    holds = default is None or (
        default.ratio_p50 <= PROMISED_RATIO and default.deletion >= default.deletion_input_gradient
    )
    if arguments.json:
        figures = {
            "benchmark": "attribution_cost",
            "machine": machine(),
            "date": today(),
            "frames": {"source": arguments.frames, "count": arguments.count},
            "rows": [asdict(found) for found in rows],
            "control_ratio_p50": next(iter(controls_.values())),
            "control_ratio_p50_by_policy": controls_,
            "promised_ratio": PROMISED_RATIO,
            "holds": holds,
        }
        print(json.dumps(_json_numbers(figures), indent=2))
    else:
        print(f"{machine()}, {today()}; {arguments.count} frames of {arguments.frames}")
        print(
            f"{'policy':10} {'method':32} {'layer':16} {'cells':9} plain us  ratio   high added us deletion by input "
            "   edges   random"
        )
        print("\n".join(line(found) for found in rows))
        print("plain against itself: " + ", ".join(f"{name} {value:.3f}" for name, value in controls_.items()))
        print(without, end="\n" if without else "")
    return 0 if holds else 1


def _json_numbers(value: Any) -> Any:
    """What was not measured (NaN) as null: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _json_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_json_numbers(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
