"""How much does an hour of driving write to the disk, and how much of that stays?

A segment is written twice: as the journal that a crash leaves readable, and again when it is sealed, indexed and
compressed. The kernel counts what the processes of a drive have given it to write (getrusage(2), `ru_oublock`), so both
are in the figure; the file system's own journal and the drive's own amplification come on top. The proving ground in
lockstep stands for the camera: its pictures carry sensor noise, as a camera's do. On a file system in memory nothing is
counted, and the benchmark refuses.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine, today

BLOCK_BYTES = 512  # the unit of ru_oublock on Linux, whatever the file system's blocks are
SECONDS_PER_HOUR = 3600
GB = 10**9
CASES = {  # label: (query of the proving ground, what the configuration says beside its defaults)
    "1280x720 at 30 Hz, H.264": ("frame_rate_hz=30&width=1280&height=720", "record: {picture_codec: h264}"),
    "1280x720 at 30 Hz, JPEG": ("frame_rate_hz=30&width=1280&height=720", "record: {picture_codec: jpeg}"),
    "640x360 at 20 Hz, H.264": ("frame_rate_hz=20&width=640&height=360", "record: {picture_codec: h264}"),
}


def one(query: str, config: str, seconds: float, folder: Path) -> dict[str, float]:
    """Drive once; GB in an hour of driving, as they were written and as they stay."""
    file = folder / "wear.yaml"
    file.write_text(f"{config}\n", encoding="utf-8")
    source = f"proving-ground://driving-lead?seed=7&duration_s={seconds:g}&{query}"
    command = [sys.executable, "-m", "sightline", "run", str(file), "--source", source, "--out", str(folder / "drives")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    written = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before) * BLOCK_BYTES
    drive = Path(json.loads(done.stdout)["drive"])
    kept = sum(path.stat().st_size for path in drive.rglob("*") if path.is_file())
    # The model and the configuration are copied once a drive, not once an hour.
    fixed = sum(path.stat().st_size for path in drive.glob("model.*"))
    if not written:
        raise SystemExit(f"{folder} is in memory, where nothing is written; name a folder on a disk: --folder")
    per_hour = SECONDS_PER_HOUR / seconds / GB
    return {"written_gb": round((written - fixed) * per_hour, 2), "kept_gb": round((kept - fixed) * per_hour, 2)}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wear", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--seconds", type=float, default=60.0, help="of driving for each case (default 60)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    arguments = parser.parse_args()
    results = {}
    for label, (query, config) in CASES.items():
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            results[label] = one(query, config, arguments.seconds, Path(folder))
    report = {
        "benchmark": "wear",
        "machine": machine(),
        "date": today(),
        "seconds": arguments.seconds,
        "gb_per_hour": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}, {report['date']}, {arguments.seconds:g} s of driving each, per hour of driving:")
    for label, result in results.items():
        print(
            f"{label:26} written {result['written_gb']:6.2f} GB  kept {result['kept_gb']:6.2f} GB  "
            f"{result['written_gb'] / result['kept_gb']:.2f} x"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
