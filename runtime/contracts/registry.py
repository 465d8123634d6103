"""Sources, engines and the command's verbs are found by name through entry points, so that a package from outside can
add one.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from runtime.contracts.errors import UsageError

Group = Literal["sightline.sources", "sightline.engines", "sightline.plans", "sightline.bridges", "sightline.commands"]


def names(group: Group) -> tuple[str, ...]:
    """The names registered in a group, sorted."""
    return tuple(sorted(_registered(group)))


def load(group: Group, name: str) -> Any:
    """The object registered under `name`. Raises UsageError naming what there is, or what its import lacked."""
    entry = _registered(group).get(name)
    if entry is None:
        raise UsageError(f"{name!r} is not registered in {group}; there are: {', '.join(names(group)) or 'none'}")
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name!r} of {group} cannot be imported ({error}); install what it needs") from error


def _registered(group: Group) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
