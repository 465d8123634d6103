"""Changes to a sealed drive, one at a time in a copy, each put right again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import zstandard
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.writer import Writer

from runtime.record.scan import OP_MESSAGE, records
from runtime.seal.leaves_file import SealedChunk, parse_leaves

Entry = tuple[Schema, Channel, Message]


@dataclass(frozen=True)
class Tampering:
    """What was done to a copy: to which file, and (where messages were meant) to which of them by their sealed place.

    `allowed`: messages that may be named; `hidden`: messages that may be said to be unreadable with their chunk;
    `named`: whether one of the allowed must be.
    """

    kind: str
    file: str
    allowed: range | frozenset[int]
    named: bool
    hidden: range = range(0)


class Tamperer:
    """Makes one change at a time to a copy of a drive, and puts it right again."""

    def __init__(self, drive: Path, other: Path, work: Path, seed: int) -> None:
        self._drive, self._other = drive, other
        self.copy = work / drive.name
        shutil.copytree(drive, self.copy)
        self._random = random.Random(seed)
        self._files = sorted(path.name for path in drive.iterdir())
        self._segments = [name for name in self._files if name.endswith(".mcap")]
        self._entries: dict[str, list[Entry]] = {}

    def changes(self, bytes_count: int, messages_count: int, segments_count: int) -> Iterator[Tampering]:
        """Every change, made in the copy while it is given out."""
        for number in range(bytes_count):
            # Every second one in a segment, the others in any file alike, so that the small ones have their turn.
            name = self._random.choice(self._segments if number % 2 else self._files)
            yield from self._with(self.flip_byte, name)
        for name in sorted(self._files):
            yield from self._with(self.flip_first_byte, name)
            yield from self._with(self.remove_file, name)
            yield from self._with(self.cut, name)
        makers = (self.change_message, self.remove_message, self.swap_messages, self.insert_message, self.copy_message)
        for number in range(messages_count):
            yield from self._with(makers[number % len(makers)], self._random.choice(self._segments))
        whole = (self.swap_segments, self.take_from_other, self.take_all_from_other, self.remove_with_seal)
        for number in range(segments_count):
            yield from self._with(whole[number % len(whole)], self._random.choice(self._segments))

    def _with(self, change: Callable[[str], Tampering], name: str) -> Iterator[Tampering]:
        yield change(name)
        for path in self.copy.iterdir():
            if not (self._drive / path.name).exists():
                path.unlink()
        for name_then in self._files:
            before, now = self._drive / name_then, self.copy / name_then
            if not now.exists() or now.read_bytes() != before.read_bytes():
                shutil.copyfile(before, now)

    def flip_byte(self, name: str) -> Tampering:
        """One byte becomes another."""
        return self._flip(name, self._random.randrange((self.copy / name).stat().st_size), "byte changed")

    def flip_first_byte(self, name: str) -> Tampering:
        """Where a file's kind is told."""
        return self._flip(name, 0, "first byte changed")

    def _flip(self, name: str, offset: int, kind: str) -> Tampering:
        path = self.copy / name
        data = bytearray(path.read_bytes())
        data[offset] = (data[offset] + self._random.randrange(1, 256)) % 256
        path.write_bytes(data)
        for chunk, messages in self._chunks(name):
            if chunk.start <= offset < chunk.end:
                sealed = (self._drive / name).read_bytes()[chunk.start : chunk.end]
                differ = _differing(sealed, bytes(data[chunk.start : chunk.end]))
                allowed = frozenset(messages) if differ is None else frozenset(messages[place] for place in differ)
                return Tampering(kind, name, allowed, False, messages)
        return Tampering(kind, name, frozenset(), False)

    def _chunks(self, name: str) -> Iterator[tuple[SealedChunk, range]]:
        """A segment's chunks with their messages; none of another file."""
        if name in self._segments:
            leaves = parse_leaves((self._drive / name).with_suffix(".leaves").read_bytes())
            ends = [*(chunk.first_message for chunk in leaves.chunks[1:]), len(leaves.messages)]
            for chunk, end in zip(leaves.chunks, ends, strict=True):
                yield chunk, range(chunk.first_message, end)

    def remove_file(self, name: str) -> Tampering:
        """A file is gone."""
        (self.copy / name).unlink()
        return Tampering("file removed", name, frozenset(), False)

    def cut(self, name: str) -> Tampering:
        """A file's tail is gone."""
        path = self.copy / name
        size = path.stat().st_size
        cut = self._random.randrange(size)
        with path.open("r+b") as file:
            file.truncate(cut)
        lost = [messages for chunk, messages in self._chunks(name) if chunk.end > cut]
        hidden = range(lost[0].start, lost[-1].stop) if lost else range(0)
        return Tampering("file cut", name, hidden, False, hidden)

    def change_message(self, name: str) -> Tampering:
        """One byte of one payload, or one time, everything else written anew around it."""
        entries = self.entries(name)
        index = self._random.randrange(len(entries))
        schema, channel, message = entries[index]
        data = bytearray(message.data)
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        entries[index] = (schema, channel, _with(message, data=bytes(data)))
        self.write(name, entries)
        return Tampering("message changed", name, frozenset({index}), True)

    def remove_message(self, name: str) -> Tampering:
        """One message is left out."""
        entries = self.entries(name)
        index = self._random.randrange(len(entries))
        del entries[index]
        self.write(name, entries)
        return Tampering("message removed", name, frozenset({index}), True)

    def swap_messages(self, name: str) -> Tampering:
        """Two messages change places."""
        entries = self.entries(name)
        one, two = self._random.sample(range(len(entries)), 2)
        entries[one], entries[two] = entries[two], entries[one]
        self.write(name, entries)
        return Tampering("messages swapped", name, frozenset({one, two}), True)

    def insert_message(self, name: str) -> Tampering:
        """A message that nobody recorded, like one that was."""
        entries = self.entries(name)
        index = self._random.randrange(1, len(entries))
        schema, channel, message = entries[index - 1]
        made = _with(message, log_time=message.log_time + 1, sequence=message.sequence + 1, data=message.data + b" ")
        entries.insert(index, (schema, channel, made))
        self.write(name, entries)
        return Tampering("message inserted", name, frozenset({index}), True)

    def copy_message(self, name: str) -> Tampering:
        """A recorded message once more, elsewhere."""
        entries = self.entries(name)
        index, original = self._random.randrange(1, len(entries)), self._random.randrange(len(entries))
        entries.insert(index, entries[original])
        self.write(name, entries)
        # Which of the two is the copy cannot be told; what stands between them is as it was.
        return Tampering("message doubled", name, frozenset({index, original, original + 1}), True)

    def swap_segments(self, name: str) -> Tampering:
        """Two segments under each other's name."""
        other = self._random.choice([one for one in self._segments if one != name])
        first, second = (self.copy / name).read_bytes(), (self.copy / other).read_bytes()
        (self.copy / name).write_bytes(second)
        (self.copy / other).write_bytes(first)
        return Tampering("segments swapped", name, frozenset(), False)

    def take_from_other(self, name: str) -> Tampering:
        """The other drive's segment in the place of this one's."""
        shutil.copyfile(self._other / name, self.copy / name)
        return Tampering("segment of another drive", name, frozenset(), False)

    def take_all_from_other(self, name: str) -> Tampering:
        """The same with its leaves and its seal, which the same vehicle signed."""
        for path in (self._other / name, *self._other.glob(f"{Path(name).stem}.*")):
            shutil.copyfile(path, self.copy / path.name)
        return Tampering("segment of another drive, with its seal", name, frozenset(), False)

    def remove_with_seal(self, name: str) -> Tampering:
        """A segment taken out with all that speaks of it."""
        for path in self.copy.glob(f"{Path(name).stem}.*"):
            path.unlink()
        return Tampering("segment removed with its seal", name, frozenset(), False)

    def entries(self, name: str) -> list[Entry]:
        """A sealed segment's messages in the order of the file."""
        if name not in self._entries:
            with (self._drive / name).open("rb") as stream:
                found = list(make_reader(stream).iter_messages(log_time_order=False))
            self._entries[name] = [(schema, channel, message) for schema, channel, message in found if schema]
        return list(self._entries[name])

    def write(self, name: str, entries: list[Entry]) -> None:
        """A segment as any MCAP tool writes it."""
        output = BytesIO()
        writer = Writer(output)
        writer.start()
        channels: dict[int, int] = {}
        for schema, channel, message in entries:
            if channel.id not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
            writer.add_message(
                channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence
            )
        writer.finish()  # type: ignore[no-untyped-call]  # mcap types only parts
        (self.copy / name).write_bytes(output.getvalue())


def _differing(sealed: bytes, changed: bytes) -> list[int] | None:
    """Which messages of a chunk (its record's bytes) its change touched, as it decompresses now; None: its schemas
    or channels too, so all.
    """
    before, now = _content(sealed), _content(changed)
    if before is None or now is None or len(before) != len(now):
        return []
    found = list(records(before, 0, len(before)))
    differ = [before[one.start - 9 : one.end] != now[one.start - 9 : one.end] for one in found]
    if any(one for one, about in zip(differ, found, strict=True) if about.opcode != OP_MESSAGE):
        return None
    messages = [one for one, about in zip(differ, found, strict=True) if about.opcode == OP_MESSAGE]
    return [place for place, one in enumerate(messages) if one]


def _content(chunk: bytes) -> bytes | None:
    data = chunk[9 + 28 + 4 + len("zstd") + 8 :]
    size = int.from_bytes(chunk[25:33], "little")
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=min(size, 1 << 26))
    except zstandard.ZstdError:
        return None


def _with(message: Message, **changes: object) -> Message:
    fields = {"channel_id": message.channel_id, "log_time": message.log_time, "data": message.data}
    fields |= {"publish_time": message.publish_time, "sequence": message.sequence}
    return Message(**{**fields, **changes})  # type: ignore[arg-type]  # the same names
