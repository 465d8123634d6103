"""The processes of a drive: the one that drives, which leads; the recorder, which may die and come back; and, where
earlier drives were left without their end, one that takes them up.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.contracts.clock import Clock
from runtime.record.leftover import leftovers
from runtime.supervise.child import python_child
from runtime.supervise.plan import RunPlan, write_plan
from runtime.supervise.supervisor import OnLine, ProcessSpec, RunResult, Supervisor

DRIVING = "driving"
RECORDER = "recorder"
RECOVERY = "recovery"
_RECORDER_STOP_S = 60.0  # the last segment is sealed in this time
_DRIVING_STOP_S = 90.0  # it waits for the recorder's farewell
_RECOVERY_STOP_S = 60.0  # after the drive; what is left then, the next run takes up


def processes(plan_path: Path, *, leftovers: bool = False) -> tuple[ProcessSpec, ...]:
    """The one list. A process that is killed leaves nothing that the next one could not take up.

    `leftovers`: there are earlier drives to recover, which a process of its own does meanwhile, once.
    """
    path = str(plan_path)
    recorder = python_child("runtime.record", path)
    recovery = ProcessSpec(RECOVERY, python_child("runtime.record.recover", path), stop_after_s=_RECOVERY_STOP_S)
    return (
        ProcessSpec(DRIVING, python_child("runtime.driving", path), leads=True, stop_after_s=_DRIVING_STOP_S),
        ProcessSpec(RECORDER, recorder, restart=True, stop_after_s=_RECORDER_STOP_S, mend=(*recorder, "--seal")),
        *((recovery,) if leftovers else ()),
    )


def supervise(plan: RunPlan, on_line: OnLine, clock: Clock) -> RunResult:
    """Write the plan, run the drive's processes to their end, remove the run folder. From the main thread."""
    try:
        drive_dir = Path(plan.drive_dir)
        left = any(True for _ in leftovers(drive_dir.parent, but=drive_dir))
        return Supervisor(processes(write_plan(plan), leftovers=left), on_line, clock).run()
    finally:
        shutil.rmtree(plan.run_dir, ignore_errors=True)
