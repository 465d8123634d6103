"""What one network is and what is wanted of its export: a commented YAML file, read once into a frozen type.

An error names file, line, key, value and what is allowed. `docs/export.md` has every key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from export.worth.verdict import WorthGates
from runtime.contracts.errors import ConfigError
from runtime.contracts.model import (
    AttributionOutput,
    Concept,
    ImageInput,
    Manifest,
    Output,
    OutputQuantity,
    Recurrent,
    StateInput,
)
from runtime.contracts.yaml_file import parse_yaml

Method = Literal["auto", "gradient-x-activation", "upward", "attention-rollout", "none"]
Channels = Annotated[tuple[float, ...], Meta(min_length=3, max_length=3)]
Correlation = Annotated[float, Meta(ge=-1.0, le=1.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
AUTO = "auto"


class Normalise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network with a float picture input wants of the pixels: (pixel x scale - mean) / std, per channel in the
    order of the image's `colour`. The export writes it into the graph. `layout` is the network's own. A `grey` network
    takes one channel, the luma of ITU-R BT.601.
    """

    scale: float = 1.0 / 255.0
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    grey: bool = False

    def __post_init__(self) -> None:
        """A division by 0, or all pixels alike, is no normalisation."""
        if 0.0 in self.std:
            raise ValueError("std: must not be 0")
        if self.scale == 0.0:
            raise ValueError("scale: must not be 0")
        if self.grey and len({*self.mean}) + len({*self.std}) > 2:
            raise ValueError("grey: one channel has one mean and one std; write three equal ones")


class ImageConfig(ImageInput, frozen=True, forbid_unknown_fields=True):
    """An image input of the manifest, and how a float network wants its pixels; None: it takes uint8 itself."""

    normalise: Normalise | None = None

    def image_input(self) -> ImageInput:
        """What the manifest says of it."""
        return ImageInput(**{name: getattr(self, name) for name in ImageInput.__struct_fields__})


class TensorTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One element of a flattened output: a fixed one, or the largest of each pass."""

    output: str
    index: Annotated[int, Meta(ge=0)] | Literal["argmax"] = 0


class AttributionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which map explains which output. A `target` of None is the steering, or else the first output."""

    method: Method = "auto"
    target: OutputQuantity | TensorTarget | None = None
    image: str = AUTO
    layer: str = AUTO
    finer_layer: str = AUTO  # of `upward`
    baseline: Literal["none", "neutral"] = "none"


class Int8Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What INT8 is calibrated on: a drive, or any source, and how many of its frames; for whose kernels the graph
    is laid out (ONNX Runtime runs both layouts, TensorRT its own); and what the rest of the decision is computed in.
    """

    calibration: Annotated[str, Meta(min_length=1)]
    frames: Annotated[int, Meta(ge=1, le=10_000)] = 128
    engine: Literal["tensorrt", "onnxruntime"] = "tensorrt"
    rest: Literal["float32", "float16"] = "float32"

    def __post_init__(self) -> None:
        """Float16 beside INT8 is what GPUs are built for; ONNX Runtime would convert to and fro on the CPU."""
        if self.rest == "float16" and self.engine == "onnxruntime":
            raise ValueError("rest: float16 is for engine: tensorrt; ONNX Runtime computes it in float32 all the same")


class PrecisionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The forms that are written beside the float32 one."""

    fp16: bool = False
    int8: Int8Config | None = None


class FramesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the export is judged on: parity, drift and worth. None: no real frames, so only parity can be judged."""

    source: str | None = None
    count: Annotated[int, Meta(ge=1, le=10_000)] = 48


class ParityGates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network against its export: an element may differ by `max_abs` + `relative` x the output's largest."""

    max_abs: Annotated[float, Meta(ge=0.0)] = 1e-5
    relative: Annotated[float, Meta(ge=0.0)] = 1e-4
    cosine: Correlation = 0.9999


class DriftGates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FP16 and INT8 against float32: change of decision as a share of the output's range (maximum - minimum), and
    rank correlation of the explanation.
    """

    decision_mean: Share = 0.01
    decision_p99: Share = 0.05
    explanation_median: Correlation = 0.95
    explanation_p5: Correlation = 0.8


class WorthConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the explanation is judged on the frames, and what it must reach to be worth showing."""

    judge: bool = True
    gates: WorthGates = WorthGates()


class RecurrentConfig(Recurrent, frozen=True, forbid_unknown_fields=True):
    """A hidden state of the manifest; `shape` is needed of a torch module, whose code does not tell it."""

    shape: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(min_length=1)] | None = None

    def recurrent(self) -> Recurrent:
        """What the manifest says of it."""
        return Recurrent(**{name: getattr(self, name) for name in Recurrent.__struct_fields__})


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One network: its contract, and what its export has to be."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    images: Annotated[tuple[ImageConfig, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1)]
    states: tuple[StateInput, ...] = ()
    recurrent: tuple[RecurrentConfig, ...] = ()
    concepts: tuple[Concept, ...] = ()
    description: str = ""
    tolerance: Annotated[float, Meta(ge=0.0)] = 1e-4
    attribution: AttributionConfig = AttributionConfig()
    companion: bool = False
    frames: FramesConfig = FramesConfig()
    parity: ParityGates = ParityGates()
    precision: PrecisionConfig = PrecisionConfig()
    drift: DriftGates = DriftGates()
    worth: WorthConfig = WorthConfig()

    def __post_init__(self) -> None:
        """Hold what single fields cannot."""
        quantities = [output.quantity for output in self.outputs]
        for i, output in enumerate(self.outputs):
            if output.quantity != "score" and output.quantity in quantities[:i]:
                raise ValueError(f"outputs.{i}.quantity: stands above already; several may only be `score`")
            if not output.minimum < output.maximum:
                raise ValueError(f"outputs.{i}.minimum: must be below the maximum, {output.maximum}")
            if output.scale == 0.0:
                raise ValueError(f"outputs.{i}.scale: must not be 0: nothing could be read")
        images = [image.name for image in self.images]
        wanted = self.attribution
        if wanted.image not in (AUTO, *images):
            raise ValueError(f"attribution.image: must be auto or one of {', '.join(images)}")
        if isinstance(wanted.target, str) and wanted.target not in quantities:
            raise ValueError(f"attribution.target: no output gives it; there are: {', '.join(quantities)}")
        if wanted.method in ("none", "attention-rollout") and wanted.baseline != "none":
            raise ValueError("attribution.baseline: only maps of gradient x activation have one")
        if wanted.method != "upward" and wanted.finer_layer != AUTO:
            raise ValueError("attribution.finer_layer: only the method `upward` has one")
        if self.frames.source is None and (self.precision.fp16 or self.precision.int8):
            raise ValueError("precision: needs frames.source: what changes is judged on real frames")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The network's outputs, each once, in the order in which they are first named: outputs, concepts, states."""
        named = [output.name for output in self.outputs]
        named += [name for concept in self.concepts for name in (concept.output, concept.map) if name]
        named += [state.output for state in self.recurrent]
        return tuple(dict.fromkeys(named))

    def manifest(self, attribution: AttributionOutput | None = None) -> Manifest:
        """The manifest of the exported graph, to be bound to it by `attach_manifest`. Raises ValueError."""
        return Manifest(
            name=self.name,
            graph_sha256="",
            images=tuple(image.image_input() for image in self.images),
            outputs=self.outputs,
            states=self.states,
            recurrent=tuple(state.recurrent() for state in self.recurrent),
            attribution=attribution,
            concepts=self.concepts if attribution is not None else _without_maps(self.concepts),
            tolerance=self.tolerance,
            description=self.description,
        )


def _without_maps(concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
    """A concept's map lies where the attribution does: without one, nobody could say where."""
    return tuple(msgspec.structs.replace(concept, map="", map_index=0) for concept in concepts)


def load_model_config(path: Path) -> ModelConfig:
    """Read and check a model's configuration. Raises ConfigError naming file, line, key, value and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such configuration; write one as docs/export.md shows, or leave --config out "
            "for an ONNX file and a draft is written"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_model_config(text, str(path))


def parse_model_config(text: str, where: str) -> ModelConfig:
    """As `load_model_config`, from text; `where` names it in errors."""
    config = parse_yaml(text, ModelConfig, where)
    try:
        config.manifest()
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return config
