"""The driving process: `python -m runtime.driving PLAN`. Everything is built here and passed in."""

from __future__ import annotations

import hashlib
import signal
import sys
import traceback
from contextlib import closing
from pathlib import Path
from types import FrameType

import cv2
from msgspec.structs import replace

from runtime import __version__
from runtime.access.gate import Gate
from runtime.bus.link import LinkSender
from runtime.bus.publisher import Publisher
from runtime.contracts import topics
from runtime.contracts.clock import SystemClock, tie
from runtime.contracts.engine import Engine
from runtime.contracts.errors import LinkError, SightlineError
from runtime.contracts.messages import Header, Mode
from runtime.contracts.model import Manifest, read_manifest
from runtime.contracts.source import Pacing, Source, SourceRequest, pacing_of
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.contracts.worth import read_worth
from runtime.decision.policy import Policy
from runtime.driving.handover import HandOver
from runtime.driving.loop import AssumedVehicle, Driver, drive
from runtime.driving.progress import Phase, Progress
from runtime.engines.open import open_engine
from runtime.engines.preprocessing.open import Preprocess, open_preprocess
from runtime.sources.open import open_source
from runtime.sources.pacing import PacedSource, paced
from runtime.supervise.child import tell_parent
from runtime.supervise.plan import RunPlan, read_plan

_PROGRESS_PERIOD_NS = NS_PER_S // 5
_CREDIT_WAIT_S = 0.2  # how often a loop that waits for credit looks whether it was told to stop
_SEAL_WAIT_S = 60.0
_RECORDER_PATIENCE_S = 30.0  # in lockstep, without credit; a recorder that was killed is back in a fraction of it
_LAST_CALL_S = 2.0  # for the farewell to a recorder that has gone silent


class DrivingProcess:
    """One drive, from opening the source to the sealed record. Tells its parent on standard output how it goes."""

    def __init__(self, plan: RunPlan) -> None:
        """Nothing is opened yet."""
        self._plan = plan
        self._pacing: Pacing = "lockstep"  # until the source is known
        self._clock = SystemClock()
        self._stop = False
        self._frames: PacedSource | None = None  # while it may be stopped
        self._ended: Progress | None = None  # the drive's totals, once it has ended and only closing is left
        self._told_ns = 0

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """End in order: no frame more is taken from the source, those that have come are decided."""
        first, self._stop = not self._stop, True
        if first and self._frames is not None:  # now and not after the next frame: there may be none
            self._frames.stop()

    def run(self) -> Progress:
        """Drive to the end and return the totals. Raises SightlineError where driving cannot start or go on; what fails
        behind the end of the drive, while its source and its engine are closed, takes nothing from the totals.
        """
        try:
            return self._run()
        except Exception as failure:
            if self._ended is None:
                raise
            errors = (
                self._ended.error,
                f"the drive was over, and closing its source or engine failed: {_said(failure)}",
            )
            return replace(self._ended, phase="failed", error="; ".join(filter(None, errors)))

    def _run(self) -> Progress:
        plan = self._plan
        cv2.setNumThreads(1)  # resizing wakes no pool of threads beside the network's own
        manifest = read_manifest(plan.model_path)
        kept = plan.engine_plan_path
        with closing(open_engine(plan.config.engine, plan.model_path, kept if kept.exists() else None)) as engine:
            preprocess = open_preprocess(plan.config.engine, manifest)
            source = open_source(SourceRequest(plan.source_uri, manifest.cameras, plan.pacing))
            self._pacing = pacing_of(source, plan.pacing)
            with closing(paced(source, manifest.cameras, self._pacing, self._clock)) as frames:
                self._frames = frames
                if self._stop:
                    frames.stop()
                try:
                    return self._drive(manifest, engine, preprocess, source, frames)
                finally:
                    self._frames = None

    def _drive(
        self, manifest: Manifest, engine: Engine, preprocess: Preprocess, source: Source, frames: PacedSource
    ) -> Progress:
        plan, config = self._plan, self._plan.config
        with (
            closing(
                LinkSender(plan.link, plan.session, config.record, self._clock, plan.credentials("driver"))
            ) as link,
            closing(Gate(plan.server_access(), self._clock)) as gate,
            closing(Publisher(plan.viewers, plan.session, _viewer_queue(), gate)) as publisher,
        ):
            self._link, self._gate, self._expected = link, gate, _frames_of(source, manifest)
            header = self._header(manifest, engine, source)
            hand_over = HandOver(header, publisher, link, self._clock, refused=lambda: gate.refused)
            vehicle = source.vehicle or AssumedVehicle(config.vehicle.assumed_speed_mps)
            deadline_ns = round(config.decision.deadline_ms * NS_PER_MS) if self._pacing == "real-time" else None
            policy = Policy(manifest, engine, config, plan.drive_id, header.mode)
            driver = Driver(manifest, preprocess, policy, vehicle, self._clock, deadline_ns)
            error, patience_s = "", _SEAL_WAIT_S
            try:
                drive(frames, driver, hand_over, lambda: self._after_frame(hand_over))
            except Exception as failure:  # noqa: BLE001  (a defect, maybe of a source from outside: what led to it must be kept)
                error = _said(failure)
                patience_s = _LAST_CALL_S if isinstance(failure, LinkError) else _SEAL_WAIT_S
            frames.stop()  # and the vehicle hears what its source has to say at the end, before the record is sealed
            if error:
                hand_over.event("drive.failed", error, level=4)
            hand_over.health(now=True)
            hand_over.close(error or ("stopped" if self._stop else "the source ended"))
            unsealed = link.finish(patience_s)
            self._ended = self._progress(hand_over, error or unsealed or "", sealed=unsealed is None)
            return self._ended

    def _after_frame(self, hand_over: HandOver) -> None:
        """Tell the parent; in lockstep, wait for the recorder's credit. Raises LinkError where that does not come."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._told_ns >= _PROGRESS_PERIOD_NS:
            self._told_ns = now_ns
            tell_parent(self._progress(hand_over).line())
        if self._pacing == "lockstep":
            given_up_ns = now_ns + round(_RECORDER_PATIENCE_S * NS_PER_S)
            while not self._stop and not self._link.wait_for_credit(_CREDIT_WAIT_S):
                if self._clock.monotonic_ns() > given_up_ns:
                    raise LinkError(
                        f"the recorder took nothing for {_RECORDER_PATIENCE_S:g} s, and in lockstep the drive waits "
                        "for it; see what it said above (a full disk? an endpoint in use?)"
                    )

    def _progress(self, hand_over: HandOver, error: str | None = None, *, sealed: bool = False) -> Progress:
        tally = hand_over.tally
        phase: Phase = "deciding" if error is None else ("failed" if error else "done")
        return Progress(
            phase,
            tally.frames,
            tally.decided,
            tally.late,
            tally.dropped,
            self._link.lost,
            self._expected,
            sealed,
            error or "",
            self._link.malformed,
            self._gate.refused,
        )

    def _header(self, manifest: Manifest, engine: Engine, source: Source) -> Header:
        obeyed = source.vehicle is not None and source.vehicle.obeys
        mode: Mode = "closed-loop" if obeyed else "shadow"
        clock_tie = tie(self._clock)
        return Header(
            drive_id=self._plan.drive_id,
            sightline_version=__version__,
            source_uri=source.uri,
            cameras=manifest.cameras,
            pacing=self._pacing,
            mode=mode,
            assumed_speed_mps=None if source.vehicle else self._plan.config.vehicle.assumed_speed_mps,
            clock_domain=source.clock_domain,
            clock_tie=clock_tie,
            utc_origin_ns=clock_tie.utc_ns,
            t_source_origin_ns=0,
            model_name=manifest.name,
            model_sha256=manifest.graph_sha256,
            fingerprint=engine.fingerprint,
            config_sha256=_file_sha256(self._plan.config_path),
            model_file_sha256=_file_sha256(self._plan.model_path),
            attribution_worth=read_worth(self._plan.model_path, manifest).verdict,
        )


def _said(failure: Exception) -> str:
    """What failed, in a line; a defect stands on stderr with where it is."""
    if isinstance(failure, SightlineError):
        return str(failure)
    traceback.print_exception(failure)
    return f"{type(failure).__name__}: {failure} (a defect: report it with what stands above)"


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _frames_of(source: Source, manifest: Manifest) -> int | None:
    captures = source.expected_captures
    return None if captures is None else captures * len(manifest.cameras)


def _viewer_queue() -> int:
    return max(topic.viewer_queue for topic in topics.TOPICS)


def main() -> int:
    """Run the plan whose path is the only argument."""
    try:
        process = DrivingProcess(read_plan(Path(sys.argv[1])))
        signal.signal(signal.SIGINT, process.stop)
        signal.signal(signal.SIGTERM, process.stop)
        progress = process.run()
    except SightlineError as error:
        progress = Progress("failed", error=str(error))
    tell_parent(progress.line(), wait=True)
    return 0 if progress.phase == "done" else 2


if __name__ == "__main__":
    sys.exit(main())
