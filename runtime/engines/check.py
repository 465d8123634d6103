"""Does a graph keep what its manifest promises? Every refusal names the manifest's field that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import ModelError
from runtime.contracts.model import Concept, ImageInput, Manifest

Declared = Mapping[str, tuple[str, tuple[int | None, ...]]]
"""The inputs that a graph needs, by name: type (numpy's name) and shape; None is a dynamic dimension."""

_CONTROL_TYPES = ("float32", "float16", "float64")


def settle_inputs(manifest: Manifest, declared: Declared, where: str) -> dict[str, TensorSpec]:
    """The graph's inputs with every dynamic dimension settled: an image's by the manifest, any other to 1.

    Args:
        manifest: what the model promises.
        declared: the inputs that the graph needs.
        where: the model's name in errors.

    Raises:
        ModelError: an input is absent, unknown to the manifest, or has another type or shape.
    """
    settled = {}
    for i, image in enumerate(manifest.images):
        spec, promised = _declared(declared, f"images[{i}].name", image.name, ("uint8",), where), image_shape(image)
        shape = declared[image.name][1]
        if len(shape) != 4 or any(a not in (None, b) for a, b in zip(shape, promised, strict=True)):
            raise ModelError(
                f"model {where}: images[{i}] (width, height, layout) promises {image.name!r} of shape "
                f"{list(promised)}, but the graph takes {['?' if size is None else size for size in shape]}"
            )
        settled[image.name] = TensorSpec(image.name, spec.dtype, promised)
    for i, state in enumerate(manifest.states):
        spec = _declared(declared, f"states[{i}].name", state.name, ("float32",), where)
        if math.prod(spec.shape) != 1:
            raise ModelError(
                f"model {where}: states[{i}].name is {state.name!r} of shape {list(spec.shape)}, not of one element"
            )
        settled[state.name] = spec
    for i, recurrent in enumerate(manifest.recurrent):
        field = f"recurrent[{i}].input"
        settled[recurrent.input] = _declared(declared, field, recurrent.input, _CONTROL_TYPES, where)
    unknown = sorted(set(declared) - set(settled))
    if unknown:
        raise ModelError(
            f"model {where}: its graph needs inputs that the manifest does not name: {', '.join(unknown)}; "
            "name each in images, states or recurrent"
        )
    return settled


def check_outputs(
    manifest: Manifest, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], where: str
) -> None:
    """Hold the outputs of a real pass against the manifest. Raises ModelError naming the field that is wrong."""
    for i, output in enumerate(manifest.outputs):
        spec = _named(outputs, f"outputs[{i}].name", output.name, _CONTROL_TYPES, where)
        if output.index >= math.prod(spec.shape):
            raise ModelError(
                f"model {where}: outputs[{i}].index is {output.index}, but {output.name!r} has {math.prod(spec.shape)} "
                f"element(s) (shape {list(spec.shape)})"
            )
    for i, recurrent in enumerate(manifest.recurrent):
        before = inputs[recurrent.input]
        after = _named(outputs, f"recurrent[{i}].output", recurrent.output, (before.dtype,), where)
        if after.shape != before.shape:
            raise ModelError(
                f"model {where}: recurrent[{i}].output {recurrent.output!r} has shape {list(after.shape)}, "
                f"which cannot go back into {recurrent.input!r} of shape {list(before.shape)}"
            )
    for i, concept in enumerate(manifest.concepts):
        _check_concept(concept, f"concepts[{i}]", manifest, outputs, where)
    attribution = manifest.attribution
    if attribution is not None:
        spec = _named(outputs, "attribution.output", attribution.output, ("float32",), where)
        grid = (attribution.rows, attribution.columns)
        if spec.shape[-2:] != grid or math.prod(spec.shape) != math.prod(grid):
            raise ModelError(
                f"model {where}: attribution.rows and columns are {grid[0]} and {grid[1]}, but {attribution.output!r} "
                f"has shape {list(spec.shape)}"
            )


def _check_concept(
    concept: Concept, field: str, manifest: Manifest, outputs: Mapping[str, TensorSpec], where: str
) -> None:
    spec = _named(outputs, f"{field}.output", concept.output, _CONTROL_TYPES, where)
    if concept.index >= math.prod(spec.shape):
        raise ModelError(
            f"model {where}: {field}.index is {concept.index}, but {concept.output!r} has {math.prod(spec.shape)} "
            f"element(s) (shape {list(spec.shape)})"
        )
    if not concept.map or manifest.attribution is None:
        return
    spec = _named(outputs, f"{field}.map", concept.map, _CONTROL_TYPES, where)
    grid = (manifest.attribution.rows, manifest.attribution.columns)
    planes = math.prod(spec.shape[:-2])
    if spec.shape[-2:] != grid or concept.map_index >= planes:
        raise ModelError(
            f"model {where}: {field}.map_index is {concept.map_index} of {grid[0]} x {grid[1]} cells (as the "
            f"attribution's), but {concept.map!r} has shape {list(spec.shape)}"
        )


def named_outputs(manifest: Manifest) -> frozenset[str]:
    """The graph's outputs that something is read from."""
    names = {output.name for output in manifest.outputs} | {recurrent.output for recurrent in manifest.recurrent}
    names |= {name for concept in manifest.concepts for name in (concept.output, concept.map) if name}
    return frozenset(names | ({manifest.attribution.output} if manifest.attribution is not None else set()))


def image_shape(image: ImageInput) -> tuple[int, int, int, int]:
    """The shape of an image input's tensor."""
    if image.layout == "NHWC":
        return (1, image.height, image.width, 3)
    return (1, 3, image.height, image.width)


def zeros(inputs: Mapping[str, TensorSpec]) -> dict[str, NDArray[Any]]:
    """Inputs of the right types and shapes, all 0."""
    return {name: np.zeros(spec.shape, spec.dtype) for name, spec in inputs.items()}


def initial_state(manifest: Manifest, inputs: Mapping[str, TensorSpec]) -> dict[str, NDArray[Any]]:
    """The hidden state that a drive begins with, or what follows a gap: by input, full of its initial value."""
    return {
        recurrent.input: np.full(inputs[recurrent.input].shape, recurrent.initial, inputs[recurrent.input].dtype)
        for recurrent in manifest.recurrent
    }


def _declared(declared: Declared, field: str, name: str, dtypes: tuple[str, ...], where: str) -> TensorSpec:
    if name not in declared:
        raise ModelError(
            f"model {where}: {field} names {name!r}, which is no input of its graph; there are: {', '.join(declared)}"
        )
    dtype, shape = declared[name]
    _refuse_type(field, name, dtype, dtypes, where)
    return TensorSpec(name, dtype, tuple(1 if size is None else size for size in shape))


def _named(outputs: Mapping[str, TensorSpec], field: str, name: str, dtypes: tuple[str, ...], where: str) -> TensorSpec:
    if name not in outputs:
        raise ModelError(
            f"model {where}: {field} is {name!r}, which is no output of its graph; there are: {', '.join(outputs)}"
        )
    _refuse_type(field, name, outputs[name].dtype, dtypes, where)
    return outputs[name]


def _refuse_type(field: str, name: str, dtype: str, dtypes: tuple[str, ...], where: str) -> None:
    if dtype not in dtypes:
        raise ModelError(f"model {where}: {field}: {name!r} is {dtype}, and must be {' or '.join(dtypes)}")
