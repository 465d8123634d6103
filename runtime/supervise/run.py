"""The processes of a drive: the one that drives, which leads, and the recorder, which may die and come back."""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.contracts.clock import Clock
from runtime.supervise.child import python_child
from runtime.supervise.plan import RunPlan, write_plan
from runtime.supervise.supervisor import OnLine, ProcessSpec, RunResult, Supervisor

DRIVING = "driving"
RECORDER = "recorder"
_RECORDER_STOP_S = 60.0  # the last segment is sealed in this time
_DRIVING_STOP_S = 90.0  # it waits for the recorder's farewell


def processes(plan_path: Path) -> tuple[ProcessSpec, ...]:
    """The one list. A process that is killed leaves nothing that the next one could not take up."""
    path = str(plan_path)
    recorder = python_child("runtime.record", path)
    return (
        ProcessSpec(DRIVING, python_child("runtime.driving", path), leads=True, stop_after_s=_DRIVING_STOP_S),
        ProcessSpec(RECORDER, recorder, restart=True, stop_after_s=_RECORDER_STOP_S, mend=(*recorder, "--seal")),
    )


def supervise(plan: RunPlan, on_line: OnLine, clock: Clock) -> RunResult:
    """Write the plan, run the drive's processes to their end, remove the run folder. From the main thread."""
    try:
        return Supervisor(processes(write_plan(plan)), on_line, clock).run()
    finally:
        shutil.rmtree(plan.run_dir, ignore_errors=True)
