"""Names of frames, drives and decisions."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timezone

import msgspec

from runtime.contracts.units import NS_PER_S

CAMERA_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class FrameId(msgspec.Struct, frozen=True, order=True):
    """One picture of one camera. Pictures taken together by several cameras share their sequence."""

    camera: str
    sequence: int

    def __str__(self) -> str:
        """Readable form, `front/17`."""
        return f"{self.camera}/{self.sequence}"


def new_drive_id(utc_ns: int) -> str:
    """A drive's name: its start in UTC to the second and four random bytes, e.g. `20261123T211500Z-9f3a01c4`."""
    start = datetime.fromtimestamp(utc_ns // NS_PER_S, tz=timezone.utc)
    return f"{start:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def decision_id(drive_id: str, sequence: int) -> str:
    """A decision's name: its drive and the sequence of the frames that it was made from."""
    return f"{drive_id}/{sequence}"
