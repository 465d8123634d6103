"""One recorded frame as a picture for people: what the car saw, decided, and why. Pure: everything is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from review.heat import draw_grid, draw_heat
from review.lettering import BOLD, MEDIUM, Colour, Image, Ink, text_width, wrap, write
from review.panel import BAD, GOOD, GROUND, MUTED, TEXT, WARN, Readings, panel, panel_height
from review.path import draw_path
from runtime.attribution import words
from runtime.attribution.grid import Box, to_camera, values_of
from runtime.contracts.messages import Attribution, Decision, DispositionKind, GroundTruth
from runtime.contracts.model import ImageInput, Told

DESIGN_WIDTH_PX = 960
"""What the instruments are laid out for; smaller pictures are drawn this wide, since below it words cannot be read."""

_LEAST_UNIT = 2 / 3
_WORTH_BADGES: Mapping[str, list[tuple[str, Colour]]] = {
    "not worth showing": [("the map is not worth showing: it failed its tests", BAD)],
    "not judged": [("the map was not judged", WARN)],
}
_LEGENDS: Mapping[Told, tuple[str, str]] = {
    "steering_angle_rad": ("pulls left", "pulls right"),
    "acceleration_mps2": ("pulls faster", "pulls slower"),
    "score": ("pulls up", "pulls down"),
    "attention": ("looks here", ""),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all frames of a drive."""

    title: str
    image: ImageInput | None  # the model's image input of the drawn camera
    width_px: int
    height_px: int  # of the picture alone
    map_scale: float  # the cell drawn at full strength, in the target's unit
    target: Told
    steering_full_scale_rad: float
    acceleration_full_scale_mps2: float
    wheelbase_m: float
    shadow: bool
    worth: str  # the verdict on the explanation, as the drive's header tells it


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame. None: the record has no such message."""

    sequence: int
    t_source_s: float  # since the drive's first frame
    utc: str
    disposition: DispositionKind | None
    disposition_reason: str
    picture: Image | None
    decision: Decision | None
    attribution: Attribution | None
    speed_mps: float | None
    speed_assumed: bool
    truth: GroundTruth | None
    broken: bool = False  # a message of it does not decode: the rest is not to be trusted, and not drawn


def size_of(picture_width_px: int, picture_height_px: int, width_px: int | None) -> tuple[int, int]:
    """The size in which a picture is drawn: `width_px` wide, else as it is or as wide as words need; both even."""
    width_px = width_px or max(picture_width_px, DESIGN_WIDTH_PX)
    height_px = round(width_px * picture_height_px / picture_width_px)
    return width_px // 2 * 2, height_px // 2 * 2


def draw(moment: Moment, setting: Setting) -> Image:
    """The whole picture, uint8, (height + instruments) x width x 3."""
    unit = max(setting.width_px / DESIGN_WIDTH_PX, _LEAST_UNIT)
    scene = _scene(moment, setting, unit)
    _clock(scene, moment, setting, unit)
    _badges(scene, moment, setting, unit)
    return np.concatenate([scene, panel(setting.width_px, unit, _readings(moment, setting))])


def full_size(setting: Setting) -> tuple[int, int]:
    """Width and height of what `draw` gives, in pixels."""
    unit = max(setting.width_px / DESIGN_WIDTH_PX, _LEAST_UNIT)
    return setting.width_px, setting.height_px + panel_height(unit)


def _scene(moment: Moment, setting: Setting, unit: float) -> Image:
    size = (setting.width_px, setting.height_px)
    if moment.picture is None:
        return _placeholder(moment, size, unit)
    larger = setting.width_px >= moment.picture.shape[1]
    scene: Image = cv2.resize(  # type: ignore[assignment]
        moment.picture, size, interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA
    )
    on_map = moment.attribution is not None and setting.image is not None
    if on_map and moment.attribution is not None and setting.image is not None:
        scene = draw_heat(scene, moment.attribution, setting.image, setting.map_scale)
    # In shadow mode nobody obeys, and the camera is not the one that the model knows.
    if moment.decision is not None and not setting.shadow and setting.image and setting.image.intrinsics:
        angle = moment.decision.control.steering_angle_rad
        draw_path(scene, angle, setting.wheelbase_m, setting.image.intrinsics, TEXT)
    if on_map and moment.attribution is not None and setting.image is not None:
        draw_grid(scene, moment.attribution, setting.image, unit)
        _pulls(scene, moment.attribution, setting, unit)
    return scene


def _pulls(scene: Image, attribution: Attribution, setting: Setting, unit: float) -> None:
    """Write the pull of each zone that the reason names into that zone."""
    assert setting.image is not None
    values = values_of(attribution)
    account = words.account(values, setting.target)
    for pull in (account.with_it, account.against):
        if pull is not None:
            row, column = divmod(words.ZONES.index(pull.zone), 3)
            y = attribution.origin_y_px + ((row + 0.5) * values.shape[0] / 3 - 0.5) * attribution.stride_y_px
            x = attribution.origin_x_px + ((column + 0.5) * values.shape[1] / 3 - 0.5) * attribution.stride_x_px
            at = to_camera(Box(x, y, x, y), setting.image, scene.shape[1], scene.shape[0])
            text, size = _signs(words.amount(pull.net, setting.target)), 17 * unit
            for shift, colour in ((1.2 * unit, GROUND), (0.0, TEXT)):
                write(scene, text, (at.left_px + shift, at.top_px + shift), size, Ink(colour, BOLD, "centre"))


def _placeholder(moment: Moment, size: tuple[int, int], unit: float) -> Image:
    """A frame without a picture never looks like one with: hatched ground and words."""
    width, height = size
    scene = np.full((height, width, 3), GROUND, np.uint8)
    for x in range(-height, width, max(8, round(26 * unit))):
        cv2.line(scene, (x, height), (x + height, 0), (38, 31, 25), max(1, round(7 * unit)), cv2.LINE_AA)
    dropped = moment.disposition == "dropped"
    title = "dropped" if dropped else "the record is broken here" if moment.broken else "no picture in the record"
    write(scene, title, (width / 2, height / 2), 34 * unit, Ink(BAD if dropped else WARN, BOLD, "centre"))
    for i, line in enumerate(wrap(moment.disposition_reason, width * 0.8, 16 * unit)):
        write(scene, line, (width / 2, height / 2 + (30 + 22 * i) * unit), 16 * unit, Ink(TEXT, align="centre"))
    return scene


def _clock(scene: Image, moment: Moment, setting: Setting, unit: float) -> None:
    height = round(26 * unit)
    scene[:height] = (scene[:height] * 0.35 + np.array(GROUND) * 0.65).astype(np.uint8)
    y, size = 17.5 * unit, 13 * unit
    time, frame = f"{moment.t_source_s:.3f} s", f"frame {moment.sequence}"
    x = 12 * unit
    write(scene, time, (x, y), size, Ink(TEXT, BOLD))
    x += max(text_width(time, size, BOLD), 62 * unit) + 14 * unit
    write(scene, frame, (x, y), size, Ink(TEXT))
    x += max(text_width(frame, size), 70 * unit) + 14 * unit
    write(scene, moment.utc, (x, y), size, Ink(MUTED))
    x += text_width(moment.utc, size) + 14 * unit
    if x + text_width(setting.title, size) < scene.shape[1] - 12 * unit:
        write(scene, setting.title, (scene.shape[1] - 12 * unit, y), size, Ink(MUTED, align="right"))


def _badges(scene: Image, moment: Moment, setting: Setting, unit: float) -> None:
    badges: list[tuple[str, Colour]] = []
    if setting.shadow:
        badges.append(("shadow: commands go nowhere", MUTED))
    if moment.attribution is not None:
        badges += _WORTH_BADGES.get(setting.worth, [])
    if moment.disposition == "late":
        badges.append(("late: not used", WARN))
    if moment.disposition == "dropped" and moment.picture is not None:
        badges.append(("dropped: nothing was decided", BAD))
    steps = moment.decision.steps if moment.decision is not None else ()
    badges += [(f"{step.step} acted", WARN) for step in steps if step.acted]
    truth = moment.truth
    if truth is not None and truth.collided:
        badges.append(("collision", BAD))
    if truth is not None and truth.departed:
        side = "left" if truth.lateral_offset_m > 0 else "right"
        badges.append((f"out of its lane: {abs(truth.lateral_offset_m):.1f} m to the {side}", BAD))
    elif truth is not None:
        badges.append((f"in lane, {truth.lateral_offset_m:+.2f} m", GOOD))
    size, x, top = 12.5 * unit, 12 * unit, 34 * unit
    for words_, colour in badges:
        wide = text_width(words_, size, MEDIUM) + 16 * unit
        box = (slice(round(top), round(top + 21 * unit)), slice(round(x), round(x + wide)))
        scene[box] = (scene[box] * 0.25 + np.array(GROUND) * 0.75).astype(np.uint8)
        cv2.rectangle(
            scene, (box[1].start, box[0].start), (box[1].start + round(3 * unit), box[0].stop - 1), colour, -1
        )
        write(scene, words_, (x + 9.5 * unit, top + 15 * unit), size, Ink(colour, MEDIUM))
        x += wide + 7 * unit


def _readings(moment: Moment, setting: Setting) -> Readings:
    decision = moment.decision
    reason = decision.reason if decision is not None else "nothing was decided"
    if moment.broken:
        reason = "the record is broken here"
    if moment.disposition in {"late", "dropped"} and moment.disposition_reason:
        reason = f"{moment.disposition} ({moment.disposition_reason}): {reason}"
    up, down = _LEGENDS[setting.target]
    return Readings(
        decision=decision,
        reason=_sentence(reason),
        speed_mps=moment.speed_mps,
        speed_assumed=moment.speed_assumed,
        steering_full_scale_rad=setting.steering_full_scale_rad,
        acceleration_full_scale_mps2=setting.acceleration_full_scale_mps2,
        legend=_signs(f"full: {words.amount(setting.map_scale, setting.target).lstrip('+')} a cell")
        if moment.attribution
        else "",
        legend_up=up,
        legend_down=down,
    )


def _sentence(text: str) -> str:
    """As a sentence of its own, degrees as a sign."""
    return text[:1].upper() + _signs(text[1:])


def _signs(text: str) -> str:
    return text.replace(" deg", "°").replace("m/s2", "m/s²").replace("m/s3", "m/s³")
