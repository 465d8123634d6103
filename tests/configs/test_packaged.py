"""The configurations that ship: each is valid, says why it says something, and names a source that is to be had."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ros_bridge.address import parse_address as ros_address
from runtime.contracts import registry
from runtime.contracts.config import load_config, packaged_configs
from runtime.sources.cameras.address import parse as camera_address
from runtime.sources.cameras.pipeline import pipeline
from runtime.sources.location import scheme_of
from tests.docs.pages import table

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "jetson-orin-csi.yaml": "csi",
    "desk-usb.yaml": "v4l2",
    "ros2-car.yaml": "ros2",
    "proving-ground.yaml": "proving-ground",
}
VEHICLES = sorted(SOURCES)


def text(name: str) -> str:
    """A packaged configuration as it is written."""
    return (ROOT / "configs" / name).read_text(encoding="utf-8")


def test_there_is_a_configuration_for_each_vehicle_and_bench_and_no_other() -> None:
    assert set(packaged_configs()) == {"bench.yaml", *SOURCES}


@pytest.mark.parametrize("name", VEHICLES)
def test_a_configuration_is_valid_and_drives_from_the_source_that_it_is_for(name: str) -> None:
    config = load_config(Path(name))
    assert config.source is not None
    assert scheme_of(config.source) == SOURCES[name]
    assert config.engine.backend in registry.names("sightline.engines")
    assert config.pacing == ("lockstep" if name == "proving-ground.yaml" else "real-time")
    assert config.record.retention.quota_mib is not None, "a vehicle that fills its disk"


@pytest.mark.parametrize("name", [*VEHICLES, "bench.yaml"])
def test_a_configuration_says_what_it_is_for_and_where_the_keys_are_explained(name: str) -> None:
    lines = text(name).splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert len(head) >= 2
    assert "docs/config.md" in " ".join(head)


@pytest.mark.parametrize("name", VEHICLES)
def test_most_of_what_a_configuration_sets_has_its_reason_beside_it(name: str) -> None:
    lines = text(name).splitlines()
    values = [i for i, line in enumerate(lines) if re.match(r" *\w+: [^#\s]", line)]
    bare = [lines[i] for i in values if "#" not in lines[i] and "#" not in lines[i - 1]]
    assert len(bare) <= len(values) / 2, bare


@pytest.mark.parametrize("name", VEHICLES)
def test_the_sources_uri_is_one_that_its_own_source_reads(name: str) -> None:
    uri = load_config(Path(name)).source
    assert uri is not None
    assert SOURCES[name] in registry.names("sightline.sources")
    if SOURCES[name] in ("csi", "v4l2"):
        address = camera_address(uri)
        assert "appsink" in pipeline(address, nvidia=True)
    elif SOURCES[name] == "ros2":
        assert ros_address(uri).command is None, "a shadow drive until somebody decides otherwise"
        assert ros_address(f"{uri}&command=/ackermann_cmd").command == "/ackermann_cmd"


def test_the_proving_grounds_configuration_drives(tmp_path: Path) -> None:
    source = "proving-ground://lane?seed=7&duration_s=0.5&width=160&height=90"
    command = [sys.executable, "-m", "sightline", "run", "proving-ground.yaml", "--source", source, "--json"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["decided"] == 10


def test_the_engineers_page_names_every_packaged_configuration_with_its_source() -> None:
    rows = {row["configuration"]: row["drives from"] for row in table(ROOT / "docs" / "engineer.md", "configuration")}
    assert set(rows) == set(packaged_configs())
    for name in VEHICLES:
        assert rows[name] == load_config(Path(name)).source
