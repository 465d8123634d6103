"""Real bytes and real messages made wrong: bytes flipped, cut, spliced; trees of values with one part exchanged."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

EXTREMES = (0, 1, -1, 127, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers at the edges of the types that formats use."""

HOSTILE_TEXTS = (
    "",
    "\x00",
    "a" * 4096,
    "../../etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\u202egnp.exe",
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "NaN",
    "-Infinity",
    "1e400",
    "%s%n",
    "😀" * 100,
    "{}",
    "null",
)


def mutated_bytes(random: Random, data: bytes, times: int = 0) -> bytes:
    """Some of the things that happen to bytes; `times` 0: one to four of them."""
    out = bytearray(data)
    for _ in range(times or random.choice((1, 1, 1, 2, 4))):
        random.choice(_BYTE_CHANGES)(random, out)
    return bytes(out)


def _flip(random: Random, out: bytearray) -> None:
    if out:
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)


def _replace(random: Random, out: bytearray) -> None:
    if out:
        out[random.randrange(len(out))] = random.choice((0, 0xFF, 0x7F, 0x80, random.randrange(256)))


def _cut(random: Random, out: bytearray) -> None:
    del out[random.randrange(len(out) + 1) :]


def _drop(random: Random, out: bytearray) -> None:
    start = random.randrange(len(out) + 1)
    del out[start : start + random.choice((1, 2, 8, 64, 4096))]


def _double(random: Random, out: bytearray) -> None:
    start = random.randrange(len(out) + 1)
    out[start:start] = out[start : start + random.choice((1, 9, 64, 4096))]


def _number(random: Random, out: bytearray) -> None:
    """An extreme number, in the place of one that may have been a length."""
    packed = struct.pack("<Q", random.choice(EXTREMES) % 2**64)[: random.choice((1, 2, 4, 8))]
    packed = packed if random.random() < 0.7 else packed[::-1]
    start = random.randrange(len(out) + 1)
    out[start : start + len(packed)] = packed


def _noise(random: Random, out: bytearray) -> None:
    start = random.randrange(len(out) + 1)
    out[start : start + random.randrange(16)] = random.randbytes(random.randrange(1, 32))


def _zero(random: Random, out: bytearray) -> None:
    start = random.randrange(len(out) + 1)
    size = min(len(out) - start, random.choice((4, 64, 512)))
    out[start : start + size] = bytes(size)


_BYTE_CHANGES: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip,
    _flip,
    _replace,
    _replace,
    _number,
    _number,
    _cut,
    _drop,
    _double,
    _noise,
    _zero,
)


def mutated_tree(random: Random, value: Any) -> Any:
    """A copy of a tree of lists, dicts and plain values in which one part is another one."""
    if random.random() < 0.1:
        return hostile_value(random)
    if isinstance(value, dict) and value:
        key = random.choice(list(value))
        out = dict(value)
        fate = random.random()
        if fate < 0.1:
            del out[key]
        elif fate < 0.15:
            out[random.choice(HOSTILE_TEXTS)] = hostile_value(random)
        else:
            out[key] = mutated_tree(random, value[key])
        return out
    if isinstance(value, list | tuple) and value:
        place = random.randrange(len(value))
        items = list(value)
        fate = random.random()
        if fate < 0.1:
            del items[place]
        elif fate < 0.15:
            items.insert(place, hostile_value(random))
        elif fate < 0.2:
            items *= random.choice((2, 17))
        else:
            items[place] = mutated_tree(random, value[place])
        return items
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.6:
        return random.choice((value + 1, value - 1, -value, random.choice(EXTREMES), -random.choice(EXTREMES)))
    if isinstance(value, bytes) and random.random() < 0.7:
        return mutated_bytes(random, value)
    return hostile_value(random)


def hostile_value(random: Random) -> Any:
    """A value of some type, seldom one that fits."""
    return random.choice(
        (
            None,
            True,
            random.choice(EXTREMES),
            -random.choice(EXTREMES),
            random.choice((0.0, -0.0, 1e308, -1e308, 5e-324, float("inf"), float("nan"))),
            random.choice(HOSTILE_TEXTS),
            random.randbytes(random.choice((0, 1, 32, 1000))),
            [],
            {},
            nested(random.choice((10, 200))),
        )
    )


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def deep_json(depth: int = 100_000) -> bytes:
    """JSON that goes deeper than any stack."""
    return b"[" * depth + b"]" * depth


def deep_msgpack(depth: int = 100_000) -> bytes:
    """The same as MessagePack."""
    return b"\x91" * depth + b"\x90"


def mutated_msgpack(random: Random, data: bytes) -> bytes:
    """MessagePack with its tree changed, its bytes changed, or something else altogether."""
    fate = random.random()
    if fate < 0.35:
        return mutated_bytes(random, data)
    if fate < 0.37:
        return deep_msgpack(random.choice((600, 5000, 100_000)))
    if fate < 0.39:  # as many elements as it says, and none of them
        return random.choice((b"\xdd", b"\xdf", b"\xc6", b"\xdb")) + struct.pack(">I", 2**32 - 1) + random.randbytes(8)
    try:
        return _packed(mutated_tree(random, msgspec.msgpack.decode(data)))
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        return mutated_bytes(random, data)


def mutated_json(random: Random, data: bytes) -> bytes:
    """JSON with its tree changed, its bytes changed, or something else altogether."""
    fate = random.random()
    if fate < 0.3:
        return mutated_bytes(random, data)
    if fate < 0.33:
        return deep_json(random.choice((600, 5000, 100_000)))
    try:
        tree = mutated_tree(random, json.loads(data))
    except ValueError:
        return mutated_bytes(random, data)
    return json.dumps(tree, default=lambda one: one.decode("latin-1")).encode("utf-8", "surrogatepass")


def _packed(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, TypeError, ValueError):
        return msgspec.msgpack.encode(str(value))
