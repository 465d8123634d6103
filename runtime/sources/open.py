"""One way in to every source: by the scheme of its URI, or by what lies at its path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from runtime.contracts import registry
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Source, SourceRequest
from runtime.sources.location import located, scheme_of
from runtime.sources.pictures import is_picture

UDACITY_LOG = "driving_log.csv"
BAG_FOLDER = "metadata.yaml"  # of rosbag2

_BY_SUFFIX = {".csv": "udacity", ".bag": "rosbag", ".db3": "rosbag", ".mcap": "rosbag"}


def open_source(request: SourceRequest) -> Source:
    """Open what `request.uri` names.

    `scheme://…` goes to the source registered under that name. A path, or `file://…`, is a Udacity-simulator log
    (the csv file or its folder), a ROS bag (`.bag`, `.db3`, `.mcap`, or a folder with `metadata.yaml`), a folder of
    images, or else a video file. Raises SourceError naming what there is instead.
    """
    return _opener(request.uri)(request)


def check_address(uri: str) -> None:
    """Raise SourceError where the source of a URI would refuse what it says. Nothing is opened.

    Asked is what the module of a source may have beside the function that it registers: a `check_address` that takes
    the URI. One that has none is not asked.
    """
    check = getattr(sys.modules[_opener(uri).__module__], "check_address", None)
    if check is not None:
        check(uri)


def source_name(uri: str) -> str:
    """The name under which a source for the URI would be registered: its scheme, or by what lies at its path. Raises
    SourceError where nothing does.
    """
    if not uri:
        raise SourceError("no source is named; give a path or a URI, e.g. --source drive.mp4")
    scheme = scheme_of(uri)
    return _kind(located(uri).path) if scheme is None or scheme == "file" else scheme


def _opener(uri: str) -> Callable[[SourceRequest], Source]:
    name = source_name(uri)
    registered = registry.names("sightline.sources")
    if name not in registered:
        raise SourceError(
            f"source {uri!r}: no source is registered for {name}://; there are: "
            f"{', '.join(f'{known}://' for known in registered)}, file:// and plain paths"
        )
    return cast(Callable[[SourceRequest], Source], registry.load("sightline.sources", name))


def _kind(path: Path) -> str:
    if path.is_file():
        return _BY_SUFFIX.get(path.suffix.lower(), "video")
    if not path.is_dir():
        raise SourceError(f"source {str(path)!r} is neither a file nor a folder; a camera has a scheme of its own")
    if (path / UDACITY_LOG).is_file():
        return "udacity"
    if (path / BAG_FOLDER).is_file():
        return "rosbag"
    if any(is_picture(entry) for entry in path.iterdir()):
        return "images"
    raise SourceError(
        f"source {str(path)!r}: the folder holds neither {UDACITY_LOG} nor a bag's {BAG_FOLDER} nor an image; give a "
        "folder of any of these"
    )
