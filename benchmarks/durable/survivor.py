"""What a power failure leaves of a folder, from what was done to it and what of that was synced."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

_SECTOR = 512
Keep = Literal["nothing", "all", "some"]


@dataclass(frozen=True)
class Op:
    """One thing that was done. `inode` is our own number of a file, never used twice; folders go by their path."""

    kind: Literal["write", "truncate", "sync", "sync-folder", "link", "unlink", "rename", "folder", "note"]
    inode: int = -1
    path: str = ""  # relative to the root
    to: str = ""
    offset: int = 0
    data: bytes = b""
    note: Any = None


@dataclass
class _File:
    """What of a file is on the disk, and what is on its way there."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)


def survivor(ops: list[Op], keep: Keep, chance: random.Random) -> dict[str, bytes | None]:
    """The names that are there (None: a folder) with their contents, where of what was not synced nothing, all, or
    anything is kept.
    """
    return _tree(*_replay(ops), keep=keep, chance=chance)


def _replay(ops: list[Op]) -> tuple[dict[int, _File], dict[str, list[Op]], dict[str, int | None]]:
    """Files, what is pending in each folder, and the names that are there for sure (None: a folder)."""
    files: dict[int, _File] = {}
    pending: dict[str, list[Op]] = {}
    names: dict[str, int | None] = {}
    for op in ops:
        if op.kind in ("write", "truncate"):
            files.setdefault(op.inode, _File()).pending.append(op)
        elif op.kind == "sync":
            file = files.setdefault(op.inode, _File())
            for one in file.pending:
                _apply(file.synced, one)
            file.pending.clear()
        elif op.kind == "sync-folder":
            for one in pending.pop("" if op.path == "." else op.path, []):
                _name(names, one)
        elif op.kind != "note":
            folder = os.path.dirname(op.to or op.path)  # noqa: PTH120
            pending.setdefault(folder, []).append(op)
    return files, pending, names


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _name(names: dict[str, int | None], op: Op) -> None:
    if op.kind == "link":
        names[op.path] = op.inode
    elif op.kind == "folder":
        names[op.path] = None
    elif op.kind == "unlink":
        names.pop(op.path, None)
    elif op.kind == "rename":
        names.pop(op.path, None)
        names[op.to] = op.inode


def _tree(
    files: dict[int, _File],
    pending: dict[str, list[Op]],
    names: dict[str, int | None],
    *,
    keep: Keep,
    chance: random.Random,
) -> dict[str, bytes | None]:
    """The names with their contents, where of what was not synced nothing, all, or anything is kept."""
    there = dict(names)
    for ops in pending.values():
        for op in ops:
            if keep == "all" or (keep == "some" and chance.random() < 0.5):
                _name(there, op)
    tree: dict[str, bytes | None] = {}
    for path, inode in there.items():
        parents = [str(parent) for parent in Path(path).parents if str(parent) != "."]
        if all(parent in there for parent in parents):  # in a folder that is not there, nothing is
            tree[path] = None if inode is None else _survived(files.get(inode, _File()), keep, chance)
    return tree


def _survived(file: _File, keep: Keep, chance: random.Random) -> bytes:
    content = bytearray(file.synced)
    if keep == "nothing":
        return bytes(content)
    for op in file.pending:
        if op.kind == "truncate" or keep == "all":
            if keep == "all" or chance.random() < 0.5:
                _apply(content, op)
            continue
        for start, end in _sectors(op.offset, op.offset + len(op.data)):
            if chance.random() < 0.5:
                _apply(content, Op("write", offset=start, data=op.data[start - op.offset : end - op.offset]))
    if keep == "some" and file.pending and chance.random() < 0.25:  # the size came to the disk, and more data did not
        last = file.pending[-1]
        content.extend(bytes(max(0, last.offset + len(last.data) - len(content))))
    return bytes(content)


def _sectors(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        edge = min(end, (start // _SECTOR + 1) * _SECTOR)
        yield start, edge
        start = edge
