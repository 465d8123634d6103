"""Which frames a reader is shown: over the whole range of decisions, and those where the explanation does worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.frames import Frames
from export.report import pictures
from export.worth.amounts import amount, shown_unit, shown_value
from export.worth.subject import Subject
from export.worth.verdict import Worth

_TYPICAL, _WORST = 6, 3


@dataclass(frozen=True)
class Shown:
    """One frame: its pictures as data URIs, and what is written under them."""

    plain: str
    overlaid: str
    caption: str


@dataclass(frozen=True)
class Album:
    """Frames from the most negative target to the most positive; the worst first; and the scale of the colours."""

    typical: tuple[Shown, ...]
    worst: tuple[Shown, ...]
    full_scale: str
    up: str
    down: str


def album(explained: bytes, frames: Frames, worth: Worth | None) -> Album:
    """The pictures of an explained ONNX on frames. `worth` says on which of them the map does worse than edges."""
    subject = Subject(explained)
    views = [subject.view(inputs) for inputs in frames.inputs]
    scale = pictures.full_scale([view.map for view in views])
    order = np.argsort([view.target for view in views], kind="stable")
    spread = dict.fromkeys(np.linspace(0, len(order) - 1, min(_TYPICAL, len(order))).round().astype(int).tolist())

    def shown(frame: int, more: str = "") -> Shown:
        pixels = subject.pixels(frames.inputs[frame])
        return Shown(
            pictures.plain(subject, pixels),
            pictures.overlaid(subject, pixels, views[frame].map, scale),
            f"frame {frame}: {_decided(views[frame].target, subject)}{more}",
        )

    worst = []
    if worth is not None and worth.frames is not None and worth.frames.sha256 == frames.sha256:
        behind = sorted(worth.by_frame, key=lambda each: each.attribution - each.edges)[:_WORST]
        for each in behind:
            if each.attribution < each.edges:
                told = f"; map {amount(each.attribution, subject.unit)}, edges {amount(each.edges, subject.unit)}"
                worst.append(shown(each.frame, told))
    steering = subject.attribution.target == "steering_angle_rad"
    return Album(
        typical=tuple(shown(int(order[place])) for place in spread),
        worst=tuple(worst),
        full_scale=f"{shown_value(scale, subject.unit):.2g} {shown_unit(subject.unit)}".replace(" °", "°").strip(),
        up="pulls left" if steering else "pulls up",
        down="pulls right" if steering else "pulls down",
    )


def _decided(target: float, subject: Subject) -> str:
    if subject.attribution.target == "steering_angle_rad":
        side = "left" if target > 0 else "right"
        return f"steers {amount(abs(target), subject.unit, 2)} to the {side}"
    name = "acceleration" if subject.attribution.target == "acceleration_mps2" else "score"
    return f"{name} {amount(target, subject.unit)}"
