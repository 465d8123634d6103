"""The model contract: one ONNX file that carries its manifest in its own metadata.

Identity is the SHA-256 of the ONNX without its metadata; the manifest names that hash, so that it cannot be moved to
another network. The manifest is JSON under the metadata key `sightline.manifest`; `manifest_json_schema()` is its
published schema.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runtime.contracts import onnx_file
from runtime.contracts.errors import ModelError
from runtime.contracts.identity import CAMERA_NAME
from runtime.contracts.regular_file import read_regular

METADATA_KEY = "sightline.manifest"
_LARGEST_MODEL_BYTES = 2**31 - 1  # protobuf's own bound on a message

Positive = Annotated[int, Meta(ge=1)]
Pixels = Annotated[float, Meta(gt=0.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
OutputQuantity = Literal["steering_angle_rad", "acceleration_mps2", "score"]
"""`score` is a number without a unit (a logit, a probability); several outputs may be scores. What drives gives a
steering angle.
"""
Told = OutputQuantity | Literal["attention"]
"""What the numbers of a map are, for words: amounts of a quantity, or shares of attention without a sign."""
StateQuantity = Literal["speed_mps", "steering_angle_rad", "acceleration_mps2", "yaw_rate_radps"]


class Crop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of the camera's picture that the network sees, as fractions of its height and width."""

    top: Fraction = 0.0
    bottom: Fraction = 1.0
    left: Fraction = 0.0
    right: Fraction = 1.0


class Intrinsics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pinhole camera that the network was trained with; pitch is positive down."""

    horizontal_fov_rad: Annotated[float, Meta(gt=0.0, lt=3.1)]
    aspect_ratio: Annotated[float, Meta(gt=0.0)]  # width / height of the whole picture
    mount_height_m: float
    pitch_rad: float


class ImageInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A uint8 image tensor, 1 x height x width x 3 (NHWC) or 1 x 3 x height x width (NCHW). Normalisation is inside
    the graph.
    """

    name: str
    width: Positive
    height: Positive
    camera: str = "front"
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    colour: Literal["BGR", "RGB"] = "BGR"
    interpolation: Literal["area", "linear"] = "area"
    crop: Crop = Crop()
    intrinsics: Intrinsics | None = None


class StateInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A float32 tensor of one element that takes a value of the vehicle's state, times `scale`."""

    name: str
    quantity: StateQuantity
    scale: float = 1.0


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a quantity is read: element `index` of the flattened tensor `name`, times `scale`, is in the quantity's
    unit and sign.

    A network that steers in its own unit declares the scale: -0.4363 for one whose 1.0 means 25 degrees to the right.
    `minimum` and `maximum` bound the scaled value; outside of them it is invalid.
    """

    name: str
    quantity: OutputQuantity
    minimum: float
    maximum: float
    index: Annotated[int, Meta(ge=0)] = 0
    scale: float = 1.0


class Recurrent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hidden state: what comes out of `output` goes into `input` of the next pass.

    It starts from `initial` in every element, and starts again as `reset` says: only with the drive, or after every
    frame that was missing or dropped as well.
    """

    input: str
    output: str
    initial: float = 0.0
    reset: Literal["drive-start", "gap"] = "gap"


class Concept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantity that the network decides through (concept bottleneck; Koh et al., arXiv 2007.04612), so that the
    reason can be read as a number.

    Its value is element `index` of the flattened output `output`, times `scale`, in `unit`. Where it is a sum over
    places, plane `map_index` of the output `map` (concepts x rows x columns, leading ones allowed) times `scale` holds
    each place's part; the sum of the plane is the value less a constant. The map's cells lie where the attribution's
    do.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    unit: str
    output: str
    index: Annotated[int, Meta(ge=0)] = 0
    scale: float = 1.0
    map: str = ""
    map_index: Annotated[int, Meta(ge=0)] = 0


class AttributionOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A float32 tensor rows x columns (leading ones allowed): the signed map of `target` over the image input `image`.

    `target_tensor` is the tensor of the graph that was differentiated, where it is not the output itself (a logit
    before its softmax), and `target_index` the element of it, fixed or the largest of each pass. A map that is not
    `signed` (attention rollout) holds shares of attention: where the network looks, not which way that pulls.

    The first cell is centred at (origin_y_px, origin_x_px) of the model input, its neighbours stride_*_px on, and
    each sees field_*_px around its centre. `scale` takes it to the target's unit and sign.
    """

    output: str
    method: str
    layer: str
    target: OutputQuantity
    image: str
    rows: Positive
    columns: Positive
    origin_y_px: float
    origin_x_px: float
    stride_y_px: Pixels
    stride_x_px: Pixels
    field_y_px: Pixels
    field_x_px: Pixels
    scale: float = 1.0
    target_tensor: str = ""
    target_index: Annotated[int, Meta(ge=0)] | Literal["argmax"] = 0
    signed: bool = True

    @property
    def told_as(self) -> Told:
        """What the map's numbers are: amounts of the target, or shares of attention that pull no way."""
        return self.target if self.signed else "attention"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a network takes and gives. `tolerance` is how far an output may be from the record's on other hardware
    (absolute).
    """

    name: Annotated[str, Meta(min_length=1)]
    graph_sha256: str
    images: Annotated[tuple[ImageInput, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1)]
    states: tuple[StateInput, ...] = ()
    recurrent: tuple[Recurrent, ...] = ()
    attribution: AttributionOutput | None = None
    concepts: tuple[Concept, ...] = ()
    tolerance: Annotated[float, Meta(ge=0.0)] = 1e-4
    description: str = ""
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Hold what single fields cannot."""
        quantities = [output.quantity for output in self.outputs]
        _refuse_twice("outputs.quantity", [quantity for quantity in quantities if quantity != "score"])
        _refuse_twice("concept", [concept.name for concept in self.concepts])
        tensors = [i.name for i in self.images] + [i.name for i in self.states] + [i.input for i in self.recurrent]
        _refuse_twice("input tensor", tensors)
        for output in self.outputs:
            if not output.minimum < output.maximum:
                raise ValueError(
                    f"outputs.{output.quantity}: minimum {output.minimum} is not below maximum {output.maximum}"
                )
            if output.scale == 0.0:
                raise ValueError(f"outputs.{output.quantity}: scale is 0, so it could not change")
        for image in self.images:
            if not CAMERA_NAME.fullmatch(image.camera):
                raise ValueError(
                    f"images.{image.name}.camera is {image.camera!r}; a name is like {CAMERA_NAME.pattern}"
                )
            if not (image.crop.top < image.crop.bottom and image.crop.left < image.crop.right):
                raise ValueError(f"images.{image.name}.crop is empty: {image.crop}")
        if self.attribution is not None:
            if self.attribution.image not in [image.name for image in self.images]:
                raise ValueError(f"attribution.image is {self.attribution.image!r}, which no image input is named")
            if self.attribution.target not in quantities:
                raise ValueError(f"attribution.target is {self.attribution.target!r}, which no output gives")
        for concept in self.concepts:
            if concept.map and self.attribution is None:
                raise ValueError(f"concepts.{concept.name}.map lies where the attribution does, and there is none")

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that the image inputs ask for, each once, in order."""
        return tuple(dict.fromkeys(image.camera for image in self.images))

    def output(self, quantity: OutputQuantity) -> Output | None:
        """Where a quantity is read, None where the network does not give it."""
        return next((output for output in self.outputs if output.quantity == quantity), None)


def refuse_undrivable(manifest: Manifest, where: str) -> None:
    """Raise ModelError where a network gives no steering: it can be explained, and nothing can be decided with it."""
    if manifest.output("steering_angle_rad") is None:
        given = ", ".join(f"{output.name}[{output.index}] ({output.quantity})" for output in manifest.outputs)
        raise ModelError(
            f"model {where}: outputs name no steering_angle_rad, without which nothing can be decided (it gives "
            f"{given}); say in its export configuration which output steers, in which unit and sign"
        )


def _refuse_twice(what: str, names: list[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} is named twice")


def manifest_json_schema() -> dict[str, Any]:
    """The published JSON Schema of the manifest (draft 2020-12)."""
    return msgspec.json.schema(Manifest)


def model_sha256(onnx: bytes) -> str:
    """A model's identity: SHA-256 (hex) of its ONNX file without the metadata. Raises ValueError on other bytes."""
    return hashlib.sha256(onnx_file.without_metadata(onnx)).hexdigest()


def attach_manifest(onnx: bytes, manifest: Manifest) -> bytes:
    """The ONNX with the manifest in its metadata, bound to it by hash; an older manifest is replaced.

    Raises ModelError where the bytes are no ONNX file or keep weights elsewhere, or the manifest is wrong.
    """
    try:
        bound = msgspec.structs.replace(manifest, graph_sha256=model_sha256(onnx))
        # Types and ranges are held where JSON is read: here, not first on the vehicle. An 8 for an 8.0 is settled too.
        settled = msgspec.json.decode(msgspec.json.encode(bound), type=Manifest)
        text = msgspec.json.encode(settled).decode()
        whole = onnx_file.with_metadata(onnx, METADATA_KEY, text)
    except (ValueError, msgspec.DecodeError) as error:
        raise ModelError(f"model {manifest.name!r} cannot be given its manifest: {error}") from error
    manifest_of(whole, repr(manifest.name))
    return whole


def read_manifest(path: Path) -> Manifest:
    """The manifest of an ONNX file. Raises ModelError naming the field that is wrong, or the way to add a manifest."""
    try:
        onnx = read_regular(path, _LARGEST_MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}; give the path of an ONNX file") from error
    return manifest_of(onnx, str(path))


def manifest_of(onnx: bytes, where: str) -> Manifest:
    """As `read_manifest`, from bytes; `where` names them in errors."""
    try:
        text = onnx_file.metadata(onnx).get(METADATA_KEY)
        elsewhere = onnx_file.external_tensor(onnx)
    except ValueError as error:
        raise ModelError(f"model {where} is no ONNX file (protobuf ModelProto): {error}; export it again") from error
    if elsewhere is not None:
        raise ModelError(
            f"model {where} keeps the values of {elsewhere!r} in another file, which its identity does not cover; "
            "export it as one file (external_data=False)"
        )
    if text is None:
        raise ModelError(
            f"model {where} has no manifest (metadata key {METADATA_KEY!r}), so nobody knows its inputs, "
            "units and signs; add one with runtime.contracts.model.attach_manifest (see docs/model.md)"
        )
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"model {where}: its manifest is wrong: {error}; see docs/model.md") from error
    found = model_sha256(onnx)
    if manifest.graph_sha256 != found:
        raise ModelError(
            f"model {where}: its manifest belongs to another network (graph_sha256 {manifest.graph_sha256[:12]}…, "
            f"this network is {found[:12]}…); attach a manifest made for it"
        )
    return manifest
