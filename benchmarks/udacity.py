"""Does a policy learn from a human's driving log? `python -m benchmarks.udacity [POLICY …] [--json]`

Each reference policy learns the first 1,600 frames of laps in the Udacity simulator, their steering smoothed by a
centred 15-frame mean, and foretells the rest. Promise: a correlation of at least 0.65, and an RMSE at least 15 % under
that of the constant which knows the mean of the training's labels. Needs the `export` extra, and the recording. The
transformer is not among the defaults: 1,600 frames are too few for it, and the promise is not its.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
from pathlib import Path

DEFAULT_POLICIES = ("pilotnet", "concepts")
DEFAULT_LOG = Path(__file__).resolve().parents[2] / "shared" / "data" / "udacity_sim"


def main() -> int:
    """Print the figures; 0 where the promise holds for every policy that was asked for, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.udacity", description=__doc__)
    parser.add_argument(
        "policies",
        nargs="*",
        default=DEFAULT_POLICIES,
        metavar="POLICY",
        help=f"(default: {' '.join(DEFAULT_POLICIES)})",
    )
    parser.add_argument("--log", type=Path, default=DEFAULT_LOG, help="the recording")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    if not arguments.log.exists():
        print(f"error: there is no recording at {arguments.log}; give one with --log", file=sys.stderr)
        return 2

    import torch  # seconds of import: not for --help

    from export.policies.catalogue import reference_by_name
    from export.train import Log, Workshop, learn_log

    torch.set_num_threads(arguments.threads)
    rows = []
    for name in arguments.policies:
        started = time.monotonic()
        _, found = learn_log(
            reference_by_name(name), Log(str(arguments.log)), Workshop(Path(), arguments.threads, lambda _: None)
        )
        rows.append(
            {
                "policy": name,
                "correlation": round(found.correlation, 3),
                "rmse_rad": round(found.rmse_rad, 4),
                "constant_rmse_rad": round(found.constant_rmse_rad, 4),
                "under_constant": round(1 - found.rmse_rad / found.constant_rmse_rad, 3),
                "held_out_frames": found.frames,
                "seconds": round(time.monotonic() - started, 1),
                "learned": found.learned,
            }
        )
    figures = {
        "benchmark": "udacity",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}",
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "rows": rows,
        "holds": all(row["learned"] for row in rows),
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print(f"{figures['machine']}, {figures['date']}")
        print("policy     correlation      RMSE  under the constant's  seconds")
        for row in rows:
            print(
                f"{row['policy']:<10} {row['correlation']:>11.2f}  {row['rmse_rad']:>6.4f} rad  "
                f"{row['under_constant']:>18.0%}  {row['seconds']:>7.0f}"
            )
    return 0 if figures["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
