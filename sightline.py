"""The command's first step: make sure that what is about to be imported is ours, then hand over.

Sightline's packages have plain names (`runtime`, `export`, …). Where another package of such a name comes first on the
import path, the drive would run somebody else's code, so the command refuses to start.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("runtime", "export", "review", "ros_bridge", "proving_ground", "configs")


def shadowed(home: Path) -> dict[str, str]:
    """Which of our packages would be imported from elsewhere than `home`, and from where."""
    found = {}
    for name in PACKAGES:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if [Path(place).resolve() for place in places] != [home / name]:
            found[name] = ", ".join(places) or "nowhere"
    return found


def main() -> int:
    """Run the command `sightline` and return its exit code."""
    elsewhere = shadowed(Path(__file__).resolve().parent)
    if elsewhere:
        places = "; ".join(f"{name} from {place}" for name, place in elsewhere.items())
        sys.stderr.write(
            f"sightline: another package takes the name of one of ours: {places}. "
            "Give Sightline an environment of its own (python3 -m venv), or take that folder off PYTHONPATH.\n"
        )
        return 2
    try:
        from runtime.commands.main import main as command

        return command()
    except KeyboardInterrupt:
        sys.stderr.write("sightline: interrupted\n")
    except Exception:  # noqa: BLE001  # a defect is no answer; Python's own exit code would be one, 1 is "no"
        from traceback import print_exc

        print_exc()
        sys.stderr.write(
            "sightline: this is a defect of Sightline; what was asked is not answered. Please report it.\n"
        )
    return 2


if __name__ == "__main__":
    sys.exit(main())
