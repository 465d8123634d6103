"""A recorded drive made wrong: bytes, records, chunks, messages, seals, names, and what stands behind a name."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from random import Random

import zstandard
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from benchmarks.fuzzing.folder_case import Entry
from benchmarks.fuzzing.mutation import EXTREMES, HOSTILE_TEXTS, mutated_bytes, mutated_json, mutated_msgpack
from runtime.record import scan
from runtime.seal.envelope import envelope_bytes, make_envelope, parse_envelope
from runtime.seal.keys import VehicleKey

Files = dict[str, bytes]
_CHUNK = 0x06
_BOMB_BYTES = (1 << 20, 1 << 28, 1 << 31, 1 << 33)


class FolderMutation:
    """Makes cases of one drive. `key` is its vehicle's: with it even a forged seal can be one that holds."""

    def __init__(self, files: Files, key: VehicleKey) -> None:
        self._files, self._key = files, key
        self._segments = [name for name in files if name.endswith(".mcap")]
        self._journals = [name for name in files if name.endswith(".journal")]
        self._texts = [name for name in files if name.endswith((".json", ".pub", ".yaml", ".leaves"))]
        self._bombs = {size: bomb(size) for size in _BOMB_BYTES}

    def case(self, random: Random) -> list[Entry]:
        """One case."""
        makers: tuple[tuple[int, Callable[[Random], list[Entry]]], ...] = (
            (25, self.bytes_of_a_file),
            (20, self.records),
            (25, self.messages),
            (8, self.chunk),
            (8, self.seal),
            (6, self.text),
            (8, self.names),
        )
        maker = random.choices([maker for _, maker in makers], [weight for weight, _ in makers])[0]
        return maker(random)

    def bytes_of_a_file(self, random: Random) -> list[Entry]:
        """Any file, its bytes changed."""
        small = random.random() < 0.4
        name = random.choice(self._texts if small else (self._segments + self._journals))
        return [Entry(name, "file", mutated_bytes(random, self._files[name]))]

    def text(self, random: Random) -> list[Entry]:
        """JSON, YAML, keys, leaves: their structure changed."""
        name = random.choice(self._texts)
        data = self._files[name]
        if name.endswith(".yaml"):
            hostile = random.choice((b"[" * 5000, b"a: &a [*a]\n", _laughs(), b"\x00", "\u0085: 1\n".encode()))
            return [Entry(name, "file", random.choice((hostile, data + hostile, mutated_bytes(random, data))))]
        if name.endswith(".json"):
            return [Entry(name, "file", mutated_json(random, data))]
        return [Entry(name, "file", mutated_bytes(random, data, 3))]

    def records(self, random: Random) -> list[Entry]:
        """A segment or journal whose records are dropped, doubled, swapped, or lie about their length."""
        name = random.choice(self._segments + self._journals)
        data = self._files[name]
        parts = [data[one.start - 9 : one.end] for one in scan.records(data, len(scan.MAGIC), len(data))]
        if not parts:
            return self.bytes_of_a_file(random)
        tail = data[len(scan.MAGIC) + sum(map(len, parts)) :]
        for _ in range(random.choice((1, 1, 2, 3))):
            place = random.randrange(len(parts))
            part = parts[place]
            fate = random.randrange(8)
            if fate == 0:
                del parts[place : place + random.choice((1, 1, 3))]
            elif fate == 1:
                parts.insert(random.randrange(len(parts)), part)
            elif fate == 2:
                other = random.randrange(len(parts))
                parts[place], parts[other] = parts[other], part
            elif fate == 3:
                parts[place] = part[:1] + struct.pack("<Q", random.choice(EXTREMES) % 2**64) + part[9:]
            elif fate == 4:
                parts[place] = bytes([random.randrange(256)]) + part[1:]
            elif fate == 5:
                parts[place] = part[:9] + mutated_bytes(random, part[9:])
            elif fate == 6:
                body = mutated_bytes(random, part[9:])
                parts[place] = part[:1] + struct.pack("<Q", len(body)) + body
            else:
                parts[place] = part[: random.randrange(len(part) + 1)]
            if not parts:
                break
        tail = tail if random.random() < 0.9 else mutated_bytes(random, tail)
        return [Entry(name, "file", scan.MAGIC + b"".join(parts) + tail)]

    def chunk(self, random: Random) -> list[Entry]:
        """A chunk that claims what it does not hold, or holds what nobody has room for."""
        name = random.choice(self._segments)
        data = self._files[name]
        found = [one for one in scan.records(data, len(scan.MAGIC), len(data)) if one.opcode == _CHUNK]
        if not found:
            return self.bytes_of_a_file(random)
        one = random.choice(found)
        size = random.choice(_BOMB_BYTES)
        if random.random() < 0.4:  # a bomb that is a chunk in every way
            return [
                Entry(name, "file", data[: one.start - 9] + forged_chunk(size, self._bombs[size]) + data[one.end :])
            ]
        claimed = random.choice((size, size, 2**40, 2**63, 0, 1, len(self._bombs[size])))
        kind = random.choice((b"zstd", b"zstd", b"zstd", b"", b"lz4", b"none", b"zstd" * 1000, b"\xff\xfe"))
        content = random.choice((self._bombs[size], b"", data[one.start + 60 : one.end], random.randbytes(99)))
        crc = random.choice((0, 1, zlib.crc32(content)))
        body = struct.pack("<QQQI", 0, 0, claimed, crc) + struct.pack("<I", len(kind)) + kind
        body += struct.pack("<Q", random.choice((len(content), len(content), 2**40, 0))) + content
        whole = struct.pack("<BQ", _CHUNK, len(body)) + body
        before = data[: one.start - 9]
        return [Entry(name, "file", before + whole + random.choice((data[one.end :], b"")))]

    def messages(self, random: Random) -> list[Entry]:
        """A segment written anew, all checksums right, with messages that nobody recorded."""
        name = random.choice(self._segments)
        rows = []
        try:
            with BytesIO(self._files[name]) as stream:
                rows = [
                    (schema, channel, message)
                    for schema, channel, message in make_reader(stream).iter_messages(log_time_order=False)
                ]
        except McapError:
            return self.bytes_of_a_file(random)
        chosen = set(random.sample(range(len(rows)), min(len(rows), random.choice((1, 1, 2, 5)))))
        if random.random() < 0.3:  # the header, and the marks, are what the rest is read by
            chosen |= {place for place, row in enumerate(rows) if row[1].topic in ("/drive/header", "/ledger/stored")}
        output = BytesIO()
        writer = Writer(output, compression=random.choice((CompressionType.ZSTD, CompressionType.NONE)))
        writer.start(profile=random.choice(("", "\x1b[2J")), library="fuzz")
        channels: dict[int, int] = {}
        for place, (schema, channel, message) in enumerate(rows):
            assert schema is not None
            if channel.id not in channels:
                odd = random.random() < 0.02
                number = writer.register_schema(
                    random.choice(HOSTILE_TEXTS) if odd else schema.name, schema.encoding, schema.data
                )
                topic = random.choice(HOSTILE_TEXTS) if odd else channel.topic
                encoding = random.choice(("", "cdr", channel.message_encoding)) if odd else channel.message_encoding
                channels[channel.id] = writer.register_channel(topic, encoding, number)
            data, times = message.data, (message.log_time, message.publish_time)
            sequence = message.sequence
            if place in chosen:
                json_like = channel.message_encoding == "json"
                data = mutated_json(random, data) if json_like else mutated_msgpack(random, data)
                if random.random() < 0.15:
                    times = (random.choice(EXTREMES) % 2**64, random.choice(EXTREMES) % 2**64)
                    sequence = random.choice(EXTREMES) % 2**32
            writer.add_message(channels[channel.id], times[0], data, times[1], sequence)
        if random.random() < 0.9:
            with BytesIO(self._files[name]) as stream:
                for note in make_reader(stream).iter_metadata():
                    values = dict(note.metadata)
                    if random.random() < 0.3:
                        values[random.choice(list(values))] = random.choice(
                            (*HOSTILE_TEXTS, *(str(number) for number in EXTREMES), "9" * 5000, "-" + "9" * 40)
                        )
                    writer.add_metadata(note.name, values)
        writer.finish()  # type: ignore[no-untyped-call]  # mcap types only parts
        return [Entry(name, "file", output.getvalue())]

    def seal(self, random: Random) -> list[Entry]:
        """A seal with another payload, signed again: the forger has the key."""
        names = [name for name in self._files if name.endswith(".seal.json")]
        if not names:
            return self.bytes_of_a_file(random)
        name = random.choice(names)
        envelope = parse_envelope(self._files[name])
        payload = mutated_json(random, envelope.payload)
        if random.random() < 0.2:
            fields = json.loads(self._files[name])
            fields["payload"] = base64.b64encode(payload).decode()
            return [Entry(name, "file", json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n")]
        forged = make_envelope(envelope.payload_type, payload, self._key.key_id, self._key.sign)
        entries = [Entry(name, "file", envelope_bytes(forged))]
        if random.random() < 0.3:
            entries += self.bytes_of_a_file(random)
        return _each_once(entries)

    def names(self, random: Random) -> list[Entry]:
        """Files that are gone, that change places, that are none, and names that nobody writes."""
        names = list(self._files)
        name = random.choice(names)
        odd = (
            "segment-9999999999999999999999.mcap",
            "segment-0007.mcap",
            "segment-0007.mcap.journal",
            "segment-0000.mcap.journal",
            "segment-00000.mcap",
            "segment-\u0663\u0663\u0663\u0663.mcap",
            "closing-0099.seal.json",
            "tombstone-0000.seal.json",
            "rotation-0000",
            "key-\x1b[2Jx.pub",
            "incidents.json",
            "incidents.json.tmp",
            "\x1b]0;gone\x07.mcap",
            "segment-0001.mcap.tmp",
            "model.onnx",
            "config.yaml",
        )
        where = random.choice((name, random.choice(odd)))
        other = self._files[random.choice(names)]
        change = random.choice(
            (
                Entry(name, "gone"),
                Entry(where, "fifo"),
                Entry(where, "folder"),
                Entry(where, "link", b"/dev/zero"),
                Entry(where, "link", b"/dev/stdin"),
                Entry(where, "link", where.encode()),
                Entry(where, "link", b"/proc/self/mem"),
                Entry(where, "link", b"."),
                Entry(where, "file", other),
                Entry(where, "file", b""),
                Entry(random.choice(odd), "file", self._files[name]),
            )
        )
        return [change]


def _each_once(entries: list[Entry]) -> list[Entry]:
    return list({entry.name: entry for entry in entries}.values())


def bomb(size: int) -> bytes:
    """So many zeros, compressed: 2 GiB are some 64 KiB."""
    packer = zstandard.ZstdCompressor(level=1).compressobj(size=size if size < 1 << 30 else -1)
    block = bytes(1 << 20)
    return b"".join([packer.compress(block) for _ in range(size >> 20)]) + packer.flush()


def forged_chunk(claimed: int, content: bytes) -> bytes:
    """A chunk record that claims so many bytes."""
    body = struct.pack("<QQQI", 0, 0, claimed, 0) + struct.pack("<I4sQ", 4, b"zstd", len(content)) + content
    return struct.pack("<BQ", _CHUNK, len(body)) + body


def _laughs() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return ("\n".join(lines) + "\n").encode()
