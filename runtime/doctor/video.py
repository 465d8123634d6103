"""Cameras that the kernel shows, and the encoder of the picture for people: by encoding one."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import numpy as np

from runtime import gstreamer as binding
from runtime.contracts.config import Config
from runtime.contracts.errors import LinkError, SourceError
from runtime.doctor.finding import Finding, text_of
from runtime.record.h264 import H264Encoder, is_key
from runtime.record.h264_board import by_board, open_encoder
from runtime.sources.cameras.address import SCHEMES, Address, parse
from runtime.sources.cameras.gstreamer import pipeline_of
from runtime.sources.cameras.open import library_of
from runtime.sources.location import scheme_of, without_password

_PLUGINS = (
    "scripts/system-packages camera; NVIDIA's elements are JetPack's nvidia-l4t-gstreamer, in a container by "
    "--runtime nvidia (docs/jetson.md)"
)


def cameras(root: Path = Path("/")) -> Finding:
    """The kernel's video devices, by name, and whether this user may open them. None is opened: a drive may have it."""
    names: dict[str, list[str]] = {}
    closed = []
    for device in sorted((root / "sys/class/video4linux").glob("video[0-9]*")):
        node = root / "dev" / device.name
        names.setdefault(text_of(device / "name") or "unnamed", []).append(f"/dev/{device.name}")
        if node.exists() and not os.access(node, os.R_OK | os.W_OK):
            closed.append(f"/dev/{device.name}")
    if not names:
        return Finding("cameras", "ok", "the kernel shows none; files and networks need none")
    found = "; ".join(f"{name} ({', '.join(nodes)})" for name, nodes in names.items())
    if closed:
        mend = "sudo usermod -aG video $USER, and log in again"
        return Finding("cameras", "warn", f"{found}; not to be opened by this user: {', '.join(closed)}", mend)
    return Finding("cameras", "ok", found)


def gstreamer(config: Config) -> Finding:
    """Whether GStreamer is here; where the configuration names a camera, the pipeline that it would run."""
    try:
        address = camera_of(config.source)
    except SourceError as error:
        return Finding("gstreamer", "fail", str(error), "mend `source` in the configuration (docs/cameras.md)")
    try:
        version = str(binding.load().version_string())
        pipeline = "" if address is None or library_of(address) == "pyav" else pipeline_of(address)
        if pipeline:
            binding.launched(pipeline)  # put together and not started: whether every element is here
    except SourceError as error:
        if address is not None and library_of(address) == "gstreamer":
            return Finding("gstreamer", "fail", str(error), _PLUGINS)
        return Finding("gstreamer", "ok", "not here; files need none, and PyAV reads USB and network cameras")
    return Finding("gstreamer", "ok", f"{version}: {without_password(pipeline)}" if pipeline else version)


def camera_of(source: str | None) -> Address | None:
    """The camera that a configuration's source names, None where it names none. Raises SourceError on a wrong URI."""
    if source is None or scheme_of(source) not in SCHEMES:
        return None
    return parse(source)


def encoder(config: Config) -> Finding:
    """One picture of 1280 x 720, encoded as the record will be."""
    if config.record.picture_codec == "jpeg":
        return Finding("encoder", "ok", "jpeg, by OpenCV")
    try:
        encoder = open_encoder(720, 1280, config.record.h264_quality, by_board=by_board(config.record.h264_encoder))
        with closing(encoder):
            unit = encoder.encode(np.zeros((720, 1280, 3), np.uint8), key=True)
    except LinkError as error:
        return Finding("encoder", "fail", str(error), "set record.h264_encoder to libx264, or picture_codec to jpeg")
    by = "libx264 on the processor" if isinstance(encoder, H264Encoder) else "the board's own encoder"
    if not is_key(unit):
        return Finding("encoder", "fail", f"{by} gave no key picture when asked", "set record.picture_codec to jpeg")
    return Finding("encoder", "ok", f"h264, by {by}")
