"""The verifier as one file, run where nothing of Sightline is."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from review.verify.standalone import MODULES, module_path, standalone_source, write_standalone
from runtime.contracts.errors import RecordError
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey, new_key
from tests.models import tiny_policy
from tests.review.drives import record_drive, rewrite

ALLOWED = {"cryptography", "zstandard"}
# Nothing may come from the checkout, nor anything else that an expert need not have.
GUARD = """
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
REFUSED = ("runtime", "review", "msgspec", "mcap", "numpy", "zmq", "yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("expert")


@pytest.fixture(scope="module")
def key(folder: Path) -> VehicleKey:
    return new_key(folder / "keys")


@pytest.fixture(scope="module")
def drive(folder: Path, key: VehicleKey) -> Path:
    return record_drive(folder / "drive", tiny_policy(), 30, segment_s=1.0, key=key)


def verify(folder: Path, drive: Path, *options: str, without: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run the one file, as an expert would, without what is refused."""
    script = folder / "sightline_verify.py"
    write_standalone(script)
    guard = GUARD.format(refused=(*REFUSED, *without))
    public = str(folder / "keys" / "signing.pub")
    command = [sys.executable, "-I", "-c", guard, str(script), str(drive), "--key", public, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return done.returncode, done.stdout + done.stderr


def test_one_file_says_what_the_command_says(folder: Path, drive: Path, tmp_path: Path) -> None:
    code, said = verify(folder, drive, "--json")
    assert (code, json.loads(said)["verdict"], json.loads(said)["level"]) == (0, "intact", "messages")
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    rewrite(copy / "segment-0001.mcap", lambda t, s, data: None if (t, s) == ("/decision", 25) else data)
    code, said = verify(folder, copy)
    assert code == 1
    assert "message-removed" in said
    assert "/decision, sequence 25" in said


def test_without_a_decompressor_the_hashes_of_the_files_still_cover_every_byte(
    folder: Path, drive: Path, tmp_path: Path
) -> None:
    code, said = verify(folder, drive, "--json", without=("zstandard",))
    assert (code, json.loads(said)["level"]) == (0, "files")
    copy = Path(shutil.copytree(drive, tmp_path / "drive"))
    data = bytearray((copy / "segment-0000.mcap").read_bytes())
    data[5000] ^= 1
    (copy / "segment-0000.mcap").write_bytes(data)
    code, said = verify(folder, copy, without=("zstandard",))
    assert code == 1
    assert "its bytes 0 to" in said


def test_without_cryptography_it_says_that_it_cannot(folder: Path, drive: Path, tmp_path: Path) -> None:
    code, said = verify(folder, drive, without=("cryptography",))
    assert code == 2
    assert "cryptography" in said
    assert "Traceback" not in said
    assert verify(folder, tmp_path)[0] == 2


def test_its_modules_need_nothing_but_the_standard_library_and_a_crypto_library() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse(module_path(module).read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                fits = top in sys.stdlib_module_names or top in ALLOWED or name in MODULES
                assert fits, f"{module} imports {name}: the one file would lack it"
            if isinstance(node, ast.Import):
                assert all(alias.name.partition(".")[0] not in ("runtime", "review") for alias in node.names), (
                    f"{module}: name what is imported, so that it can stand in one file"
                )


def test_no_two_of_its_modules_give_one_name_to_two_things() -> None:
    names: Counter[str] = Counter()
    for node in ast.parse(standalone_source()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] += 1
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
            names.update(one.id for one in found)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be written"):
        write_standalone(tmp_path / "no folder" / "file.py")


def test_one_file_says_which_key_it_cannot_read_and_what_to_give(folder: Path, drive: Path) -> None:
    code, said = verify(folder, drive, "--key", "absent.pub")
    assert (code, said) == (
        2,
        "the public key absent.pub cannot be read: No such file or directory; give the vehicle's signing.pub\n",
    )


def test_one_file_knows_what_the_vehicle_deleted(folder: Path, drive: Path, key: VehicleKey, tmp_path: Path) -> None:
    retained = Path(shutil.copytree(drive, tmp_path / drive.name))
    DriveSealer(retained, key).bury(0, "room was short", freed_bytes=1, gone={})
    for path in (retained / "segment-0000.mcap", retained / "segment-0000.leaves"):
        path.unlink()
    code, told = verify(folder, retained, "--json")
    found = json.loads(told)
    assert (code, found["verdict"]) == (0, "intact")
    assert [(one["segment"], one["reason"]) for one in found["deleted"]] == [(0, "room was short")]
