"""Who imports whom, as docs/architecture.md says it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ros_bridge.messages import TOP_LEVEL

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FOLDERS = ("runtime", "export", "review", "ros_bridge", "proving_ground", "configs")
MAY_IMPORT = {
    "runtime/contracts": ("runtime.contracts",),
    "runtime": ("runtime",),
    "proving_ground": ("proving_ground", "runtime.contracts"),
    "export": (
        "export",
        "proving_ground",
        "runtime.attribution",
        "runtime.commands.console",
        "runtime.contracts",
        "runtime.decision.tensors",
        "runtime.engines",
        "runtime.preprocess",
        "runtime.record",
        "runtime.sources",
    ),
    "review": ("review", "proving_ground", "runtime"),
    "ros_bridge": ("ros_bridge", "runtime.contracts", "runtime.bus"),
}
NEEDS = {"runtime": (), "proving_ground": (), "review": (), "export": ("export",), "ros_bridge": ("ros", "dds")}
OF_COLCON = "ros_bridge/ament/"  # its package.xml declares what it needs
OF_THE_SYSTEM = ("gi", "runtime/gstreamer.py")  # apt's, linked in where it is, and imported in this one place
HEAVY = ("numpy", "av", "cryptography", "cv2", "onnxruntime", "torch", "zmq", "mcap", "yaml", "tqdm")


def imports_of(folder: str) -> Iterator[tuple[str, str]]:
    """Every module that a folder's files import, with `file:line`; `from a.b import c` counts as `a.b.c`."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((alias.name, where) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{where}: a relative import; name the package"
                yield from ((f"{node.module}.{alias.name}", where) for alias in node.names)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_the_folders_that_the_architecture_allows(folder: str) -> None:
    allowed = MAY_IMPORT[folder]
    wrong = [
        f"{where} imports {name}"
        for name, where in imports_of(folder)
        if name.partition(".")[0] in FOLDERS
        and not any(f"{name}.".startswith(f"{package}.") for package in allowed)
        and name != "runtime.__version__"
    ]
    assert not wrong, f"{folder}/ may import {', '.join(allowed)} only"


@pytest.mark.parametrize("folder", NEEDS)
def test_a_folder_imports_only_what_the_install_that_it_belongs_to_declares(folder: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in NEEDS[folder] for line in project["optional-dependencies"][extra]),
    ]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    distributions = packages_distributions()
    for name, where in imports_of(folder):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in (*FOLDERS, "sightline") or where.startswith(OF_COLCON):
            continue
        if (top, str(where).partition(":")[0]) == OF_THE_SYSTEM:
            continue
        provided_by = {canonicalize_name(one) for one in distributions.get(top, [top])}
        assert provided_by & declared, f"{where} imports {top} ({', '.join(provided_by)}), which is not declared"


def test_what_colcon_installs_imports_only_what_its_package_declares() -> None:
    declared = {element.text for element in ElementTree.parse(ROOT / OF_COLCON / "package.xml").iter("exec_depend")}
    for name, where in imports_of(OF_COLCON):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in (*FOLDERS, "sightline", "setuptools"):
            assert top in declared, f"{where} imports {top}, which package.xml does not declare"


def test_what_colcon_installs_declares_every_package_of_messages_that_the_bridge_speaks() -> None:
    declared = {element.text for element in ElementTree.parse(ROOT / OF_COLCON / "package.xml").iter("exec_depend")}
    spoken = {kind.ROS_TYPE.partition("/")[0] for kind in TOP_LEVEL} - {"rosgraph_msgs"}  # /clock is rclpy's affair
    assert spoken <= declared


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from runtime.commands.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: sightline" in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
