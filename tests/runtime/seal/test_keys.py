"""The vehicle's key."""

from __future__ import annotations

import json
import random
import stat
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.durable.disk import Disk
from runtime.access.allowed import AllowedClient, allow, allowed_clients, revoke
from runtime.access.keys import new_pair
from runtime.commands.main import main
from runtime.commands.run import describe
from runtime.contracts.config import default_config
from runtime.contracts.errors import SealError
from runtime.seal.envelope import is_signed_by, key_id_of, make_envelope, parse_envelope
from runtime.seal.keys import ensure_key, known_keys, load_key, new_key, rotate_key, rotation_files
from runtime.seal.rotation import successors
from runtime.supervise.launch import run_drive
from tests.runtime.record.small_disk import a_disk_that_takes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_new_key_is_ours_alone_and_is_there_again(folder: Path) -> None:
    made = new_key(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "signing.key").stat().st_mode) == 0o600
    again = load_key(folder)
    assert (again.key_id, again.public_key) == (made.key_id, made.public_key)
    assert known_keys(folder) == (made.public_key,)
    assert not list(folder.glob("*.tmp"))
    envelope = make_envelope("t", b"p", again.key_id, again.sign)
    assert is_signed_by(envelope, made.public_key)


def test_a_key_is_never_replaced_by_a_new_one(folder: Path) -> None:
    made = new_key(folder)
    with pytest.raises(SealError, match="sightline keys rotate"):
        new_key(folder)
    assert load_key(folder).key_id == made.key_id


@pytest.mark.parametrize(("what", "mode"), [("signing.key", 0o640), ("signing.key", 0o604), ("", 0o750)])
def test_a_key_that_others_can_get_at_is_refused_with_the_mend(folder: Path, what: str, mode: int) -> None:
    new_key(folder)
    (folder / what).chmod(mode)
    with pytest.raises(SealError, match=f"mode {mode:04o}.*chmod [67]00"):
        load_key(folder)
    with pytest.raises(SealError, match="chmod"):
        ensure_key(folder)


def test_no_key_and_a_damaged_key_are_told(folder: Path) -> None:
    with pytest.raises(SealError, match="sightline keys new"):
        load_key(folder)
    new_key(folder)
    (folder / "signing.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(SealError, match="no private key in PEM"):
        load_key(folder)


def test_runs_that_start_at_once_agree_on_one_key(folder: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_key(folder)[0].key_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {load_key(folder).key_id}


def test_after_a_rotation_the_old_key_leads_to_the_new_one_and_no_other_does(folder: Path, tmp_path: Path) -> None:
    first = new_key(folder)
    old, second = rotate_key(folder)
    _, third = rotate_key(folder)
    assert old.key_id == first.key_id
    assert load_key(folder).key_id == third.key_id
    assert set(known_keys(folder)) == {first.public_key, second.public_key, third.public_key}
    assert stat.S_IMODE((folder / "signing.key").stat().st_mode) == 0o600
    statements = [parse_envelope(path.read_bytes()) for path in rotation_files(folder)]
    assert set(successors([first.public_key], statements)) == {first.key_id, second.key_id, third.key_id}
    assert set(successors([second.public_key], statements)) == {second.key_id, third.key_id}
    assert successors([], statements) == {}
    stranger = new_key(tmp_path / "other")
    forged = make_envelope(statements[0].payload_type, statements[0].payload, first.key_id, stranger.sign)
    assert set(successors([first.public_key], [forged])) == {first.key_id}


def test_what_was_made_or_changed_survives_a_power_failure(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    folder = root / "share" / "sightline" / "keys"
    disk = Disk(root)
    with disk.recording():
        first = new_key(folder)
        disk.note("made")
        rotate_key(folder)
        disk.note("changed")
        allow(folder, AllowedClient("desk", "viewer", new_pair().public))
        revoke(folder, "desk")
        disk.note("revoked")
    assert disk.faithful()
    made, changed, revoked = (count + 1 for count, op in enumerate(disk.ops) if op.kind == "note")
    left = {}
    for count in range(made, revoked + 1):
        left[count] = tmp_path / str(count)
        disk.survivor(count, left[count], "nothing", random.Random(0))
        left[count] /= folder.relative_to(root)
        left[count].chmod(0o700)
        (left[count] / "signing.key").chmod(0o600)
        key = load_key(left[count])
        assert key.key_id == first.key_id or rotation_files(left[count]), (
            "no key without the statement that leads to it"
        )
        assert first.public_key in known_keys(left[count])
    assert load_key(left[made]).key_id == first.key_id
    new = load_key(left[changed])
    assert new.key_id != first.key_id
    assert known_keys(left[changed]) == (new.public_key, first.public_key)
    (left[revoked] / "connections.json").chmod(0o600)
    assert allowed_clients(left[revoked]) == ()


def test_the_command_makes_shows_and_changes_the_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--key-dir", str(folder), "--json"]
    assert main(["keys", "show", *where]) == 2
    assert "sightline keys new" in json.loads(capsys.readouterr().err)["error"]
    assert main(["keys", "new", *where]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["keys", "new", *where]) == 2
    capsys.readouterr()
    assert main(["keys", "rotate", *where]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["retired"] == [first["key_id"]]
    assert main(["keys", "show", "--key-dir", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert second["key_id"] in shown
    assert "-----BEGIN PUBLIC KEY-----" in shown
    assert str(folder / "signing.pub") in shown
    assert "PRIVATE" not in shown
    assert key_id_of(load_key(folder).public_key) == second["key_id"]


def test_a_first_run_says_once_that_it_made_a_key(folder: Path) -> None:
    config = default_config()
    config = replace(config, record=replace(config.record, key_dir=str(folder)))
    source = "proving-ground://lane?seed=7&duration_s=0.2"
    first = run_drive(config, source, folder.parent / "drives", "lockstep", lambda _: None)
    second = run_drive(config, source, folder.parent / "drives", "lockstep", lambda _: None)
    assert (first.key_made, second.key_made) == (str(folder), "")
    assert first.key_id == second.key_id == load_key(folder).key_id
    assert "signing.pub elsewhere" in describe(first)
    assert "signing key" not in describe(second)


def test_a_run_whose_key_others_can_read_does_not_begin(folder: Path) -> None:
    new_key(folder)
    (folder / "signing.key").chmod(0o644)
    config = default_config()
    config = replace(config, record=replace(config.record, key_dir=str(folder)))
    with pytest.raises(SealError, match="chmod 600"):
        run_drive(config, "proving-ground://lane?seed=7", folder.parent / "drives", "lockstep", lambda _: None)
    assert not (folder.parent / "drives").exists()


def test_a_public_half_that_was_not_written_any_more_follows_from_the_private_one(folder: Path) -> None:
    """Whoever made or changed the key was killed in between."""
    public = folder / "signing.pub"
    first = new_key(folder)
    written = public.read_bytes()
    public.unlink()
    assert load_key(folder).key_id == first.key_id
    assert public.read_bytes() == written
    _, second = rotate_key(folder)
    public.write_bytes(written)
    assert load_key(folder).key_id == second.key_id
    assert known_keys(folder) == (second.public_key, first.public_key)
    public.write_bytes(written)
    public.with_name(f"retired-{first.key_id[:16]}.pub").unlink()
    assert load_key(folder).key_id == second.key_id
    assert public.read_bytes() == written, "it may be that of a newer key than the one that was read a moment ago"


def test_a_public_half_that_the_disk_has_no_room_for_leaves_nothing_behind(folder: Path) -> None:
    made = new_key(folder)
    (folder / "signing.pub").unlink()
    with a_disk_that_takes(10):
        assert load_key(folder).key_id == made.key_id
    assert [path.name for path in folder.iterdir()] == ["signing.key"]


def test_a_key_that_the_disk_has_no_room_for_leaves_nothing_behind(folder: Path) -> None:
    with a_disk_that_takes(10), pytest.raises(SealError, match="can be made in"):
        new_key(folder)
    assert list(folder.iterdir()) == []


def test_a_key_that_cannot_be_made_is_told_with_the_reason_and_one_that_is_absent_with_its_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SealError, match=r"can be made in .*Not a directory; name another folder"):
        ensure_key(tmp_path / "file" / "keys")
    with pytest.raises(SealError, match=f"sightline keys new --key-dir {tmp_path}/none"):
        load_key(tmp_path / "none")
