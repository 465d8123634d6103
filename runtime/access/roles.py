"""Which role opens which door. A door is one socket of a run that strangers could reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Door = Literal["viewers", "pictures", "link", "marks"]
Role = Literal["viewer", "recorder", "marker", "driver"]

ROLES: tuple[Role, ...] = get_args(Role)
_LISTENING: frozenset[Door] = frozenset({"viewers", "pictures"})
OPENS: Mapping[Role, frozenset[Door]] = {
    "viewer": _LISTENING,  # a screen, a page
    "recorder": _LISTENING,  # another party that keeps what it hears, the heads of the seals first of all
    "marker": _LISTENING | {"marks"},  # a person or a program that may say: keep this
    "driver": _LISTENING | {"link"},  # whoever decides, and hands over what it decided to be recorded
}
