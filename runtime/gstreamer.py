"""GStreamer's Python binding, where it is: cameras and the board's own encoder go through it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from runtime.contracts.errors import SourceError
from runtime.sources.location import without_password

MEND = (
    "install it (Debian, Ubuntu: sudo scripts/system-packages camera) and let the environment see its binding "
    "(scripts/link-system-packages .venv gi)"
)


@lru_cache(maxsize=1)
def load() -> Any:
    """The module Gst, initialised. Raises SourceError with the way to install it where it is not here."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise SourceError(f"GStreamer's Python binding cannot be loaded ({error}); {MEND}") from error
    if not Gst.init_check(None):
        raise SourceError("GStreamer does not start; run gst-inspect-1.0 to see why")
    return Gst


def has(*elements: str) -> bool:
    """Whether GStreamer has all of these elements. Raises SourceError where there is no GStreamer."""
    gst = load()
    return all(gst.ElementFactory.find(element) is not None for element in elements)


def launched(text: str) -> Any:
    """The pipeline of a text as `gst-launch-1.0` takes it, not yet running. Raises SourceError where there is no
    GStreamer, or it lacks an element.
    """
    gst = load()
    from gi.repository import GLib

    try:
        return gst.parse_launch(text)
    except GLib.Error as error:
        told = without_password(f"GStreamer cannot build the pipeline {text!r}: {error}; {MEND}")
        raise SourceError(told) from error


def trouble(bus: Any) -> str:
    """What a running pipeline says went wrong, "" where it says nothing."""
    message = bus.timed_pop_filtered(0, load().MessageType.ERROR)
    if message is None:
        return ""
    error, detail = message.parse_error()
    last = (detail or "").strip().rpartition("\n")[2]  # behind where in GStreamer's code it was
    return f"{error.message} {last}".strip()


def has_signal(element: Any, name: str) -> bool:
    """Whether an element knows a signal."""
    from gi.repository import GObject

    return bool(GObject.signal_lookup(name, element))
