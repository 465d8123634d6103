"""The supervisor with real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import LinkError
from runtime.supervise.supervisor import ProcessSpec, RunResult, Supervisor

PATIENCE_S = 20.0


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", textwrap.dedent(code), *arguments)


WAIT_FOR_SIGTERM = "import signal; signal.sigwait([signal.SIGTERM])"
BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"


def run(specs: Sequence[ProcessSpec]) -> tuple[RunResult, list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []
    result = Supervisor(specs, lambda name, line: lines.append((name, line)), SystemClock()).run()
    return result, lines


def test_every_line_of_a_child_arrives_the_last_without_an_end_too() -> None:
    leader = ProcessSpec("leader", python("print('one'); print('two'); print('three', end='')"), leads=True)
    result, lines = run([leader])
    assert lines == [("leader", "one"), ("leader", "two"), ("leader", "three")]
    assert result == RunResult({"leader": 0}, (), None)


def test_the_leaders_end_asks_the_others_to_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    other = python(f"{BLOCKED} open({str(ready)!r}, 'w').close(); {WAIT_FOR_SIGTERM}; print('ended in order')")
    leader = python(f"open({str(ready)!r}).close(); raise SystemExit(3)")
    result, lines = run([ProcessSpec("leader", leader, leads=True), ProcessSpec("other", other)])
    assert result.returncodes == {"leader": 3, "other": 0}
    assert lines == [("other", "ended in order")]


def test_a_child_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    other = python(f"{BLOCKED} open({str(ready)!r}, 'w').close(); signal.sigwait([signal.SIGUSR1])")
    leader = python(f"open({str(ready)!r}).close()")
    specs = [ProcessSpec("leader", leader, leads=True), ProcessSpec("other", other, stop_after_s=0.1)]
    result, _ = run(specs)
    assert result.returncodes["other"] == -signal.SIGKILL


def test_a_child_that_dies_is_started_again_with_longer_and_longer_back_off(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    done = tmp_path / "done"
    os.mkfifo(done)
    worker = python(
        f"""
        import os, signal
        with open({str(lives)!r}, "a") as file: file.write("x")
        if os.path.getsize({str(lives)!r}) < 4: os.kill(os.getpid(), signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        open({str(done)!r}, "w").close()
        signal.sigwait([signal.SIGTERM])
        """
    )
    leader = python(f"open({str(done)!r}).close()")
    result, _ = run([ProcessSpec("leader", leader, leads=True), ProcessSpec("worker", worker, restart=True)])
    assert [restart.returncode for restart in result.restarts] == [-signal.SIGKILL] * 3
    assert [restart.after_s for restart in result.restarts] == [0.1, 0.2, 0.4]
    assert result.returncodes == {"leader": 0, "worker": 0}


def test_what_a_child_left_that_ended_badly_is_put_in_order_after_the_run(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    os.mkfifo(gone)
    worker = python(f"open({str(gone)!r}, 'w').close(); raise SystemExit(2)")
    leader = python(f"[open({str(gone)!r}).close() for _ in range(2)]")
    spec = ProcessSpec("worker", worker, restart=True, mend=python("print('mended')"))
    result, lines = run([ProcessSpec("leader", leader, leads=True), spec])
    assert lines == [("worker", "mended")]
    assert result.returncodes == {"leader": 0, "worker": 0}


def supervisor_in_a_process(body: str) -> subprocess.Popen[str]:
    code = f"""
    import sys, signal
    from runtime.contracts.clock import SystemClock
    from runtime.supervise.supervisor import ProcessSpec, Supervisor
    from runtime.supervise.child import python_child
    def line(name, text): print(text, flush=True)
    {body}
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def gone(pid: int) -> bool:
    """Whether a process ends: waited for through its pidfd."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], PATIENCE_S)[0])
    finally:
        os.close(fd)


CHILD_MODULE = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print(os.getpid(), flush=True)
signal.sigwait([signal.SIGTERM])
print("asked", flush=True)
if "stubborn" in sys.argv: signal.sigwait([signal.SIGUSR1])
"""


@pytest.fixture
def child_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_child_of_the_test.py").write_text(CHILD_MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_child_of_the_test"


def test_no_child_outlives_a_supervisor_that_was_killed(child_module: str) -> None:
    process = supervisor_in_a_process(
        f"specs = [ProcessSpec('a', python_child('{child_module}'), leads=True), "
        f"ProcessSpec('b', python_child('{child_module}'))]; Supervisor(specs, line, SystemClock()).run()"
    )
    pids = [int(line) for line in lines_of(process, 2)]
    process.kill()
    process.wait(PATIENCE_S)
    assert all(gone(pid) for pid in pids)


def test_the_first_signal_ends_the_run_in_order_and_the_second_kills(child_module: str) -> None:
    process = supervisor_in_a_process(
        f"specs = [ProcessSpec('a', python_child('{child_module}', 'stubborn'), leads=True)]; "
        "print(Supervisor(specs, line, SystemClock()).run())"
    )
    (pid,) = lines_of(process, 1)
    process.send_signal(signal.SIGINT)
    assert lines_of(process, 1) == ["asked"]
    process.send_signal(signal.SIGINT)
    assert gone(int(pid))
    (result,) = lines_of(process, 1)
    assert process.wait(PATIENCE_S) == 0
    assert result == "RunResult(returncodes={'a': -9}, restarts=(), stopped_by='SIGINT')"


def test_a_folder_named_like_ours_where_the_user_stands_does_not_shadow_it(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").write_text("raise SystemExit('the wrong runtime')")
    from runtime.supervise.child import python_child

    argv = python_child("runtime.record", str(tmp_path / "no-plan"))
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert "no-plan cannot be read" in done.stderr


def test_a_list_without_one_leader_is_refused() -> None:
    with pytest.raises(LinkError, match="exactly one process must lead"):
        run([ProcessSpec("a", ("true",)), ProcessSpec("b", ("true",))])


def test_a_program_that_is_not_there_ends_the_run_and_leaves_no_child(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="b cannot be started"):
        run([ProcessSpec("a", ("sleep", "1000"), leads=True), ProcessSpec("b", (str(tmp_path / "nothing"),))])
