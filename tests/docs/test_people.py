"""The pages of people: what they list, and their examples on a real drive."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from proving_ground.catalogue import SCENARIOS
from runtime.contracts import registry
from tests.docs.pages import ROOT, blocks, inline_code, table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENGINEER, INVESTIGATOR = ROOT / "docs" / "engineer.md", ROOT / "docs" / "investigator.md"
SIGHTLINE = Path(sysconfig.get_path("scripts")) / "sightline"


def test_the_engineers_page_has_every_source() -> None:
    assert sorted(row["source"] for row in table(ENGINEER, "source")) == sorted(registry.names("sightline.sources"))


def test_a_scenario_that_the_docs_name_exists() -> None:
    named = {
        name
        for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for name in re.findall(r"proving-ground://([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= set(SCENARIOS)
    assert {"lane", "worn-into-sun"} <= set(inline_code(ENGINEER))


def test_the_entry_points_of_the_engineers_page_are_those_that_sightline_reads() -> None:
    [example] = blocks(ENGINEER, "toml")
    groups = tomllib.loads(example)["project"]["entry-points"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(groups) <= set(project["entry-points"])


def test_the_investigators_example_reads_a_drive(tmp_path: Path) -> None:
    source = "proving-ground://lane?seed=7&duration_s=0.5"
    subprocess.run([SIGHTLINE, "run", "--source", source, "--out", tmp_path / "new", "--json"], check=True)
    [example] = blocks(INVESTIGATOR, "python")
    [named] = re.findall(r"drives/[\w-]+", example)
    (tmp_path / "drives").mkdir()
    next((tmp_path / "new").iterdir()).rename(tmp_path / named)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [str(sequence) for sequence in range(10)]
