"""One sealed drive of three segments with a declared gap and an incident, and bundles of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from review.bundle.choice import Request
from review.bundle.make import make_bundle
from runtime.contracts.incident import Incident, IncidentIndex, Trigger
from runtime.contracts.topics import Topic
from runtime.incident.index import write_index
from runtime.seal.keys import VehicleKey, new_key
from tests.models import tiny_policy
from tests.review.bundle.forging import Forger
from tests.review.drives import FRAME_NS, record_drive

FRAMES, LOST = 60, 7
INCIDENT = Incident(
    0,
    25 * FRAME_NS,
    34 * FRAME_NS,
    (Trigger("hard-brake", 30 * FRAME_NS, 30, "-7.1 m/s2, bound -4.0"),),
    (1,),
    open=False,
)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> VehicleKey:
    return new_key(tmp_path_factory.mktemp("vehicle") / "keys")


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory, key: VehicleKey) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "drive"

    def listed(_: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if sequence == 35:
            write_index(folder, IncidentIndex(folder.name, (INCIDENT,)))
        return message

    return record_drive(folder, tiny_policy(), FRAMES, segment_s=1.0, key=key, unrecorded=(LOST,), change=listed)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, drive: Path) -> Callable[[Request], Path]:
    """A bundle of what is asked for, made once."""
    known: dict[Request, Path] = {}

    def make(request: Request) -> Path:
        if request not in known:
            known[request] = Path(make_bundle(drive, request, tmp_path_factory.mktemp("made"), by="A. Keeper").bundle)
        return known[request]

    return make


@pytest.fixture
def forger(
    made: Callable[[Request], Path], drive: Path, key: VehicleKey, tmp_path: Path
) -> Callable[[Request], Forger]:
    """A copy of such a bundle, to do anything with."""

    def take(request: Request) -> Forger:
        source = made(request)
        return Forger(Path(shutil.copytree(source, tmp_path / source.name)), drive, key)

    return take
