"""Dockerfile.jetson: what it names exists, and its steps work as far as a desk can tell.

The whole of its stage `build` is replayed by `make check-jetson`, which asks the package index.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from runtime.contracts import registry
from tests.configs.test_systemd import RECORDER_SEALS_WITHIN_S
from tests.docs.test_commands import parser_of
from tests.scripts.loading import script

ROOT = Path(__file__).parents[1]
REPLAY = script("replay-image")
STEPS = REPLAY.instructions((ROOT / "Dockerfile.jetson").read_text(encoding="utf-8"))
SENT = REPLAY.context(ROOT)
LINK = ROOT / "scripts" / "link-system-packages"


def arguments(name: str, stage: str | None = None) -> list[str]:
    """The arguments of every instruction of a name."""
    return [step.arguments for step in STEPS if step.name == name and stage in (None, step.stage)]


def apt_packages(text: str) -> list[str]:
    """What a line of apt-get installs."""
    return [
        word.partition("=")[0].strip('"')
        for part in re.findall(r"apt-get install ([^&]*)", text)
        for word in part.split()
        if not word.startswith("--")
    ]


@pytest.mark.parametrize("jetpack", ["6", "7"])
def test_every_path_that_is_copied_is_there_and_is_sent_to_the_build(jetpack: str) -> None:
    copied = [line for line in arguments("COPY") if "--from=" not in line]
    assert copied
    for line in copied:
        *sources, _target = [word for word in REPLAY.expanded(line, {"JETPACK": jetpack}).split() if word[:2] != "--"]
        for source in sources:
            assert (ROOT / source).exists(), f"COPY {source}: there is no such path"
            inside = [path for path in SENT if path == source or path.startswith(source.rstrip("/") + "/")]
            assert inside, f"COPY {source}: .dockerignore leaves it out"


def test_nothing_is_sent_that_is_not_copied_and_no_drive_key_or_environment_ever() -> None:
    copied = [word for line in arguments("COPY") if "--from=" not in line for word in line.split()[:-1]]
    for path in SENT:
        known = any(path == one or path.startswith(one.rstrip("/") + "/") for one in copied)
        assert known or path.startswith("constraints/jetpack"), f"{path} is sent for nothing"
    tracked = set(
        subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    )
    if tracked:
        assert {path for path in SENT if path.endswith((".key", ".mcap", ".pem", ".plan"))} <= tracked


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("runtime/bus/ring.py", True),
        ("constraints/jetpack6.txt", True),
        ("constraints/py3.10.txt", False),
        ("runtime/bus/__pycache__/ring.pyc", False),
        ("configs/.secret", False),
        ("drives/a/model.onnx", False),
        ("tests/test_run.py", False),
    ],
)
def test_dockerignore_lets_through_what_the_image_is_made_of(path: str, kept: bool, tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path / ".dockerignore")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    assert (path in REPLAY.context(tmp_path)) is kept


def test_what_the_image_runs_of_sightline_can_be_typed() -> None:
    [entry] = arguments("ENTRYPOINT")
    [command] = arguments("CMD")
    [health] = arguments("HEALTHCHECK")
    assert json.loads(entry) == ["sightline"]
    typed = [json.loads(command), json.loads(health.partition("CMD ")[2])[1:]]
    typed += [shlex.split(words) for words in re.findall(r'bin/sightline" ([^&]*)', " && ".join(arguments("RUN")))]
    assert len(typed) == 3
    for verb, *rest in typed:
        assert verb in registry.names("sightline.commands")
        parsed = parser_of(verb).parse_args(rest)
        given = getattr(parsed, "config", None) or getattr(parsed, "file", None)
        assert given is None or (ROOT / "configs" / given).is_file()


def test_the_health_check_asks_a_drive_and_has_time_for_the_answer() -> None:
    [health] = arguments("HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert command[:2] == ["sightline", "alive"]
    timeout_s, within_s = re.findall(r"--timeout=(\d+)s", health), command[command.index("--within-s") + 1]
    assert float(timeout_s[0]) >= float(within_s) + 3, "an interpreter starts in seconds on a busy board"


def test_everything_from_elsewhere_is_pinned() -> None:
    for line in arguments("FROM"):
        image = line.split()[0]
        stages = {step.stage for step in STEPS}
        if image in stages or image == "jetpack${JETPACK}":
            continue
        assert re.search(r"@sha256:[0-9a-f]{64}$|:[\d.]+-runtime$", image), image
    for line in arguments("ADD"):
        assert re.search(r"--checksum=sha256:[0-9a-f]{64} ", line)
    for line in arguments("RUN"):
        for install in re.findall(r"pip install ([^&]*)", line):
            assert "--require-hashes" in install or "--no-index" in install
            assert "--only-binary :all:" in install or "--no-deps" in install


def test_the_image_drops_its_rights_and_carries_no_plug_in_of_nvidia() -> None:
    users = arguments("USER", "vehicle")
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*", users[0]), "with a group, Docker takes the user's other groups away"
    made = " && ".join(arguments("RUN", "vehicle"))
    assert re.search(rf"useradd --uid {users[0]} [^&]*--groups video ", made), "without it no device opens"
    after = STEPS[[step.name for step in STEPS].index("USER") :]
    assert not [step for step in after if step.name in ("RUN", "COPY", "ADD")], "something is done as nobody"
    packages = apt_packages(" && ".join(arguments("RUN")))
    assert not [name for name in packages if name.startswith("nvidia-l4t")]
    assert {"python3-libnvinfer", "python3-gi"} <= set(packages)


def test_the_names_of_the_distributions_packages_are_known_to_apt() -> None:
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not here: no Debian, no Ubuntu")
    if not subprocess.run(["apt-cache", "show", "python3"], capture_output=True, check=False).stdout:
        pytest.skip("apt has no lists; run apt-get update")
    for name in apt_packages(" && ".join(arguments("RUN"))):
        if "nvinfer" in name or "nvonnx" in name:
            continue  # of NVIDIA's own repository
        done = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        assert done.returncode == 0, f"apt knows no package {name}"


def test_the_shutdown_has_time_for_the_last_seal() -> None:
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    text = (ROOT / "Dockerfile.jetson").read_text(encoding="utf-8")
    [seconds] = re.findall(r"--stop-timeout (\d+)", text)
    assert int(seconds) > RECORDER_SEALS_WITHIN_S


SYSTEM = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of the system's Python, as the image has one."""
    if not SYSTEM.exists() or subprocess.run([SYSTEM, "-c", "import venv"], check=False).returncode:
        pytest.skip("the system has no Python with the module venv")
    folder = tmp_path_factory.mktemp("linked") / "environment"
    subprocess.run([SYSTEM, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def test_an_environment_sees_a_package_of_the_system_and_nothing_else_of_it(environment: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    venv.create(system, with_pip=False)
    python = system / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    for name in ("tensorrt", "numpy"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"NAME = {name!r}\n", encoding="utf-8")
    (site / "tensorrt" / "__init__.py").write_text("raise ImportError('the driver is not here')\n", encoding="utf-8")
    other = tmp_path / "environment"
    venv.create(other, with_pip=False)
    linked = subprocess.run(
        [LINK, other, "tensorrt"], env={"SYSTEM_PYTHON": str(python), "PATH": "/usr/bin:/bin"}, check=False
    )
    assert linked.returncode == 0, "a package is found without being run"
    find = "import importlib.util as i, sys; sys.exit(i.find_spec(sys.argv[1]) is None)"
    assert subprocess.run([other / "bin" / "python", "-c", find, "tensorrt"], check=False).returncode == 0
    assert subprocess.run([other / "bin" / "python", "-c", find, "numpy"], check=False).returncode == 1


def test_gobjects_real_binding_works_through_the_link(environment: Path) -> None:
    if subprocess.run([SYSTEM, "-c", "import gi"], capture_output=True, check=False).returncode:
        pytest.skip("python3-gi is not installed: sudo scripts/system-packages camera")
    subprocess.run([LINK, environment, "gi"], check=True)
    subprocess.run([LINK, environment, "gi"], check=True)  # again, on a board that is set up anew
    code = "import gi; from gi.repository import GLib; print(gi.__file__, GLib.MAJOR_VERSION)"
    done = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(environment) in done.stdout


def test_a_package_that_the_system_lacks_is_told_with_what_to_install(environment: Path) -> None:
    done = subprocess.run([LINK, environment, "tensorrt_of_nobody"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tensorrt_of_nobody" in done.stderr
    assert "sudo apt install" in done.stderr


def test_an_environment_of_another_python_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "environment" / "bin"
    fake.mkdir(parents=True)
    (fake / "python").write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo 2.7 && exit\nexec {sys.executable} "$@"\n')
    (fake / "python").chmod(0o755)
    done = subprocess.run([LINK, fake.parent, "gi"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Python 2.7" in done.stderr
