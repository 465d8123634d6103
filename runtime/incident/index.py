"""The list of a drive's incidents in its folder: `incidents.json`, whole or not there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runtime.contracts.errors import RecordError
from runtime.contracts.incident import INDEX_NAME, IncidentIndex
from runtime.contracts.regular_file import read_regular
from runtime.record.on_disk import write_whole

_LARGEST_BYTES = 64 * 1024 * 1024
_INDEX = msgspec.json.Decoder(IncidentIndex)  # made at once: see runtime.contracts.topics


def write_index(drive_dir: Path, index: IncidentIndex) -> None:
    """Bring the list to the disk in place of the one before. Raises OSError where the disk refuses."""
    write_whole(drive_dir / INDEX_NAME, msgspec.json.format(msgspec.json.encode(index), indent=1))


def read_index(drive_dir: Path) -> IncidentIndex | None:
    """The list as it lies in a drive's folder; None where there is none. Raises RecordError on bytes that are no list,
    and on a disk that does not give them.
    """
    path = drive_dir / INDEX_NAME
    try:
        return _INDEX.decode(read_regular(path, _LARGEST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path} is damaged: {error}; the record itself holds the triggers too") from error
