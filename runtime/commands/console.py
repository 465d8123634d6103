"""What the command says, and where: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
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
            sys.stdout.write(shown(text) + "\n")


def shown(text: str) -> str:
    """Text as a terminal may have it: what a record or a name holds could steer it, or hide what stands beside it; and
    not every terminal has every letter.
    """
    if _can_be_shown(text.replace("\n", "")):
        return text
    return "".join(one if one == "\n" or _can_be_shown(one) else ascii(one)[1:-1] for one in text)


def lines(of: Iterable[str]) -> str:
    """Text in lines, each of which stays one, whatever it tells of."""
    return "\n".join(one.replace("\n", "\\n") for one in of)


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

    emit(_json(value, indent=2))


def fail(message: str, *, json: bool) -> None:
    """Say on standard error what could not be done; where JSON was asked for, as an object with the one key `error`."""
    if json:
        sys.stderr.write(_json({"error": message}, indent=-1) + "\n")
    else:
        sys.stderr.write(f"sightline: {shown(message)}\n")


def _json(value: Any, *, indent: int) -> str:
    """JSON in which a letter that no terminal shows, or that the output's encoding lacks, is spelled by its number: the
    same values.
    """
    import msgspec

    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:  # the name of a file may hold bytes that are no text
        data = msgspec.json.encode(_as_text(msgspec.to_builtins(value)))
    text = msgspec.json.format(data, indent=indent).decode()
    if _can_be_shown(text.replace("\n", "")):
        return text
    return "".join(
        one if one == "\n" or _can_be_shown(one) else "".join(f"\\u{unit:04x}" for unit in _utf16(one)) for one in text
    )


def _as_text(value: Any) -> Any:
    """Plain values with every text's bytes that are none spelled out."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_text(one) for one in value]
    return value


def _can_be_shown(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


def _utf16(letter: str) -> tuple[int, ...]:
    data = letter.encode("utf-16-le", "surrogatepass")
    return tuple(int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2))


def progress(total: int | None, label: str, *, quiet: bool = False) -> tqdm[Any]:
    """A progress bar on standard error, silent where that is no terminal or `quiet` is set."""
    from tqdm import tqdm

    return tqdm(total=total, desc=label, unit="frame", file=sys.stderr, disable=True if quiet else None, leave=False)
