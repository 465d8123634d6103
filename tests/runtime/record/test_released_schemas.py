"""Drives of every released schema stay readable: what an investigator recorded is not lost to a newer Sightline.

Each was made by the release itself, with `tests.models.tiny_policy()` written to tiny.onnx:
`sightline run --model tiny.onnx --source 'proving-ground://lane?seed=4&duration_s=0.3&width=64&height=36'`.
A change that breaks one of these tests needs a new schema version and a reader for the old one, not a new fixture.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from review.replay import replay
from runtime.contracts import topics
from runtime.contracts.messages import Header
from runtime.record.drive import open_drive

FIXTURES = Path(__file__).parents[2] / "fixtures"
RELEASED = sorted(FIXTURES.glob("drive-schema-*"))


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_every_message_of_a_released_drive_decodes(path: Path) -> None:
    drive = open_drive(path)
    assert drive.header.schema_version == int(path.name.rpartition("-")[2])
    decoded = [(message.row.name, message.decode()) for message in drive.messages(*topics.TOPICS)]
    assert drive.ledger().decided == 6
    assert {topics.HEADER.name, topics.DECISION.name, topics.LEDGER.name, topics.PICTURE.name} <= {
        name for name, _ in decoded
    }
    frames = list(drive.frames())
    assert [frame.sequence for frame in frames] == list(range(6))
    assert all(frame.input and frame.output and frame.decision and frame.attribution for frame in frames)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_every_decision_of_a_released_drive_is_made_again(path: Path) -> None:
    report = replay(path)
    assert report.verdict in ("identical", "within_tolerance")
    assert report.frames == 6


def test_there_is_a_drive_of_the_schema_that_is_written_now() -> None:
    written = {field.name: field.default for field in msgspec.structs.fields(Header)}["schema_version"]
    assert (FIXTURES / f"drive-schema-{written}").is_dir()
