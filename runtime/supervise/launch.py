"""One drive from the outside: its folder with the model and the configuration, its processes, and what became of it."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.access.account import Accounts
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import Config
from runtime.contracts.errors import RecordError, SightlineError
from runtime.contracts.identity import new_drive_id
from runtime.contracts.model import read_manifest, refuse_undrivable
from runtime.contracts.source import Pacing
from runtime.contracts.topics import GAP, LEDGER
from runtime.contracts.worth import read_worth
from runtime.driving.progress import Progress, parse
from runtime.engines.open import find_plan
from runtime.incident.index import read_index
from runtime.record.drive import Drive, LedgerTotals, open_drive
from runtime.record.evidence import refuse_in_evidence
from runtime.record.lock import shared
from runtime.record.recover import Recovery, parse_recovery
from runtime.record.segment import segment_files
from runtime.seal.keys import ensure_key, key_dir_of
from runtime.supervise.furnish import furnish, make_folder
from runtime.supervise.plan import make_plan, make_run_dir
from runtime.supervise.run import DRIVING, RECORDER, RECOVERY, supervise
from runtime.supervise.supervisor import Restart, RunResult


class DriveSummary(msgspec.Struct, frozen=True):
    """What became of a drive. `frames` = `decided` + `late` + `dropped`, as the driving process counted: one for each
    camera's picture, where a replay counts one for each moment.

    `recorded` counts the dispositions that the record holds, as read back from it, `deleted` those that it held until
    their segments were deleted to make room: both together are less than `frames` only where `gaps` says so.
    """

    drive: str  # its folder
    drive_id: str
    frames: int
    decided: int
    late: int
    dropped: int
    recorded: int
    gaps: int  # also those in deleted segments
    gap_reason: str  # of the first that the record still holds
    restarts: tuple[Restart, ...]
    stopped_by: str | None = None  # the signal that ended it early
    warning: str = ""
    malformed: int = 0  # messages on its sockets that were none, or not in their place
    refused: int = 0  # connections that were turned away
    key_id: str = ""  # of the key that signed the record
    key_made: str = ""  # the folder where that key was made, where this run made it
    deleted: int = 0
    incidents: int = 0  # `sightline incidents` lists them
    recovered: tuple[Recovery, ...] = ()  # earlier drives beside it that had been left without their end


def run_drive(
    config: Config, source_uri: str, out: Path, pacing: Pacing | None, on_progress: Callable[[Progress], None]
) -> DriveSummary:
    """Drive `source_uri` to its end, recorded under `out`. From the main thread: it starts processes and takes signals.

    Raises SightlineError where the drive could not start or broke off before its first frame; one that broke off later
    is summarised, with what happened as the warning.
    """
    refuse_in_evidence(out)
    _refuse_wrong_model(Path(config.model))
    engine_plan = find_plan(config.engine, Path(config.model))
    key_dir = key_dir_of(config.record.key_dir)
    key, key_is_new = ensure_key(key_dir)
    clock = SystemClock()
    drive_id = new_drive_id(clock.utc_ns())
    drive_dir = out / drive_id
    newest = [Progress("failed")]
    accounts = Accounts()
    recovered: list[Recovery] = []

    def on_line(name: str, line: str) -> None:
        if name == RECORDER:
            accounts.take(line)
        recovery = parse_recovery(line) if name == RECOVERY else None
        if recovery is not None:
            recovered.append(recovery)
        progress = parse(line.encode()) if name == DRIVING else None
        if progress is not None:
            if progress.frames < newest[0].frames:  # it failed where it has no account any more: what it drove stands
                progress = msgspec.structs.replace(newest[0], phase=progress.phase, error=progress.error)
            newest[0] = progress
            on_progress(progress)

    run_dir = make_run_dir()
    with contextlib.ExitStack() as held:
        try:
            plan = make_plan(
                drive_id=drive_id,
                drive_dir=drive_dir,
                run_dir=run_dir,
                source_uri=source_uri,
                pacing=pacing,
                config=config,
            )
            make_folder(drive_dir)
            held.enter_context(shared(drive_dir))
            furnish(drive_dir, config, engine_plan, key)
        except SightlineError:
            shutil.rmtree(run_dir, ignore_errors=True)
            raise
        result = supervise(plan, on_line, clock)
        if newest[0].frames == 0 and newest[0].phase != "done" and not _holds_frames(drive_dir):
            shutil.rmtree(drive_dir, ignore_errors=True)  # nothing was driven, so there is nothing to keep
            # The drive's own copies are gone: name the files that they were made of.
            stopped = (
                result.stopped_by and f"stopped by {result.stopped_by} before its first frame: nothing was recorded"
            )
            error = (newest[0].error or stopped or _death(result)).replace(str(plan.model_path), config.model)
            raise SightlineError(error.replace(str(plan.engine_plan_path), str(engine_plan)))
        summary = _summary(drive_dir, drive_id, newest[0], result)
    recorder = accounts.total()
    return msgspec.structs.replace(
        summary,
        malformed=newest[0].malformed + recorder.malformed,
        refused=newest[0].refused + recorder.refused,
        key_id=key.key_id,
        key_made=str(key_dir) if key_is_new else "",
        recovered=tuple(recovered),
    )


def _refuse_wrong_model(path: Path) -> None:
    """Raise ModelError where the model cannot drive, or has a report that cannot be read: before there is a drive."""
    manifest = read_manifest(path)
    refuse_undrivable(manifest, str(path))
    read_worth(path, manifest)


def _holds_frames(drive_dir: Path) -> bool:
    """Whether there is a record with frames, whatever the driving process said; so is one that cannot be read."""
    try:
        return bool(segment_files(drive_dir)) and any(
            topic.topic == LEDGER.name and topic.count for topic in open_drive(drive_dir).topics()
        )
    except RecordError:
        return True


def _summary(drive_dir: Path, drive_id: str, progress: Progress, result: RunResult) -> DriveSummary:
    warnings = []
    if progress.phase != "done":
        warnings.append(progress.error or _death(result))
    # What the driving process said last; a record that holds more is nearer to the truth (it was killed meanwhile).
    counted: Progress | LedgerTotals = progress
    recorded = gaps = deleted = incidents = 0
    gap_reason = ""
    try:
        drive = open_drive(drive_dir)
        counts = {topic.topic: topic.count for topic in drive.topics()}  # from the segments' summaries: no long read
        recorded, gaps = counts.get(LEDGER.name, 0), counts.get(GAP.name, 0)
        deleted = sum(one.topics.get(LEDGER.name, 0) for one in drive.deleted)
        gap_reason = next((gap.reason for gap in drive.gaps()), "") if gaps else ""
        gaps += sum(one.topics.get(GAP.name, 0) for one in drive.deleted)
        index = read_index(drive_dir)
        incidents = 0 if index is None else len(index.incidents)
        if recorded > progress.frames:
            counted = drive.ledger()
        if recorded and not counted.decided + counted.late:
            warnings.append(f"no frame was decided upon: {_first_reason(drive)}")
        lacking = counted.frames - recorded - deleted
        if lacking > 0 and not gaps:
            warnings.append(f"{lacking} frames are neither in the record nor declared as lost")
    except RecordError as error:
        warnings.append(str(error))
    return DriveSummary(
        drive=str(drive_dir),
        drive_id=drive_id,
        frames=counted.frames,
        decided=counted.decided,
        late=counted.late,
        dropped=counted.dropped,
        recorded=recorded,
        gaps=gaps,
        gap_reason=gap_reason,
        deleted=deleted,
        incidents=incidents,
        restarts=result.restarts,
        stopped_by=result.stopped_by,
        warning="; ".join(warnings),
    )


def _first_reason(drive: Drive) -> str:
    lines = (message.decode() for message in drive.messages(LEDGER))
    return next((line.reason for line in lines if line.reason), "the ledger gives no reason")


def _death(result: RunResult) -> str:
    code = result.returncodes.get(DRIVING, 0)
    if result.stopped_by is not None and code < 0:
        return f"stopped by {result.stopped_by} before the drive had ended in order"
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"the driving process ended {how} before it could say why; its last words are above"
