"""Cameras that the kernel shows, and the encoder of the picture for people: by encoding one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from runtime.contracts.config import Config
from runtime.contracts.errors import LinkError
from runtime.doctor.finding import Finding, text_of
from runtime.record.h264 import H264Encoder, is_key


def cameras(root: Path = Path("/")) -> Finding:
    """The kernel's video devices, by name, and whether this user may open them."""
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


def encoder(config: Config) -> Finding:
    """One picture of 1280 x 720, encoded as the record will be."""
    if config.record.picture_codec == "jpeg":
        return Finding("encoder", "ok", "jpeg, by OpenCV")
    try:
        unit = H264Encoder(720, 1280, config.record.h264_quality).encode(np.zeros((720, 1280, 3), np.uint8), key=True)
    except LinkError as error:
        return Finding("encoder", "fail", str(error), "set record.picture_codec to jpeg, or install av anew")
    if not is_key(unit):
        return Finding("encoder", "fail", "libx264 gave no key picture when asked", "install av anew")
    return Finding("encoder", "ok", "h264, by libx264 on the CPU")
