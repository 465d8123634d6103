"""What a target of the fuzz is: it makes inputs out of chance, takes them, and says what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol


@dataclass(frozen=True)
class Outcome:
    """What became of one case: how many inputs it held, how many of them were taken and how many refused.

    `peak_mib`: what a process other than this one needs more than before.
    """

    inputs: int
    accepted: int
    refused: int
    peak_mib: float = 0.0


class BrokenPromiseError(AssertionError):
    """Something that must hold whatever comes in does not."""


class Target(Protocol):
    """One reader of foreign bytes. `take` raises whatever is wrong: any exception is a finding."""

    def case(self, random: Random) -> bytes:
        """The next case, made by `random` and nothing else."""
        ...

    def take(self, case: bytes) -> Outcome:
        """Feed a case to the real thing, and check what must hold afterwards."""
        ...

    def keep(self, case: bytes, path: Path) -> None:
        """Write a case so that `load` gives it back elsewhere."""
        ...

    def load(self, path: Path) -> bytes:
        """A case that was kept."""
        ...

    def smaller(self, case: bytes) -> list[bytes]:
        """Simpler cases that may show the same, the simplest first."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class ByBytes:
    """Keeps a case as the file that it is."""

    def keep(self, case: bytes, path: Path) -> None:
        """Write the bytes."""
        path.write_bytes(case)

    def load(self, path: Path) -> bytes:
        """Read them again."""
        return path.read_bytes()

    def smaller(self, case: bytes) -> list[bytes]:
        """Halves, and the bytes without one stretch."""
        size = len(case)
        step = max(1, size // 16)
        return [case[: size // 2], case[size // 2 :], *(case[:at] + case[at + step :] for at in range(0, size, step))]
