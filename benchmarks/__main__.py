"""Run every benchmark, each in a process of its own: `python -m benchmarks [NAME …] [--list] [--json]`.

The exit code is 0 where every promise held, 1 where one did not, 2 where a benchmark could not run.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NOT_A_BENCHMARK = ("__init__", "__main__", "machine", "tamperer", "attribution_networks", "ros_car")


def questions() -> dict[str, str]:
    """Every benchmark's name and the question that it answers: its docstring's first line."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem not in NOT_A_BENCHMARK:
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = text.partition("\n")[0].partition(" `")[0]
    return found


def main() -> int:
    """Run what was asked for and return the worst exit code."""
    known = questions()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all where none is given")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and run none")
    parser.add_argument("--json", action="store_true", help="one JSON object of all reports, by name")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(known))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    names = arguments.names or list(known)
    if arguments.list:
        print(json.dumps(known, indent=2) if arguments.json else "\n".join(f"{k:12} {v}" for k, v in known.items()))
        return 0
    worst, reports = 0, {}
    for name in names:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if arguments.json:
            done = subprocess.run([*command, "--json"], cwd=FOLDER.parent, stdout=subprocess.PIPE, check=False)
            reports[name] = json.loads(done.stdout) if done.returncode in (0, 1) else {"exit_code": done.returncode}
        else:
            print(f"\n== {name}: {known[name]}", flush=True)
            done = subprocess.run(command, cwd=FOLDER.parent, check=False)
        worst = max(worst, done.returncode if done.returncode in (0, 1) else 2)
    if arguments.json:
        print(json.dumps(reports, indent=2))
    return worst


if __name__ == "__main__":
    sys.exit(main())
