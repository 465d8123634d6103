"""A sealed drive, read by readers that are not ours, with their checksums on: every message is there.

MCAP's own reader for JavaScript needs node and npm (`scripts/system-packages node`); `npm ci` fetches what the lock
file pins, by its hashes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader

from runtime.contracts.config import RecordConfig
from runtime.record.drive import open_drive
from tests.runtime.record.recording import PATIENCE_S, Driver, RecorderProcess, a_plan

HERE = Path(__file__).parent / "mcap_core"
Reading = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    plan = a_plan(tmp_path_factory.mktemp("readers") / "drive", RecordConfig(segment_s=1.0))
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(70):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    shutil.rmtree(plan.run_dir)
    found = sorted(Path(plan.drive_dir).glob("segment-*.mcap"))
    assert len(found) >= 2
    return found


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Path]], subprocess.CompletedProcess[str]]:
    """Runs the reader in JavaScript over files."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed: scripts/system-packages node")
    folder = tmp_path_factory.mktemp("mcap_core")
    for name in ("package.json", "package-lock.json", "read.mjs"):
        shutil.copyfile(HERE / name, folder / name)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"]
    done = subprocess.run([npm, "ci", *options], cwd=folder, capture_output=True, text=True, check=False, timeout=200)
    if done.returncode:
        pytest.skip(f"@mcap/core cannot be fetched from npm's registry: {done.stderr.strip()[-200:]}")

    def read(paths: list[Path]) -> subprocess.CompletedProcess[str]:
        command = [node, "read.mjs", *map(str, paths)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)

    return read


def ours(segments: list[Path]) -> Reading:
    topics: dict[str, tuple[int, Any]] = {}
    for message in open_drive(segments[0].parent).messages():
        count, summed = topics.get(message.topic, (0, hashlib.sha256()))
        summed.update(f"{message.log_time_ns} ".encode() + message.data)
        topics[message.topic] = (count + 1, summed)
    return {topic: {"count": count, "sha256": summed.hexdigest()} for topic, (count, summed) in topics.items()}


def test_pythons_official_reader_reads_every_message_with_its_checksums_on(segments: list[Path]) -> None:
    topics: dict[str, tuple[int, Any]] = {}
    for path in segments:
        with path.open("rb") as file:
            reader = make_reader(file, validate_crcs=True)
            for _, channel, message in reader.iter_messages(log_time_order=False):
                count, summed = topics.get(channel.topic, (0, hashlib.sha256()))
                summed.update(f"{message.log_time} ".encode() + message.data)
                topics[channel.topic] = (count + 1, summed)
    read = {topic: {"count": count, "sha256": summed.hexdigest()} for topic, (count, summed) in topics.items()}
    assert read == ours(segments)
    assert read["/model/input"]["count"] == read["/ledger"]["count"] == 70


def test_the_javascript_reader_reads_every_message_with_its_checksums_on(
    segments: list[Path], javascript: Callable[[list[Path]], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = javascript(segments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["topics"] == ours(segments)
    assert found["indexed"] == sum(topic["count"] for topic in found["topics"].values())
    damaged = bytearray(segments[0].read_bytes())
    damaged[len(damaged) // 3] ^= 1  # inside of a chunk
    (tmp_path / "damaged.mcap").write_bytes(damaged)
    refused = javascript([tmp_path / "damaged.mcap"])
    assert refused.returncode != 0
