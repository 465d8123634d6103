"""A bundle on its way: as a zip file, and in the hands of an expert who has nothing of Sightline."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from review.reopen import find_drive
from review.verify.manifest import README_NAME, VERIFIER_NAME
from review.verify.unpack import opened
from runtime.commands.main import main
from runtime.contracts.errors import RecordError
from runtime.seal.envelope import public_key_pem
from runtime.seal.keys import VehicleKey
from tests.review.bundle.forging import Forger
from tests.review.bundle.test_forged import changed
from tests.review.verify.test_standalone import GUARD, REFUSED

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Made = Callable[[Request], Path]
PEOPLE = Request(from_s=0.5, to_s=1.5, without_people=True)


@pytest.fixture
def expert(tmp_path: Path, key: VehicleKey) -> Callable[..., tuple[int, str]]:
    """Runs the verifier that lies in a bundle, with a key that came another way."""
    public = tmp_path / "signing.pub"
    public.write_bytes(public_key_pem(key.public_key))

    def run(script: Path, what: Path, *options: str) -> tuple[int, str]:
        guard = GUARD.format(refused=(*REFUSED, "zstandard", "cv2", "onnxruntime"))
        command = [sys.executable, "-I", "-c", guard, str(script), str(what), "--key", str(public), *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_with_cryptography_alone_every_message_of_a_part_is_proven(
    made: Made, forger: Callable[[Request], Forger], expert: Callable[..., tuple[int, str]]
) -> None:
    bundle = made(PEOPLE)
    code, said = expert(bundle / VERIFIER_NAME, bundle, "--json")
    told = json.loads(said)
    assert (code, told["verdict"], told["level"]) == (0, "intact", "messages")
    assert [part["handed"] for part in told["bundle"]["parts"]] == ["part", "part", "left out"]
    held = forger(PEOPLE)
    held.rewrite(1, changed("/decision", payload=b"{}"))
    held.cover_up()
    code, said = expert(bundle / VERIFIER_NAME, held.bundle)
    assert code == 1
    assert "message-changed" in said
    assert "/decision, sequence 2" in said


def test_the_line_in_the_readme_verifies_the_bundle_as_it_stands_there(
    made: Made, tmp_path: Path, key: VehicleKey
) -> None:
    bundle = Path(shutil.copytree(made(PEOPLE), tmp_path / "given.evidence"))
    (tmp_path / "signing.pub").write_bytes(public_key_pem(key.public_key))
    text = (bundle / README_NAME).read_text(encoding="utf-8")
    [line] = [line.strip() for line in text.splitlines() if line.startswith("    python ")]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(line, shell=True, cwd=bundle, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, ": intact: " in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_verifier_in_a_bundle_takes_whole_segments_and_zip_files_too(
    drive: Path, tmp_path: Path, expert: Callable[..., tuple[int, str]]
) -> None:
    bundle = Path(make_bundle(drive, Request(segments=(0,)), tmp_path).bundle)
    assert expert(bundle / VERIFIER_NAME, bundle)[0] == 0
    packed = Path(make_bundle(drive, Request(segments=(0,)), tmp_path, as_zip=True).bundle)
    code, said = expert(bundle / VERIFIER_NAME, packed)
    assert (code, said.startswith(f"{packed}: intact")) == (0, True)
    with pytest.raises(RecordError, match="unpack it"):
        find_drive(packed)
    packed.write_bytes(packed.read_bytes()[:-100])
    code, said = expert(bundle / VERIFIER_NAME, packed)
    assert (code, "Traceback" in said) == (2, False)


def test_a_folder_that_holds_no_drive_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no drive; give"), opened(tmp_path):
        pass


def test_a_folder_that_holds_one_bundle_is_as_good_as_the_bundle(made: Made, tmp_path: Path) -> None:
    bundle = made(PEOPLE)
    copy = Path(shutil.copytree(bundle, tmp_path / "evidence" / bundle.name))
    with opened(tmp_path / "evidence") as found:
        assert (found.folder, found.is_bundle, found.shown) == (copy, True, str(copy))
    assert find_drive(tmp_path / "evidence") == copy / "drive"


def test_the_part_of_a_drive_in_a_bundle_is_verified_as_the_bundle(
    made: Made, tmp_path: Path, expert: Callable[..., tuple[int, str]]
) -> None:
    """It is what `sightline replay` prints; taken for a drive, it would lack all that was left out."""
    bundle = made(PEOPLE)
    (tmp_path / "linked").symlink_to(bundle / "drive")
    for path in (bundle / "drive", tmp_path / "linked"):
        with opened(path) as found:
            assert (found.folder, found.is_bundle, found.shown) == (bundle, True, str(bundle))
        assert expert(bundle / VERIFIER_NAME, path)[0] == 0


def test_what_was_handed_over_is_not_taken_up(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = made(PEOPLE)
    assert main(["recover", str(bundle / "drive")]) == 2
    assert f"was handed over of a drive, in the bundle {bundle}: nothing of it is taken up" in capsys.readouterr().err


def packed(path: Path, names: dict[str, bytes], *, link: bool = False, method: int = zipfile.ZIP_STORED) -> Path:
    """A zip file of these names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in names.items():
            info = zipfile.ZipInfo(name)
            if link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, data, method)
    return path


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/outside", "a/../../outside", "a\\outside", "a//b", "./a", "a\nb", "a/b/c/d/e"]
)
def test_a_zip_file_with_a_name_that_leads_elsewhere_is_not_unpacked(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "odd.zip", {name: b"x"})
    with pytest.raises(RecordError, match="which no bundle does"), opened(path):
        pytest.fail("it was unpacked")
    assert [one.name for one in tmp_path.iterdir()] == ["odd.zip"]


def test_a_zip_file_with_links_or_two_files_of_one_name_is_not_unpacked(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordError, match="which no bundle does"),
        opened(packed(tmp_path / "link.zip", {"x.evidence/manifest.json": b"/etc/passwd"}, link=True)),
    ):
        pytest.fail("it was unpacked")
    twice = packed(tmp_path / "same.zip", {"x/manifest.json": b"1", "x/MANIFEST.json": b"2"})
    with pytest.raises(RecordError, match="twice"), opened(twice):
        pytest.fail("it was unpacked")


def test_a_zip_file_with_another_before_it_is_not_unpacked(tmp_path: Path) -> None:
    """Some tools would unpack the first, and who verifies the last."""
    first, last = (packed(tmp_path / f"{n}.zip", {"x/manifest.json": b"%d" % n}) for n in (1, 2))
    last.write_bytes(first.read_bytes() + last.read_bytes())
    with pytest.raises(RecordError, match="before its files"), opened(last):
        pytest.fail("it was unpacked")


def test_a_zip_file_in_which_another_tool_could_find_other_files_is_not_unpacked(made: Made, tmp_path: Path) -> None:
    """Between the files, behind the list, or by another list: bytes that nobody verifies."""
    bundle = made(PEOPLE)
    path = tmp_path / "whole.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(bundle.rglob("*")):
            archive.write(one, Path(bundle.name) / one.relative_to(bundle))
        start = archive.start_dir
    data = path.read_bytes()
    with opened(path) as found:
        assert found.is_bundle

    def shifted(at: int) -> bytes:
        """Bytes put in there, and the place of the list of files told anew."""
        end = data[:at] + b"hidden" + data[at:]
        return end[:-6] + (start + 6).to_bytes(4, "little") + end[-2:]

    for odd in (shifted(start), data + b"hidden", data[:-2] + b"\x06\x00hidden"):
        path.write_bytes(odd)
        with pytest.raises(RecordError, match="bytes beside its files"), opened(path):
            pytest.fail("it was unpacked")


def test_a_zip_file_that_was_packed_anew_or_in_one_stream_is_as_good(made: Made, tmp_path: Path) -> None:
    bundle = made(PEOPLE)
    path = tmp_path / "streamed.zip"
    with path.open("wb") as file, zipfile.ZipFile(_Stream(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(bundle.rglob("*")):
            archive.write(one, one.relative_to(bundle))
    with zipfile.ZipFile(path) as archive:
        assert any(one.flag_bits & 8 for one in archive.infolist())
    with opened(path) as found:
        assert found.is_bundle


class _Stream(io.RawIOBase):
    """A file that cannot be gone back in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        return self._file.write(data)


def test_a_zip_file_that_holds_something_beside_its_bundle_is_not_taken_for_it(made: Made, tmp_path: Path) -> None:
    bundle = made(PEOPLE)
    path = tmp_path / "more.zip"
    for name in ("a.txt", f"{bundle.name}-2/manifest.json", "other/segment-0000.mcap"):
        with zipfile.ZipFile(path, "w") as archive:
            for one in sorted(bundle.rglob("*")):
                archive.write(one, Path(bundle.name) / one.relative_to(bundle))
            archive.writestr(name, b"nobody verifies it")
        with pytest.raises(RecordError, match="something beside its bundle"), opened(path):
            pytest.fail("it was taken")


def test_a_zip_file_whose_content_is_damaged_could_not_be_checked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.evidence/manifest.json", bytes(range(256)) * 64)
        place = archive.getinfo("x.evidence/manifest.json").header_offset + 30 + len("x.evidence/manifest.json")
    data = bytearray(path.read_bytes())
    data[place : place + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(RecordError, match="no zip file that can be read"), opened(path):
        pytest.fail("it was unpacked")
    path = packed(tmp_path / "y.zip", {"x.evidence/manifest.json": b"x"}, method=zipfile.ZIP_LZMA)
    with pytest.raises(RecordError, match="which no bundle does"), opened(path):
        pytest.fail("it was unpacked")


def test_a_zip_file_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "bomb.zip", {"x/manifest.json": b"small"})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = b"\xfe\xff\xff\xff"  # its uncompressed size
    entries = [bytes(data[place : data.rindex(b"PK\x05\x06")]).replace(b"x/man", b"%05d" % n) for n in range(20_000)]
    end = bytearray(data[data.rindex(b"PK\x05\x06") :])
    directory = b"".join(entries)
    end[8:12] = (20_000).to_bytes(2, "little") * 2
    end[12:16] = len(directory).to_bytes(4, "little")
    path.write_bytes(bytes(data[:place]) + directory + bytes(end))
    with pytest.raises(RecordError, match="more room"), opened(path):
        pytest.fail("it was unpacked")


def test_what_is_neither_drive_nor_bundle_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no zip", encoding="utf-8")
    for path, words in (
        (tmp_path / "text", "no zip file"),
        (packed(tmp_path / "other.zip", {"a.txt": b"x"}), "no bundle"),
        (tmp_path / "nowhere", "no folder"),
    ):
        with pytest.raises(RecordError, match=words), opened(path):
            pytest.fail("it was opened")
