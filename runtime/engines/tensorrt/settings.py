"""What a plan is built for and how: everything that makes one plan another goes into its key."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from runtime.contracts.model import Manifest
from runtime.engines.check import image_shape
from runtime.engines.tensorrt.identity import Here

BUILDER_VERSION = 1
"""Counted up when this package builds another plan from the same graph and settings."""


class BuildSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How TensorRT is asked to build. The precision is none of it: the network is strongly typed, and computes in the
    types that its ONNX names.

    `tf32` lets products of float32 be rounded to 10 bits: faster, and often beyond a model's tolerance.
    """

    workspace_mib: Annotated[int, Meta(ge=16, le=65_536)] = 1024
    optimization_level: Annotated[int, Meta(ge=0, le=5)] = 3
    tf32: bool = False


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is built: a graph at fixed shapes. What the manifest does not fix is 1, always."""

    model: str
    graph_sha256: str
    shapes: dict[str, tuple[int, ...]]


def subject_of(manifest: Manifest) -> Subject:
    """A model as it is built: its images at the manifest's size."""
    return Subject(manifest.name, manifest.graph_sha256, {image.name: image_shape(image) for image in manifest.images})


def plan_key(subject: Subject, settings: BuildSettings, here: Here) -> str:
    """The name of a plan in the cache: SHA-256 (hex) over everything that makes it what it is."""
    parts = (BUILDER_VERSION, subject.graph_sha256, subject.shapes, settings, here)
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
