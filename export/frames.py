"""Frames to try a network on: exactly what it would be fed, from a recorded drive or from any source.

A drive gives its recorded input tensors, bit for bit. Every other source is preprocessed as the vehicle does it; where
it tells no speed, one is assumed. On the proving ground its expert drives, nudged now and then, so that not every
picture is taken from the middle of the lane.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proving_ground.catalogue import scenario_by_uri
from proving_ground.simulation import Simulation
from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import ModelError, SightlineError, SourceError
from runtime.contracts.model import ImageInput, Manifest
from runtime.contracts.source import Capture, Picture, SourceRequest
from runtime.contracts.topics import MODEL_INPUT
from runtime.contracts.vehicle import Control
from runtime.decision.tensors import unpack
from runtime.engines.check import initial_state
from runtime.preprocess import preprocess
from runtime.record.drive import open_drive
from runtime.record.segment import segment_files
from runtime.sources.open import open_source

ASSUMED = {"speed_mps": 15.0}
_PROVING_GROUND = "proving-ground://"
_NUDGE_EVERY, _NUDGE_FRAMES, _NUDGE_RAD = 75, 9, 0.05

State = Mapping[str, float]
Moment = tuple[Mapping[str, Picture], State]


@dataclass(frozen=True)
class Frames:
    """Inputs of single passes, each every input of the graph with batch 1, and where they came from.

    `source` is the URI as it was given; `sha256` (hex) is over names, types, shapes and bytes of all tensors.
    """

    source: str
    sha256: str
    inputs: tuple[Mapping[str, NDArray[Any]], ...]

    def __len__(self) -> int:
        """How many frames."""
        return len(self.inputs)


def frames_of(manifest: Manifest, specs: Mapping[str, TensorSpec], uri: str, count: int) -> Frames:
    """Up to `count` frames, spread evenly over what `uri` names.

    Args:
        manifest: says which cameras, crop and states the network takes.
        specs: the graph's inputs by name, as an `Engine` or a `Session` tells them.
        uri: the folder of a drive, or a source as `sightline run --source` takes it.
        count: at least 1; a shorter source gives all that it has.

    Raises:
        SourceError: there is nothing to read, or it does not tell what the network needs.
        RecordError: the drive cannot be read.
        ModelError: the drive was driven by a network with other inputs.
    """
    if count < 1:
        raise SourceError(f"{count} frames were asked of {uri!r}; ask for 1 at least")
    path = Path(uri)
    if path.is_dir() and segment_files(path):
        inputs = tuple(_recorded(path, specs, count))
    else:
        inputs = tuple(_fed(moment, manifest, specs, uri) for moment in _moments(manifest, uri, count))
    if not inputs:
        raise SourceError(
            f"{uri!r} holds no frame; give a drive, a video, a folder of images or a proving-ground:// URI"
        )
    return Frames(uri, _sha256(inputs), inputs)


def _recorded(path: Path, specs: Mapping[str, TensorSpec], count: int) -> Iterator[dict[str, NDArray[Any]]]:
    drive = open_drive(path)
    wanted = _spread(sum(1 for frame in drive.frames(MODEL_INPUT) if frame.input is not None), count)
    place = -1
    for frame in drive.frames(MODEL_INPUT):
        if frame.input is None:
            continue
        place += 1
        if place not in wanted:
            continue
        tensors = unpack(frame.input)
        for name, spec in specs.items():
            if name not in tensors or tensors[name].shape != spec.shape or tensors[name].dtype != spec.dtype:
                found = ", ".join(f"{key} {value.dtype} {list(value.shape)}" for key, value in tensors.items())
                raise ModelError(
                    f"drive {path} was driven by a network with other inputs: it holds {found}, and this one takes "
                    f"{name} {spec.dtype} {list(spec.shape)}; give a drive of this network, or a source of pictures"
                )
        yield {name: tensors[name] for name in specs}


def _moments(manifest: Manifest, uri: str, count: int) -> Iterator[Moment]:
    if uri.startswith(_PROVING_GROUND):
        yield from _simulated(manifest, uri, count)
    else:
        yield from _seen(manifest, uri, count)


def _simulated(manifest: Manifest, uri: str, count: int) -> Iterator[Moment]:
    if len(manifest.cameras) != 1:
        raise SourceError(f"{uri!r} has one camera and the network asks for {', '.join(manifest.cameras)}")
    simulation = Simulation(scenario_by_uri(uri))
    rng = np.random.default_rng([simulation.scenario.seed, 0xF4A3E5])
    wanted, nudge_rad = _spread(simulation.frame_count, count), 0.0
    while simulation.end is None:
        if simulation.sequence in wanted:
            car = simulation.car
            state = {"speed_mps": car.speed_mps, "steering_angle_rad": car.steering_angle_rad}
            yield {manifest.cameras[0]: simulation.picture_at(car)}, state
        control, phase = simulation.expert_control(), simulation.sequence % _NUDGE_EVERY
        nudge_rad = float(rng.normal(0.0, _NUDGE_RAD)) if phase == 0 else nudge_rad if phase < _NUDGE_FRAMES else 0.0
        simulation.step(Control(control.steering_angle_rad + nudge_rad, control.acceleration_mps2))


def _seen(manifest: Manifest, uri: str, count: int) -> Iterator[Moment]:
    source = open_source(SourceRequest(uri, manifest.cameras, "lockstep"))
    try:
        expected = source.expected_captures
        wanted = None if expected is None else _spread(expected, count)
        given = 0
        while given < count:
            capture = source.read()
            if capture is None:
                return
            if isinstance(capture, Capture) and (wanted is None or capture.sequence in wanted):
                given += 1
                told = source.vehicle.state(capture.t_source_ns) if source.vehicle is not None else None
                readings = {} if told is None else {name: getattr(told, name) for name in told.__struct_fields__}
                state = {
                    name: float(reading.value)
                    for name, reading in readings.items()
                    if isinstance(getattr(reading, "value", None), float)
                }
                yield capture.pictures, state
    finally:
        source.close()


def _fed(moment: Moment, manifest: Manifest, specs: Mapping[str, TensorSpec], uri: str) -> dict[str, NDArray[Any]]:
    pictures, state = moment
    fed: dict[str, NDArray[Any]] = {image.name: _preprocessed(pictures, image, uri) for image in manifest.images}
    for needed in manifest.states:
        value = state.get(needed.quantity, ASSUMED.get(needed.quantity))
        if value is None:
            raise SourceError(
                f"{uri!r} does not tell {needed.quantity}, which the network takes; give a drive that does"
            )
        fed[needed.name] = np.full(specs[needed.name].shape, value * needed.scale, np.float32)
    return fed | initial_state(manifest, specs)


def _preprocessed(pictures: Mapping[str, Picture], image: ImageInput, uri: str) -> NDArray[np.uint8]:
    try:
        return preprocess(pictures[image.camera], image)
    except SightlineError as error:
        raise SourceError(f"{uri!r}: {error}") from error


def _spread(available: int, count: int) -> frozenset[int]:
    """The middles of `count` equal parts of `available` frames."""
    taken = min(available, count)
    return frozenset(int((i + 0.5) * available / taken) for i in range(taken))


def _sha256(inputs: tuple[Mapping[str, NDArray[Any]], ...]) -> str:
    digest = hashlib.sha256()
    for tensors in inputs:
        for name in sorted(tensors):
            tensor = np.ascontiguousarray(tensors[name])
            digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()
