"""Starts the processes of a run from one declarative list, watches them, starts again what may be, ends them in order.

One process of the list leads: its end ends the run. The others are asked to end (SIGTERM) when it has, and killed when
they take too long. A process that dies meanwhile is started again with exponential back-off. The first SIGINT, SIGTERM
or SIGHUP to the supervisor asks the leader to end in order, the second kills.

Children are in sessions of their own, so that Ctrl-C reaches them only through here, and die with the supervisor
(`runtime.supervise.child`), so that none is left alone. `run` belongs into the main thread: the kernel ties children to
the life of the thread that started them, and signals arrive there.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from runtime.contracts.clock import Clock
from runtime.contracts.errors import LinkError
from runtime.contracts.units import NS_PER_S

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_STEADY_S = 10.0  # a process that lived so long starts again with the first back-off
_MAX_LINE_BYTES = 1024 * 1024
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process. Exactly one of a list `leads`; `restart` is for the others.

    `mend` is run once, after the end, if the process's own end was not 0: what it left is put in order.
    """

    name: str
    argv: tuple[str, ...]
    leads: bool = False
    restart: bool = False
    stop_after_s: float = 30.0  # from being asked to end until it is killed
    mend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restart:
    """A process that ended by itself and was started again `after_s` seconds later."""

    name: str
    returncode: int  # negative: the signal that ended it
    after_s: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `returncodes` by name, negative: the signal; `stopped_by` names the signal that asked for it."""

    returncodes: dict[str, int]
    restarts: tuple[Restart, ...]
    stopped_by: str | None


@dataclass(slots=True)
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    started_ns: int = 0
    backoff_s: float = _FIRST_BACKOFF_S
    due_ns: int | None = None  # when it is to be started (again)
    kill_ns: int | None = None  # when it is to be killed
    restart: Restart | None = None  # what `due_ns` is for
    returncode: int | None = None
    mending: bool = False
    line: bytes = b""


class Supervisor:
    """Runs a list of processes to their end. `on_line(name, line)` gets every line that a child writes to stdout."""

    def __init__(self, specs: Sequence[ProcessSpec], on_line: OnLine, clock: Clock) -> None:
        if sum(spec.leads for spec in specs) != 1:
            raise LinkError(f"exactly one process must lead a run, not {[spec.name for spec in specs if spec.leads]}")
        self._children = [_Child(spec) for spec in specs]
        self._leader = next(child for child in self._children if child.spec.leads)
        self._on_line, self._clock = on_line, clock
        self._selector = selectors.DefaultSelector()
        self._restarts: list[Restart] = []
        self._ending = False
        self._signals: list[int] = []

    def pid(self, name: str) -> int | None:
        """The process that runs under a name now, None where there is none."""
        child = next(child for child in self._children if child.spec.name == name)
        return child.process.pid if child.process is not None else None

    def run(self) -> RunResult:
        """Start, watch, end; returns when no child is left. Whatever is raised meanwhile, no child survives it."""
        with self._signals_caught() as wake:
            self._selector.register(wake, selectors.EVENT_READ, None)
            try:
                for child in self._children:
                    self._start(child, child.spec.argv)
                while any(child.process is not None or child.due_ns is not None for child in self._children):
                    self._turn(wake)
            finally:
                for child in self._children:
                    self._kill(child)
                self._selector.close()
        codes = {child.spec.name: child.returncode for child in self._children if child.returncode is not None}
        stopped_by = signal.Signals(self._signals[0]).name if self._signals else None
        return RunResult(codes, tuple(self._restarts), stopped_by)

    def _turn(self, wake: socket.socket) -> None:
        """Wait for the next thing that happens, and deal with it."""
        for key, _ in self._selector.select(self._until_next_s()):
            if key.data is None:
                _drain(wake)
            else:
                self._read(key.data)
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child)
        now_ns = self._clock.monotonic_ns()
        for child in self._children:
            if child.kill_ns is not None and now_ns >= child.kill_ns and child.process is not None:
                child.process.kill()
                child.kill_ns = None
            if child.due_ns is not None and now_ns >= child.due_ns:
                if child.restart is not None:
                    self._restarts.append(child.restart)
                self._start(child, child.spec.argv)

    def _until_next_s(self) -> float | None:
        moments = [moment for child in self._children for moment in (child.due_ns, child.kill_ns) if moment is not None]
        if not moments:
            return None
        return max(0.0, (min(moments) - self._clock.monotonic_ns()) / NS_PER_S)

    def _start(self, child: _Child, argv: tuple[str, ...]) -> None:
        child.due_ns, child.started_ns = None, self._clock.monotonic_ns()
        try:
            child.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise LinkError(f"the process {child.spec.name} cannot be started ({argv[0]}): {error.strerror}") from error
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _read(self, child: _Child) -> None:
        """Take what a child wrote; a line without an end is given out at its bound."""
        process = child.process
        if process is None or process.stdout is None:
            return
        try:
            data = os.read(process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(process.stdout)
            process.stdout.close()
            process.stdout = None
        *lines, child.line = (child.line + data).split(b"\n")
        if len(child.line) > _MAX_LINE_BYTES or (not data and child.line):
            lines.append(child.line)
            child.line = b""
        for line in lines:
            self._on_line(child.spec.name, line.decode(errors="replace"))

    def _ended(self, child: _Child) -> None:
        process = child.process
        assert process is not None
        while process.stdout is not None:  # what it wrote before its end; a grandchild may hold the pipe open
            before = child.line
            self._read(child)
            if process.stdout is not None and child.line == before:
                self._selector.unregister(process.stdout)
                process.stdout.close()
                process.stdout = None
        child.process, child.kill_ns = None, None
        returncode = process.returncode
        if child.mending:
            child.returncode = returncode
        elif child is self._leader:
            child.returncode = returncode
            self._end_others()
        elif not self._ending and child.spec.restart:
            self._start_again(child, returncode)
        else:
            child.returncode = returncode
            if returncode != 0 and self._ending:
                self._mend(child)

    def _start_again(self, child: _Child, returncode: int) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - child.started_ns >= _STEADY_S * NS_PER_S:
            child.backoff_s = _FIRST_BACKOFF_S
        child.returncode = returncode
        child.due_ns = now_ns + int(child.backoff_s * NS_PER_S)
        child.restart = Restart(child.spec.name, returncode, child.backoff_s)
        child.backoff_s = min(2 * child.backoff_s, _LONGEST_BACKOFF_S)

    def _end_others(self) -> None:
        self._ending = True
        for child in self._children:
            if child.process is not None:
                self._ask_to_end(child)
            elif child.due_ns is not None:
                child.due_ns = None
                if child.returncode != 0:
                    self._mend(child)

    def _mend(self, child: _Child) -> None:
        if child.spec.mend and len(self._signals) < 2:
            child.mending = True
            self._start(child, child.spec.mend)
            child.kill_ns = self._clock.monotonic_ns() + int(child.spec.stop_after_s * NS_PER_S)

    def _ask_to_end(self, child: _Child) -> None:
        if child.process is not None:
            child.process.send_signal(signal.SIGTERM)
            child.kill_ns = self._clock.monotonic_ns() + int(child.spec.stop_after_s * NS_PER_S)

    def _kill(self, child: _Child) -> None:
        if child.process is not None:
            child.process.kill()
            child.returncode = child.process.wait()
            child.process = None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) == 1:
            self._ask_to_end(self._leader)
        else:
            for child in self._children:
                if child.process is not None:
                    child.process.kill()

    @contextmanager
    def _signals_caught(self) -> Iterator[socket.socket]:
        """Signals as this supervisor wants them, and a socket that is readable whenever one came."""
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGCHLD)}
        for number in _STOPPING:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only so that it wakes the loop
        previous = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            wake.close()
            waker.close()


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        return
