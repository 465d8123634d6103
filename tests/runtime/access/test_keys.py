"""Keys of connections, the list of who may connect, and the command that keeps both."""

from __future__ import annotations

import json
import multiprocessing
import random
import stat
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import zmq.auth
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from benchmarks.durable.disk import Disk
from runtime.access.allowed import LIST_NAME, AllowedClient, AllowList, allow, allowed_clients, revoke
from runtime.access.keys import (
    ConnectionKey,
    client_key,
    ensure_server_key,
    is_key,
    load_pair,
    make_pair,
    new_client,
    new_pair,
    public_key,
    server_key,
)
from runtime.access.roles import Role
from runtime.commands.main import main
from runtime.contracts.errors import AccessError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def a_client(name: str = "tablet", role: Role = "viewer") -> AllowedClient:
    return AllowedClient(name, role, new_pair().public)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_vehicles_key_is_ours_alone_and_any_zeromq_reads_it(folder: Path) -> None:
    made = ensure_server_key(folder)
    assert (mode(folder), mode(folder / "connection.key")) == (0o700, 0o600)
    assert ensure_server_key(folder) == server_key(folder) == made
    public, secret = zmq.auth.load_certificate(folder / "connection.key")
    assert (public.decode(), (secret or b"").decode()) == (made.public, made.secret)
    assert public_key(str(folder / "connection.pub")) == made.public
    assert made.secret not in (folder / "connection.pub").read_text()
    assert made.secret not in repr(made)
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize(("what", "bits"), [("connection.key", 0o644), ("connection.key", 0o620), ("", 0o750)])
def test_a_key_that_others_can_get_at_is_refused_with_the_mend(folder: Path, what: str, bits: int) -> None:
    ensure_server_key(folder)
    (folder / what).chmod(bits)
    with pytest.raises(AccessError, match=f"mode {bits:04o}.*chmod [67]00"):
        ensure_server_key(folder)


def test_a_clients_key_that_others_can_get_at_is_refused(folder: Path) -> None:
    new_client(folder, "tablet")
    (folder / "clients" / "tablet.key").chmod(0o644)
    with pytest.raises(AccessError, match="chmod 600"):
        client_key(folder, "tablet")


@pytest.mark.parametrize("damage", ["", "\x00\xff", 'public-key = "abc"', "halves of two pairs"])
def test_a_damaged_pair_is_told(folder: Path, damage: str) -> None:
    made = ensure_server_key(folder)
    path = folder / "connection.key"
    text = path.read_text().replace(made.secret, new_pair().secret) if "halves" in damage else damage
    path.write_text(text, encoding="latin-1")
    with pytest.raises(AccessError, match="no pair of keys"):
        server_key(folder)


def test_runs_that_start_at_once_agree_on_one_key(folder: Path) -> None:
    found: list[ConnectionKey] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_server_key(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [server_key(folder)] * 8


def test_a_clients_pair_is_never_replaced(folder: Path) -> None:
    made = new_client(folder, "tablet")
    with pytest.raises(AccessError, match="already"):
        new_client(folder, "tablet")
    assert client_key(folder, "tablet") == made
    with pytest.raises(AccessError, match="sightline keys client other"):
        client_key(folder, "other")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a b", "-a", "a" * 65, "ä", "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(AccessError, match="no name of a client"):
        new_client(folder, name)


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_are_a_key_in_z85(data: bytes) -> None:
    assert is_key(z85.encode(data).decode())


@given(st.text(max_size=60))
def test_a_text_is_a_key_only_where_zeromq_takes_it_for_one(text: str) -> None:
    assert not is_key(text) or len(z85.decode(text.encode())) == 32


@pytest.mark.parametrize("text", ["nothing/there", "a\x00b", "#" * 41, "~" * 40])
def test_what_is_no_public_key_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(AccessError):
        public_key(text)
    (tmp_path / "x.pub").write_bytes(b"\xff" * 100_000)
    with pytest.raises(AccessError, match="no public key"):
        public_key(str(tmp_path / "x.pub"))
    with pytest.raises(AccessError, match="is no file"):
        public_key(str(tmp_path))


def test_who_is_entered_is_on_the_list_and_who_is_taken_off_is_not(folder: Path) -> None:
    tablet, desk = a_client("tablet"), a_client("desk", "marker")
    allow(folder, tablet)
    allow(folder, desk)
    assert allowed_clients(folder) == (tablet, desk)
    assert mode(folder / LIST_NAME) == 0o600
    assert revoke(folder, "tablet") == tablet
    assert allowed_clients(folder) == (desk,)
    with pytest.raises(AccessError, match="there is: desk"):
        revoke(folder, "tablet")


def test_a_name_or_a_key_is_entered_once(folder: Path) -> None:
    tablet = a_client()
    allow(folder, tablet)
    for again in (a_client("tablet", "driver"), AllowedClient("other", "driver", tablet.public_key)):
        with pytest.raises(AccessError, match="sightline keys revoke tablet"):
            allow(folder, again)
    assert allowed_clients(folder) == (tablet,)


AT_ONCE = 40


def _enter(folder: Path, clients: list[AllowedClient], begin: Barrier) -> None:
    begin.wait(60.0)
    for client in clients:
        allow(folder, client)


def _strike_off(folder: Path, names: list[str], begin: Barrier) -> None:
    begin.wait(60.0)
    for name in names:
        revoke(folder, name)


def test_who_is_taken_off_while_others_are_entered_does_not_come_back_and_none_is_lost(folder: Path) -> None:
    old = [a_client(f"old{index}", "driver") for index in range(AT_ONCE)]
    new = [a_client(f"new{index}") for index in range(2 * AT_ONCE)]
    for client in old:
        allow(folder, client)
    processes = multiprocessing.get_context("spawn")
    begin = processes.Barrier(3)
    jobs = [
        processes.Process(target=_strike_off, args=(folder, [client.name for client in old], begin)),
        processes.Process(target=_enter, args=(folder, new[:AT_ONCE], begin)),
        processes.Process(target=_enter, args=(folder, new[AT_ONCE:], begin)),
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert {client.name for client in allowed_clients(folder)} == {client.name for client in new}


def test_the_list_is_read_again_when_it_changes(folder: Path) -> None:
    always, tablet = a_client("this-run-driver", "driver"), a_client()
    live = AllowList(folder, [always])
    assert live.keys("link") == {always.public_key}
    allow(folder, tablet)
    assert live.keys("viewers") == {always.public_key, tablet.public_key}
    assert live.keys("marks") == frozenset()
    revoke(folder, "tablet")
    assert live.keys("viewers") == {always.public_key}


@pytest.mark.parametrize("damage", ["mode", "folder", "text", "key", "role"])
def test_a_list_that_cannot_be_trusted_lets_nobody_in_but_the_run_itself(folder: Path, damage: str) -> None:
    always = a_client("this-run-driver", "driver")
    allow(folder, a_client())
    live = AllowList(folder, [always])
    assert len(live.keys("viewers")) == 2
    path = folder / LIST_NAME
    if damage == "mode":
        path.chmod(0o666)
    elif damage == "folder":
        folder.chmod(0o777)
    else:
        changed = {"text": "{", "key": path.read_text().replace('_key": "', '_key": "~'), "role": '{"clients": [{}]}'}
        path.write_text(changed[damage])
    assert live.keys("viewers") == {always.public_key}
    with pytest.raises(AccessError):
        allowed_clients(folder)


def test_the_command_makes_enters_shows_and_strikes_off(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def keys(*words: str) -> dict[str, object]:
        assert main(["keys", *words, "--json"]) == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    there, here = ("--key-dir", str(tmp_path / "tablet's own")), ("--key-dir", str(folder))
    pair = keys("client", "tablet", *there)
    shown = keys("allow", "viewer", "tablet", "--public-key", str(pair["public_file"]), *here)
    assert shown["clients"] == [{"name": "tablet", "role": "viewer", "public_key": pair["public_key"]}]
    assert shown["server_public_key"] == server_key(folder).public == public_key(str(shown["server_public_file"]))
    keys("client", "desk", *here)
    assert keys("allow", "marker", "desk", *here) == keys("connections", *here)
    assert [client.name for client in allowed_clients(folder)] == ["tablet", "desk"]
    keys("revoke", "tablet", *here)
    assert main(["keys", "connections", *here]) == 0
    words = capsys.readouterr().out
    assert "desk" in words
    assert "tablet" not in words
    assert client_key(folder, "desk").secret not in words


@pytest.mark.parametrize(
    "words",
    [("allow", "viewer"), ("allow", "king", "x"), ("revoke",), ("client", "a", "b"), ("show", "x"), ("new", "x")],
)
def test_what_the_command_cannot_do_is_said_and_makes_nothing(
    folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *words, "--key-dir", str(folder)]) == 2
    assert capsys.readouterr().err
    assert not folder.exists()


def test_a_pair_is_not_made_in_a_folder_that_others_can_enter(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with pytest.raises(AccessError, match="chmod 700"):
        make_pair(folder, "connection")
    assert not list(folder.iterdir())


def test_a_pair_that_was_made_is_there_after_a_power_failure(tmp_path: Path) -> None:
    root, left = tmp_path / "root", tmp_path / "left"
    root.mkdir()
    folder = root / "share" / "sightline" / "keys"
    disk = Disk(root)
    with disk.recording():
        made = new_client(folder, "tablet")
        disk.note("made")
    assert disk.faithful()
    disk.survivor(len(disk.ops), left, "nothing", random.Random(0))
    clients = left / "share" / "sightline" / "keys" / "clients"
    clients.chmod(0o700)
    (clients / "tablet.key").chmod(0o600)
    assert load_pair(clients / "tablet.key") == made
    assert public_key(str(clients / "tablet.pub")) == made.public
