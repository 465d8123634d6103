"""What no bundle is made of, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from runtime.contracts.errors import RecordError, UsageError
from runtime.contracts.topics import DECISION, STORED
from runtime.seal.keys import VehicleKey
from tests.models import tiny_policy
from tests.review.drives import record_drive, rewrite


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(incident=7), "no incident 7; there are: 0"),
        (Request(segments=(9,)), "no sealed segment 9; there are: 0, 1, 2"),
        (Request(incident=0, from_s=1.0), "give one of them"),
        (Request(cut=True), "give --incident NUMBER too"),
        (Request(from_s=2.0, to_s=1.0), "--to 1 lies before --from 2"),
        (Request(from_s=float("nan")), "seconds since the drive began"),
        (Request(from_s=1e8), "nothing of the drive drive lies there"),
        (Request(topics=("/nonsense",)), "no topic of what was chosen is /nonsense; there are: /attribution"),
        (Request(without_topics=(STORED.name,)), "belongs to every part"),
    ],
)
def test_what_the_drive_does_not_have_cannot_be_asked_for(
    drive: Path, tmp_path: Path, request_: Request, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_bundle(drive, request_, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_never_takes_the_place_of_another(drive: Path, tmp_path: Path) -> None:
    make_bundle(drive, Request(segments=(2,)), tmp_path)
    with pytest.raises(RecordError, match="is there already"):
        make_bundle(drive, Request(segments=(2,)), tmp_path)


def test_a_drive_without_seals_or_without_its_end_is_refused_with_the_reason(
    drive: Path, tmp_path: Path, key: VehicleKey
) -> None:
    unsealed = record_drive(tmp_path / "unsealed", tiny_policy(), 3)
    with pytest.raises(RecordError, match="has no seals"):
        make_bundle(unsealed, Request(), tmp_path / "out")
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    next(copy.glob("closing-*")).unlink()
    with pytest.raises(RecordError, match="is not closed"):
        make_bundle(copy, Request(), tmp_path / "out")


def test_nothing_is_cut_out_of_a_segment_that_is_not_as_it_was_sealed(
    drive: Path, tmp_path: Path, key: VehicleKey
) -> None:
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    without_people = Request(segments=(1,), without_people=True)
    was = (copy / "segment-0001.mcap").read_bytes()
    rewrite(copy / "segment-0001.mcap", lambda topic, _, data: b"{}" if topic == DECISION.name else data)
    with pytest.raises(RecordError, match=r"message \d+ of .*segment-0001.mcap is not the sealed one"):
        make_bundle(copy, without_people, tmp_path / "out")
    (copy / "segment-0001.mcap").write_bytes(was[: len(was) // 2])
    with pytest.raises(RecordError, match="is damaged"):
        make_bundle(copy, without_people, tmp_path / "out")
    (copy / "segment-0001.mcap").write_bytes(was)
    leaves = (copy / "segment-0001.leaves").read_bytes()
    (copy / "segment-0001.leaves").write_bytes(leaves[:-1])
    with pytest.raises(RecordError, match="leaves is not as it was sealed"):
        make_bundle(copy, without_people, tmp_path / "out")
    (copy / "segment-0001.leaves").write_bytes(leaves)
    assert not list((tmp_path / "out").glob("*")), "and nothing is left behind"
    (copy / "config.yaml").write_text("source: other.mp4\n", encoding="utf-8")
    report = make_bundle(copy, Request(segments=(1,)), tmp_path / "out")
    assert [one.kind for one in report.findings] == ["file-changed"], "a whole one is handed over as it is, and told"


def test_a_segment_that_is_not_there_is_not_passed_over(drive: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    (copy / "segment-0001.mcap").unlink()
    with pytest.raises(RecordError, match="is not there; ask for what is"):
        make_bundle(copy, Request(), tmp_path / "out")
    assert make_bundle(copy, Request(segments=(2,)), tmp_path / "out").findings == ()
    bundle = make_bundle(drive, Request(segments=(2,)), tmp_path / "made").bundle
    with pytest.raises(RecordError, match="make the bundle from the whole drive"):
        make_bundle(Path(bundle), Request(), tmp_path / "out")
