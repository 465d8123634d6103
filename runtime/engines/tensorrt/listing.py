"""What is in a plan cache, for a person; works without a GPU too."""

from __future__ import annotations

import msgspec

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.cache import Entry, PlanCache
from runtime.engines.tensorrt.identity import Here, identify
from runtime.engines.tensorrt.plan_file import PlanRecord, is_own
from runtime.engines.tensorrt.secret import known_secret


class Listed(msgspec.Struct, frozen=True):
    """One plan. `state` says in words whether this device can run it; the plan's own bytes are read only to run it."""

    key: str
    path: str
    size_mib: float
    record: PlanRecord | None
    state: str


def listing(cache: PlanCache) -> tuple[Listed, ...]:
    """Every plan of a cache, the newest first, unreadable ones last."""
    secret = known_secret()
    try:
        here = identify()
    except EngineError as error:
        here, unknown = None, f"not known whether this device can run it: {error}"
    else:
        unknown = ""
    plans = [
        Listed(
            one.path.stem,
            str(one.path),
            round(one.size_bytes / 2**20, 1),
            one.record,
            _state(one, secret, here) or unknown,
        )
        for one in cache.entries()
    ]
    return tuple(sorted(plans, key=lambda one: one.record.built_utc if one.record else "", reverse=True))


def _state(entry: Entry, secret: bytes | None, here: Here | None) -> str:
    """Words, "" where the device must be known to tell."""
    record = entry.record
    if record is None:
        return entry.problem
    if not is_own(record, secret):
        return "not built by this user on this device: never loaded"
    if here is None:
        return ""
    if record.here.device != here.device:
        return f"built on another device: {record.here.device}"
    return "usable" if record.here == here else "usable, built under other software"
