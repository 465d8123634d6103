"""What do keys cost: a message over tcp with CURVE beside plain tcp and a private socket, in CPU and in waiting?

The publisher is the driving process's own, the listener another process. CPU is the publishing process's, all threads:
keys are reckoned in ZeroMQ's thread, so the caller should not wait for them. Messages are as large as a decision and as
a picture, and come as they do in a drive: a few at once, frame by frame. The three ways take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.machine import machine, today
from runtime.access.allowed import AllowedClient, AllowList, allow
from runtime.access.gate import Gate, ServerAccess
from runtime.access.keys import Credentials, client_key, ensure_server_key, new_client
from runtime.bus.publisher import Publisher, Subscriber
from runtime.contracts.link import Payload

IPC, TCP, CURVE = "ipc", "tcp", "tcp with CURVE"
SIZES = {"decision": 2_000, "picture": 100_000}
FRAME_RATE_HZ = 25
AT_ONCE = 8
_CLIENT = "listener"
_END = "/end"


@dataclass
class Taken:
    """One way's figures in microseconds: CPU per message, turn by turn, and the caller's time, call by call."""

    cpu_us: list[float] = field(default_factory=list)
    call_us: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Medians, and the 99th percentile of the calls."""
        return {
            "cpu_us": round(statistics.median(self.cpu_us), 1),
            "call_p50_us": round(statistics.median(self.call_us), 1),
            "call_p99_us": round(float(np.percentile(self.call_us, 99)), 1),
            "n": len(self.call_us),
        }


def listen(endpoint: str, key_dir: Path | None) -> None:
    """The listener's process: says that it is there, takes messages until they are over, counts them."""
    credentials = None
    if key_dir is not None:
        credentials = Credentials(client_key(key_dir, _CLIENT), ensure_server_key(key_dir).public)
    count, there = 0, False
    with closing(Subscriber([endpoint], queue=1000, credentials=credentials)) as subscriber:
        while (message := subscriber.receive(30_000)) is not None and message.topic != _END:
            count += message.header.sequence >= 0
            if not there:
                there = True
                print("there", flush=True)
    print(count)


def measure(way: str, size_bytes: int, count: int, folder: Path, taken: Taken) -> None:
    """One turn of one way: `count` messages to a listener that takes them all."""
    keys = folder / "keys"
    gate = Gate(ServerAccess(ensure_server_key(keys), AllowList(keys)) if way == CURVE else None)
    served = f"ipc://{folder}/{time.monotonic_ns()}" if way == IPC else "tcp://127.0.0.1:*"
    data = np.random.default_rng(1).bytes(size_bytes)
    with closing(gate), closing(Publisher(served, "session", 1000, gate)) as publisher:
        command = [sys.executable, "-m", "benchmarks.access", "--listen", publisher.endpoint]
        command += ["--keys", str(keys)] if way == CURVE else []
        listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert listener.stdout is not None
        while not select.select([listener.stdout], [], [], 0.02)[0]:
            publisher.publish(Payload("/hello", -1, 0, 0, b""))
        before_s, due_s = _cpu_s(), time.monotonic()
        for sequence in range(count):
            if sequence % AT_ONCE == 0:
                due_s += 1 / FRAME_RATE_HZ
                time.sleep(max(0.0, due_s - time.monotonic()))
            began_ns = time.perf_counter_ns()
            publisher.publish(Payload("/message", sequence, 0, 0, data))
            taken.call_us.append((time.perf_counter_ns() - began_ns) / 1000)
        taken.cpu_us.append((_cpu_s() - before_s) / count * 1e6)
        publisher.publish(Payload(_END, -1, 0, 0, b""))
        came = int(listener.communicate(timeout=60)[0].split()[-1])
    if came != count:
        raise SystemExit(f"{way}: {came} of {count} messages came; the machine is too busy")


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print the figures; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.access", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--turns", type=int, default=5, help="turns of each way (default 5)")
    parser.add_argument("--messages", type=int, default=400, help="messages a turn (default 400)")
    parser.add_argument("--listen", metavar="ENDPOINT", help=argparse.SUPPRESS)
    parser.add_argument("--keys", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.listen:
        listen(arguments.listen, arguments.keys)
        return 0
    taken = {size: {way: Taken() for way in (IPC, TCP, CURVE)} for size in SIZES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = new_client(folder / "keys", _CLIENT)
        allow(folder / "keys", AllowedClient(_CLIENT, "viewer", pair.public))
        for _ in range(arguments.turns):
            for size, ways in taken.items():
                for way, figures in ways.items():
                    measure(way, SIZES[size], arguments.messages, folder, figures)
    results = {size: {way: figures.summary() for way, figures in ways.items()} for size, ways in taken.items()}
    ratios = {size: round(ways[CURVE]["cpu_us"] / ways[TCP]["cpu_us"], 2) for size, ways in results.items()}
    report = {
        "benchmark": "access",
        "machine": machine(),
        "date": today(),
        "frame_rate_hz": FRAME_RATE_HZ,
        "messages_at_once": AT_ONCE,
        "sizes_bytes": SIZES,
        "results": results,
        "ratio_cpu_curve_to_tcp": ratios,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}, {report['date']}, {AT_ONCE} messages at once, {FRAME_RATE_HZ} times a second")
    for size, summaries in results.items():
        for way, summary in summaries.items():
            print(
                f"{size:<9} {SIZES[size]:>7} bytes  {way:<15} CPU {summary['cpu_us']:>7} us a message; "
                f"the call {summary['call_p50_us']} us, p99 {summary['call_p99_us']} us"
            )
        print(f"{size:<9} CPU with CURVE: {ratios[size]} x tcp")
    return 0


if __name__ == "__main__":
    sys.exit(main())
