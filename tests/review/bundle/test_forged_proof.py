"""Proofs that are none, and files that say more than the messages in them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap.writer import Writer

from review.bundle.choice import Request
from runtime.seal.part_file import part_name, proof_name
from tests.review.bundle.forging import Forger

PEOPLE = Request(without_people=True)
WINDOW = Request(from_s=0.5, to_s=1.5)
BOTH = Request(from_s=0.5, to_s=1.5, without_people=True)
Take = Callable[[Request], Forger]


def test_the_proof_of_another_segment_is_named(forger: Take) -> None:
    held = forger(PEOPLE)
    for name in (part_name, proof_name):
        (held.drive / name(1)).write_bytes((held.drive / name(0)).read_bytes())
    held.proof(1, lambda fields: fields.update(segment=1))
    held.cover_up()
    [found] = held.findings()
    assert (found.kind, found.segment) == ("proof-damaged", 1)
    assert found.text.endswith("it is the proof of segment 0")


def doubled_row(fields: dict[str, Any]) -> None:
    fields["kept"].insert(5, fields["kept"][5])


def unsorted_rows(fields: dict[str, Any]) -> None:
    fields["kept"][5], fields["kept"][6] = fields["kept"][6], fields["kept"][5]


def set_field(row: int, column: int, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields["kept"][row].__setitem__(column, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(doubled_row, "each comes once, in order", id="a place twice"),
        pytest.param(unsorted_rows, "each comes once, in order", id="out of order"),
        pytest.param(set_field(-1, 0, 10**6), "is not among", id="a place beyond the last"),
        pytest.param(set_field(-1, 0, 2**64), "where a number belongs", id="a huge place"),
        pytest.param(set_field(-1, 0, 10**3000), "3001 digits", id="an endless place"),
        pytest.param(set_field(0, 0, -1), "where a number belongs", id="a place before the first"),
        pytest.param(set_field(0, 0, True), "where a number belongs", id="no number"),
        pytest.param(set_field(0, 3, 10**6), "IndexError", id="a topic that it does not name"),
        pytest.param(set_field(3, 1, "00" * 15), "of another length", id="a short salt"),
        pytest.param(set_field(3, 1, "00" * 16), "does not lead to the root", id="another salt"),
        pytest.param(set_field(3, 2, "00" * 32), "does not lead to the root", id="another digest"),
        pytest.param(set_field(3, 2, "zz" * 32), "no proof of a part", id="no hexadecimal"),
        pytest.param(lambda fields: fields["hashes"].pop(), "fewer hashes", id="a hash less"),
        pytest.param(lambda fields: fields["hashes"].append("00" * 32), "more than its tree", id="a hash more"),
        pytest.param(lambda fields: fields["hashes"].append("00" * 31), "32 bytes", id="a short hash"),
        pytest.param(lambda fields: fields["kept"].pop(), "hash", id="a row less"),
        pytest.param(lambda fields: fields.update(segment=0), "of segment 0", id="another segment's number"),
        pytest.param(lambda fields: fields.update(more=1), "more than a proof", id="a field more"),
        pytest.param(lambda fields: fields.update(kept=7), "no proof of a part", id="no rows"),
    ],
)
def test_a_proof_that_is_none_is_refused_with_the_reason(
    forger: Take, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    held = forger(PEOPLE)
    held.proof(1, change)
    held.cover_up()
    [found] = held.findings()
    assert (found.kind, found.segment) == ("proof-damaged", 1)
    assert words in found.text


def test_a_proof_that_says_of_a_message_what_it_is_not_is_found(forger: Take) -> None:
    """By these words it is told what was left out."""
    for row, column, value in ((4, 3, 0), (4, 4, 4_000_000), (4, 5, 17)):
        held = forger(BOTH)
        held.proof(0, set_field(row, column, value))
        held.cover_up()
        assert "proof-damaged" in held.found()
        shutil.rmtree(held.bundle)


def test_a_proof_nested_without_end_is_refused(forger: Take) -> None:
    held = forger(PEOPLE)
    (held.drive / proof_name(1)).write_bytes(b"[" * 200_000)
    held.cover_up()
    assert held.found() == {"proof-damaged"}


def attached(path: Path) -> None:
    """An attachment beside the messages, which a reader shows."""
    output = io.BytesIO()
    writer = Writer(output)
    writer.start()
    with path.open("rb") as stream:
        _copied(stream, writer)
    writer.add_attachment(0, 0, "what really happened.txt", "text/plain", b"nothing")
    writer.finish()  # type: ignore[no-untyped-call]
    path.write_bytes(output.getvalue())


def compressed(path: Path) -> None:
    """The same messages as another tool writes them."""
    output = io.BytesIO()
    writer = Writer(output)
    writer.start()
    with path.open("rb") as stream:
        _copied(stream, writer)
    writer.finish()  # type: ignore[no-untyped-call]
    path.write_bytes(output.getvalue())


def _copied(stream: Any, writer: Writer) -> None:
    channels: dict[int, int] = {}
    for schema, channel, message in make_reader(stream).iter_messages(log_time_order=False):
        if channel.id not in channels:
            assert schema is not None
            number = writer.register_schema(schema.name, schema.encoding, schema.data)
            channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
        writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence)


def hidden_from_the_index(path: Path) -> None:
    """An index that passes over the second chunk, as a reader would that goes by it."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None and summary.statistics is not None
    count = summary.statistics.message_count.to_bytes(8, "little")
    place = data.rindex(count)
    data[place : place + 8] = (summary.statistics.message_count - 1).to_bytes(8, "little")
    path.write_bytes(bytes(data))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\x00" * 100)


@pytest.mark.parametrize("change", [attached, compressed, hidden_from_the_index, longer])
def test_what_a_reader_shows_beside_the_messages_cannot_be_forged(forger: Take, change: Callable[[Path], None]) -> None:
    held = forger(PEOPLE)
    change(held.drive / part_name(1))
    held.cover_up()
    assert [(one.kind, one.file) for one in held.findings()] == [("bytes-changed", part_name(1))]
