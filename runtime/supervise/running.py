"""The runs that are under way on this machine, found by their folders. Only this user's own count: a folder that
another user made could lead anywhere.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runtime.contracts.errors import LinkError
from runtime.record.lock import in_use
from runtime.sources.location import without_password
from runtime.supervise.plan import PLAN_NAME, RUN_PREFIX, RunPlan, read_plan


def runs() -> list[RunPlan]:
    """The plans of the runs that write a drive now, the newest last. The folder of one that was killed may be left."""
    found: dict[str, RunPlan] = {}
    for base in _bases():
        for folder in base.glob(f"{RUN_PREFIX}*"):
            if _is_own(folder):
                try:
                    plan = read_plan(folder / PLAN_NAME)
                except LinkError:
                    continue  # not begun yet, just over, or another version's
                if _is_written(Path(plan.drive_dir)):
                    found[plan.run_dir] = plan
    return sorted(found.values(), key=lambda plan: plan.drive_id)


def find_run(wanted: Path | None) -> RunPlan:
    """The one run that is meant. Raises LinkError where there is none, or several and none is named.

    Args:
        wanted: the run's drive (its folder, or its folder's name) or its run folder; None: the only one that there is.
    """
    there = runs()
    if wanted is not None:
        folder = wanted.resolve()
        named = [plan for plan in there if folder in (Path(plan.drive_dir), Path(plan.run_dir).resolve())]
        named += [plan for plan in there if str(wanted) == plan.drive_id]
        if named:
            return named[0]
        raise LinkError(f"no run of this user records into {wanted}; {_words(there)}")
    if len(there) == 1:
        return there[0]
    raise LinkError(f"{_words(there)}" + ("; name one of them: --run DRIVE" if there else ""))


def is_over(plan: RunPlan) -> bool:
    """Whether a run has ended: in order, which takes its folder away, or killed with all its processes, which leaves
    it. A killed run whose recorder still seals is not over yet.
    """
    return not Path(plan.run_dir).exists() or not _is_written(Path(plan.drive_dir))


def _words(there: list[RunPlan]) -> str:
    if not there:
        return "no run of this user is under way on this machine; start one with `sightline run`"
    named = ", ".join(f"{plan.drive_dir} (of {without_password(plan.source_uri)})" for plan in there)
    return f"{len(there)} run(s) under way: {named}"


def _bases() -> Iterator[Path]:
    """Where a run's folder may have been made: under this environment, or under that of a session or service."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    yield from {Path(base) for base in (given, f"/run/user/{os.getuid()}", tempfile.gettempdir(), "/tmp") if base}


def _is_written(drive_dir: Path) -> bool:
    known = in_use(drive_dir)
    return drive_dir.is_dir() if known is None else known


def _is_own(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
