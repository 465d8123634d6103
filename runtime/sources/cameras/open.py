"""Opens a camera by its URI, through the library that is here."""

from __future__ import annotations

from functools import partial

from runtime import gstreamer
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import SourceError
from runtime.contracts.source import SourceRequest
from runtime.sources.cameras.address import Address, Library, parse
from runtime.sources.cameras.gstreamer import GStreamerStream
from runtime.sources.cameras.live import LiveSource
from runtime.sources.cameras.pyav import PyAvStream
from runtime.sources.cameras.stream import Open


def open_source(request: SourceRequest) -> LiveSource:
    """The camera that `request.uri` names (see `runtime.sources.cameras.address`), connected and running.

    Raises SourceError where the URI is wrong, its library is missing, or the camera does not answer.
    """
    address = parse(request.uri)
    connect: Open = partial(GStreamerStream, address)
    if library_of(address) == "pyav":
        connect = partial(PyAvStream, address, SystemClock())
    return LiveSource(request, connect)


def library_of(address: Address) -> Library:
    """Through what a camera is read here: what its URI chooses, else GStreamer where it is, else PyAV."""
    if address.library is not None:
        return address.library
    try:
        gstreamer.load()
    except SourceError:
        return "pyav"
    return "gstreamer"
