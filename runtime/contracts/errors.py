"""The one exception tree.

SightlineError           could not do it: exit code 2
├── UsageError           the command line asks for something that does not exist
├── ConfigError          a configuration file or value is wrong
├── SourceError          frames cannot be had from where they were asked for
│   └── DriveOverError   the vehicle has had its last command: one that comes later is not given, and not missed
├── ModelError           an ONNX file breaks the model contract
├── ExportError          an export is refused by its own gates, or cannot be written
├── EngineError          a back-end cannot run the model on this machine
├── LinkError            a socket, endpoint or shared-memory ring cannot be used
├── RecordError          a drive cannot be written or read
├── AccessError          a connection's key, or the list of who may connect, cannot be used
└── SealError            a signing key or a seal cannot be used

Every message says what happened, where, with which value, and how to mend it.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command answers to the shell."""

    YES = 0
    NO = 1  # diverged, tampered, incidents found where none were allowed
    COULD_NOT = 2


class SightlineError(Exception):
    """Base of every error that a user can mend; its text is shown without a traceback."""


class UsageError(SightlineError):
    """The command line asks for something that does not exist."""


class ConfigError(SightlineError):
    """A configuration file or value is wrong."""


class SourceError(SightlineError):
    """Frames cannot be had from where they were asked for."""


class DriveOverError(SourceError):
    """The vehicle has had its last command: one that comes later is not given, and not missed."""


class ModelError(SightlineError):
    """An ONNX file breaks the model contract."""


class ExportError(SightlineError):
    """An export is refused by its own gates, or cannot be written."""


class EngineError(SightlineError):
    """A back-end cannot run the model on this machine."""


class LinkError(SightlineError):
    """A socket, an endpoint or a shared-memory ring cannot be used."""


class RecordError(SightlineError):
    """A drive cannot be written or read."""


class AccessError(SightlineError):
    """A connection's key, or the list of who may connect, cannot be used."""


class SealError(SightlineError):
    """A signing key or a seal cannot be used."""
