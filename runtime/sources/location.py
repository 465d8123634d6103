"""What a source's URI or path says: a scheme, a place and options."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from runtime.contracts.errors import SourceError

DEFAULT_FRAME_RATE_HZ = 20.0
"""Of pictures that carry no time of their own. Another rate: `?frame_rate_hz=10` behind the path."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_URI = re.compile(r"://[^\s\"']+")
_NAMED_PASSWORD = re.compile(r"((?:password|passwd|pass|pwd|token|secret)=)[^&;/]+", re.IGNORECASE)
_MAX_FRAME_RATE_HZ = 1000.0


@dataclass(frozen=True, slots=True)
class Location:
    """A file or folder, and the options behind its `?`."""

    path: Path
    frame_rate_hz: float | None = None


def scheme_of(uri: str) -> str | None:
    """The scheme of a URI in lower case, None for a plain path."""
    match = _SCHEME.fullmatch(uri)
    return match.group(1).lower() if match else None


def without_password(text: str) -> str:
    """A URI, or a text with one in it, as it may be recorded and shown: passwords do not belong into evidence.

    Some cameras take theirs behind the host, as `?user=me&password=…` or `/user=me_password=…`.
    """
    text = re.sub(r"(?<=://)([^/@:\s]*):[^/\s]*@", r"\1:***@", text)
    return _URI.sub(lambda uri: _NAMED_PASSWORD.sub(r"\1***", uri[0]), text)


def located(uri: str) -> Location:
    """The place that a path or a `scheme://path` names.

    A name that exists is taken as it is written; otherwise what is behind its last `?` are options, and in a URI `%20`
    and the like are decoded. Raises SourceError where nothing is there, or on an option that is unknown or wrong.
    """
    match = _SCHEME.fullmatch(uri)
    text = match.group(2) if match else uri
    base, mark, query = text.rpartition("?")
    candidates = [(text, "")] + ([(base, query)] if mark else [])
    if match:
        candidates += [(unquote(name), options) for name, options in candidates]
    for name, options in candidates:
        if name and _exists(name):
            return Location(Path(name), _frame_rate(options, uri))
    raise SourceError(f"source {uri!r}: there is no such file or folder; check the path")


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _frame_rate(query: str, uri: str) -> float | None:
    rate = None
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key != "frame_rate_hz":
            raise SourceError(f"source {uri!r}: unknown option {key!r}; known here: frame_rate_hz")
        try:
            rate = float(value)
        except ValueError:
            rate = math.nan
        if not 0.0 < rate <= _MAX_FRAME_RATE_HZ:
            raise SourceError(
                f"source {uri!r}: frame_rate_hz is {value!r}; give a number above 0 and up to {_MAX_FRAME_RATE_HZ:g}"
            )
    return rate
