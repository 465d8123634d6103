"""Holds a source to its contract where its frames enter the drive: sources come from outside as well."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.link import FARTHEST_SOURCE_TIME_NS
from runtime.contracts.source import Capture, Interruptible, Missing, Source
from runtime.contracts.vehicle import VehiclePort


class CheckedSource:
    """A source whose items keep the contract, or whose `read` says which one did not, and with which value."""

    def __init__(self, source: Source, cameras: tuple[str, ...]) -> None:
        self._source = source
        self._cameras = frozenset(cameras)
        self._sequence = 0
        self._interrupt_failed = False

    @property
    def uri(self) -> str:
        """As the source tells it."""
        return self._source.uri

    @property
    def clock_domain(self) -> ClockDomain:
        """As the source tells it."""
        return self._source.clock_domain

    @property
    def expected_captures(self) -> int | None:
        """As the source tells it."""
        return self._source.expected_captures

    @property
    def vehicle(self) -> VehiclePort | None:
        """The source's."""
        return self._source.vehicle

    def read(self) -> Capture | Missing | None:
        """The next item, its numbers as Python's own.

        Raises SourceError where its sequence is not the next, its time is no whole number of nanoseconds that the
        durable link carries, or it has not a picture (uint8, height x width x 3) or a reason of every camera asked.
        """
        item = self._source.read()
        if item is None:
            return None
        if not isinstance(item, Capture | Missing):
            self._refuse(f"gave a {type(item).__name__}; give a Capture or a Missing, and None at the end")
        sequence, t_source_ns = self._whole(item.sequence, "sequence"), self._whole(item.t_source_ns, "t_source_ns")
        if sequence != self._sequence:
            self._refuse(f"gave the sequence {sequence}; count on by one, from 0")
        if abs(t_source_ns) > FARTHEST_SOURCE_TIME_NS:
            self._refuse(
                f"gave t_source_ns {t_source_ns}; give nanoseconds, at most {FARTHEST_SOURCE_TIME_NS} either side of 0"
            )
        if isinstance(item, Capture):
            self._check_cameras(item.pictures, "pictures")
            self._check_pictures(item.pictures)
        else:
            self._check_cameras(item.reasons, "reasons")
            self._check_reasons(item.reasons)
        self._sequence += 1
        if item.sequence is sequence and item.t_source_ns is t_source_ns:
            return item
        return replace(item, sequence=sequence, t_source_ns=t_source_ns)

    def interrupt(self) -> None:
        """See Interruptible; nothing where the source has none. One that fails is told on standard error, once: it is
        called while the drive ends, and must not keep it from ending in order.
        """
        try:
            if isinstance(self._source, Interruptible):
                self._source.interrupt()
        except Exception:  # noqa: BLE001  (a defect of a source from outside, or an error that it tells)
            if not self._interrupt_failed:
                sys.stderr.write(f"source {self._source.uri!r}: its interrupt() failed, and the drive ends without:\n")
                traceback.print_exc()
            self._interrupt_failed = True

    def close(self) -> None:
        """Close the source. Idempotent as the source is."""
        self._source.close()

    def _whole(self, value: Any, field: str) -> int:
        if type(value) is not int and not isinstance(value, np.integer):
            self._refuse(f"gave {field} {value!r}, a {type(value).__name__}; give an int")
        return int(value)

    def _check_cameras(self, given: Mapping[str, Any], field: str) -> None:
        if given.keys() != self._cameras:
            told, asked = (", ".join(sorted(map(str, names))) or "none" for names in (given, self._cameras))
            self._refuse(
                f"gave {field} of the cameras {told}, and was asked for {asked}; give each of them, and no more"
            )

    def _check_pictures(self, pictures: Mapping[str, Any]) -> None:
        for camera, picture in pictures.items():
            if not isinstance(picture, np.ndarray):
                self._refuse(f"gave a {type(picture).__name__} as the picture of {camera!r}; give a numpy array")
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                self._refuse(
                    f"gave a {picture.dtype} picture of shape {picture.shape} of {camera!r}; "
                    "give uint8, height x width x 3, blue-green-red"
                )

    def _check_reasons(self, reasons: Mapping[str, Any]) -> None:
        for camera, reason in reasons.items():
            if type(reason) is not str or not reason:
                self._refuse(f"gave {reason!r} as the reason why {camera!r} has no picture; give words")

    def _refuse(self, problem: str) -> NoReturn:
        raise SourceError(f"source {self._source.uri!r}: at sequence {self._sequence} it {problem}")
