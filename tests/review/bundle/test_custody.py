"""A bundle's custody log, from hand to hand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from review.bundle.choice import Request
from review.bundle.custody import add_line, custody_of
from review.bundle.make import make_bundle
from review.verify.custody import LARGEST_CUSTODY_BYTES, parse_custody
from review.verify.manifest import CUSTODY_NAME
from runtime.commands.main import main
from runtime.contracts.errors import RecordError, UsageError
from runtime.record.lock import shared
from tests.review.bundle.forging import Forger
from tests.runtime.record.small_disk import a_disk_that_takes

SMALL = Request(segments=(2,), topics=("/decision",))


def test_each_hand_adds_a_line_that_names_the_one_before(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    begun = custody_of(held.bundle)
    add_line(held.bundle, "handed on", "A. Keeper", "by courier")
    found = add_line(held.bundle, "received", "B. Expert", "seal of the parcel \x1b[2J unbroken")
    assert [(line.what, line.by) for line in found.lines] == [
        ("made", "A. Keeper"),
        ("handed on", "A. Keeper"),
        ("received", "B. Expert"),
    ]
    assert found.lines[1].previous == begun.head
    assert found.wrong == ()
    assert "\x1b" not in found.lines[2].note
    assert held.findings() == (), "the log grows, and the manifest does not speak of it"


def test_no_line_can_be_taken_out_or_changed_but_the_last(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    add_line(held.bundle, "handed on", "A. Keeper", "")
    add_line(held.bundle, "received", "B. Expert", "")
    path = held.bundle / CUSTODY_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for other in (lines[1:], [lines[0], lines[2]], [lines[1], lines[0], lines[2]]):
        path.write_bytes(b"".join(other))
        assert held.found() == {"custody-broken"}
        with pytest.raises(RecordError, match="does not hold"):
            add_line(held.bundle, "copied", "C.", "")
    path.write_bytes(b"".join(lines[:2]))
    assert held.findings() == (), "that the last was taken out, only its hash tells, kept elsewhere"


def test_a_clock_that_runs_behind_writes_no_line(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    path = held.bundle / CUSTODY_NAME
    fields = json.loads(path.read_bytes())
    fields["utc"] = "9999-12-31T23:59:59.999Z"
    path.write_bytes(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    with pytest.raises(RecordError, match="clock"):
        add_line(held.bundle, "received", "B.", "")


def test_a_log_without_end_is_not_gone_through() -> None:
    assert parse_custody(b"\n" * (2 << 20), "")[1] == ("it is too large for a custody log",)


def test_a_line_whose_time_is_none_or_earlier_is_told(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    add_line(held.bundle, "received", "B. Expert", "")
    path = held.bundle / CUSTODY_NAME
    first, second = path.read_bytes().splitlines(keepends=True)
    for utc, words in (("yesterday", "line 2 is none"), ("2020-01-01T00:00:00.000Z", "older than the line before")):
        fields = {**json.loads(second), "utc": utc}
        line = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        path.write_bytes(first + line)
        assert [words in one.text for one in held.findings()] == [True]


def test_the_command_shows_the_log_and_adds_to_it(
    forger: Callable[[Request], Forger], drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = forger(SMALL)
    command = ["custody", str(held.bundle)]
    assert main([*command, "--add", "received", "--by", "B. Expert", "--note", "whole"]) == 0
    assert "received by B. Expert: whole" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["lines"]) == 2
    assert main([*command, "--add", "received"]) == 2
    assert main([*command, "--by", "B."]) == 2
    shutil.copyfile(held.bundle / CUSTODY_NAME, tmp_path / "kept")
    (held.bundle / CUSTODY_NAME).write_bytes(b"")
    assert main(command) == 1
    packed = make_bundle(drive, SMALL, tmp_path / "packed", as_zip=True).bundle
    assert main(["custody", packed]) == 0
    with pytest.raises(UsageError, match="unpack"):
        add_line(Path(packed), "received", "B.", "")
    with pytest.raises(RecordError, match="goes with a bundle"):
        custody_of(drive)
    with shared(drive), pytest.raises(RecordError, match="goes with a bundle"):
        add_line(drive, "received", "B.", "")


def test_a_log_that_is_no_file_is_neither_waited_for_nor_followed(
    forger: Callable[[Request], Forger], tmp_path: Path
) -> None:
    held = forger(SMALL)
    path = held.bundle / CUSTODY_NAME
    elsewhere = path.rename(tmp_path / "elsewhere")
    before = elsewhere.read_bytes()
    path.symlink_to(elsewhere)
    with pytest.raises(RecordError, match="no file itself"):
        add_line(held.bundle, "received", "B. Expert", "")
    assert elsewhere.read_bytes() == before
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RecordError, match="no file itself"):
        custody_of(held.bundle)


def test_a_disk_that_takes_half_a_line_leaves_the_log_as_it_was(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    path = held.bundle / CUSTODY_NAME
    before = path.read_bytes()
    with a_disk_that_takes(len(before) + 100), pytest.raises(RecordError, match="cannot be written: File too large"):
        add_line(held.bundle, "received", "B. Expert", "a note that does not fit")
    assert path.read_bytes() == before
    assert len(add_line(held.bundle, "received", "B. Expert", "").lines) == 2


def test_who_adds_a_line_waits_for_who_adds_one_and_follows_it(forger: Callable[[Request], Forger]) -> None:
    held = forger(SMALL)
    with ThreadPoolExecutor(4) as hands:
        list(hands.map(lambda number: add_line(held.bundle, "copied", f"C. {number}", ""), range(40)))
    found = custody_of(held.bundle)
    assert (found.wrong, len(found.lines)) == ((), 41)


def test_a_line_for_which_the_log_has_no_room_is_refused_and_the_log_still_holds(
    forger: Callable[[Request], Forger],
) -> None:
    held = forger(SMALL)
    path = held.bundle / CUSTODY_NAME
    add_line(held.bundle, "received", "B. Expert", "x" * (LARGEST_CUSTODY_BYTES - 2000))
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"has room for 1\d{3} bytes more, and this line takes 2\d{3}"):
        add_line(held.bundle, "received", "B. Expert", "x" * 2000)
    assert path.read_bytes() == before
    assert add_line(held.bundle, "received", "B. Expert", "whole").wrong == ()
    assert held.findings() == ()
