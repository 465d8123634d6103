"""Which frames a reader is shown: over the whole range of decisions, and those where the explanation does worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.frames import Frames
from export.report import pictures
from export.report.report import Report
from export.worth.amounts import amount, shown_unit, shown_value
from export.worth.subject import Subject

_TYPICAL, _WORST = 6, 3


@dataclass(frozen=True)
class Shown:
    """One frame: its pictures as data URIs, and what is written under them."""

    plain: str
    overlaid: str
    caption: str


@dataclass(frozen=True)
class Album:
    """Frames from the most negative target to the most positive; those where the map does worse than edges, the worst
    first; those where other precisions move the decision most; and the scale of the colours.
    """

    typical: tuple[Shown, ...]
    worst: tuple[Shown, ...]
    moved: tuple[Shown, ...]
    full_scale: str
    up: str
    down: str


def album(explained: bytes, frames: Frames, report: Report) -> Album:
    """The pictures of an explained ONNX on frames. The report says which of them are bad ones, if it is of these."""
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

    steering = subject.attribution.target == "steering_angle_rad"
    return Album(
        typical=tuple(shown(int(order[place])) for place in spread),
        worst=tuple(shown(frame, told) for frame, told in _behind_edges(report, frames, subject.unit)),
        moved=tuple(shown(frame, told) for frame, told in _moved(report, frames)),
        full_scale=f"{shown_value(scale, subject.unit):.2g} {shown_unit(subject.unit)}".replace(" °", "°").strip(),
        up="pulls left" if steering else "pulls up",
        down="pulls right" if steering else "pulls down",
    )


def _behind_edges(report: Report, frames: Frames, unit: str) -> list[tuple[int, str]]:
    worth = report.worth
    if worth is None or worth.frames is None or worth.frames.sha256 != frames.sha256:
        return []
    return [
        (each.frame, f"; map {amount(each.attribution, unit)}, edges {amount(each.edges, unit)}")
        for each in sorted(worth.by_frame, key=lambda each: each.attribution - each.edges)[:_WORST]
        if each.attribution < each.edges
    ]


def _moved(report: Report, frames: Frames) -> list[tuple[int, str]]:
    """The frame on which each form moves its first decision farthest."""
    first = [(form, form.drift.decisions[0]) for form in report.precision if form.drift.frames_sha256 == frames.sha256]
    return [
        (change.worst_frame, f"; {form.name} moves {change.name} by {amount(change.max, change.unit)}")
        for form, change in first
    ]


def _decided(target: float, subject: Subject) -> str:
    if subject.attribution.target == "steering_angle_rad":
        side = "left" if target > 0 else "right"
        return f"steers {amount(abs(target), subject.unit, 2)} to the {side}"
    name = "acceleration" if subject.attribution.target == "acceleration_mps2" else "score"
    return f"{name} {amount(target, subject.unit)}"
