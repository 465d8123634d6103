"""What the command says, and where: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


class OutputRefusedError(Exception):
    """Standard output does not take what is written to it; the cause tells why."""


def emit(text: str) -> None:
    """Print a line for a person. Where standard output is closed, nobody wants it."""
    if sys.stdout is not None:
        with _refusals():
            sys.stdout.write(text + "\n")


def flush() -> None:
    """Bring all that was printed to whoever reads it."""
    if sys.stdout is not None:
        with _refusals():
            sys.stdout.flush()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputRefusedError(
            f"standard output cannot be written ({error.strerror}); redirect it elsewhere"
        ) from error


def emit_json(value: Any) -> None:
    """Print one JSON object (a Struct, a dataclass or plain values) for a script."""
    import msgspec

    emit(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def fail(message: str, *, json: bool) -> None:
    """Say on standard error what could not be done; where JSON was asked for, as an object with the one key `error`."""
    if json:
        import msgspec

        text = message.encode(errors="backslashreplace").decode()  # a path may hold bytes that are no text
        sys.stderr.write(msgspec.json.encode({"error": text}).decode() + "\n")
    else:
        sys.stderr.write(f"sightline: {message}\n")


def progress(total: int | None, label: str, *, quiet: bool = False) -> tqdm[Any]:
    """A progress bar on standard error, silent where that is no terminal or `quiet` is set."""
    from tqdm import tqdm

    return tqdm(total=total, desc=label, unit="frame", file=sys.stderr, disable=True if quiet else None, leave=False)
