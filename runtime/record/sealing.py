"""Segments sealed beside the loop, one after the other in one thread: a chain of seals has one writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from runtime.contracts.errors import RecordError, SealError
from runtime.contracts.messages import SealHead
from runtime.record.segment import journal_path, seal
from runtime.retention.reserve import Reserve, is_no_room
from runtime.seal.chain import DriveSealer

T = TypeVar("T")
_UNDER_WAY = 4  # beyond it rotation waits: journals are as safe as segments, only larger


class Sealing:
    """Rewrites closed journals and signs them. `signer` None: nothing is signed.

    What there is no room for waits until `retry`, and so does what may not be sealed yet. `error` says what else kept a
    segment from being sealed; its journal stays, and is readable as it is.
    """

    def __init__(self, drive_dir: Path, signer: DriveSealer | None, reserve: Reserve) -> None:
        self._dir, self._reserve = drive_dir, reserve
        self.signer = signer
        self.error: RecordError | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal")
        self._under_way: list[Future[SealHead | None]] = []
        self._beside: list[Future[Any]] = []
        self._heads: list[SealHead] = []
        self._waiting: dict[int, bool] = {}  # for room, or for leave: segments, and whether each was recovered
        self._leave: Callable[[], str] = str
        self._refusal = ""  # why it was not given last
        self._unclosed = self._left_open = False  # for want of room

    @property
    def unfinished(self) -> str:
        """What there was no room for, in words; "" where all is done."""
        if self._waiting:
            which = f"segment {', '.join(str(index) for index in sorted(self._waiting))} of {self._dir}"
            if self._refusal:
                return f"{which} is not sealed, since {self._refusal}: `sightline recover` does, once that is mended"
            return f"there was no room to seal {which}: `sightline recover` does, once there is"
        why = f"there was no room for the end of {self._dir}: `sightline recover` ends it, once there is"
        return why if self._unclosed or self._left_open else ""

    def ask_leave(self, leave: Callable[[], str]) -> None:
        """Seal nothing from now on without `leave`, which says why it does not give it, "" where it does; try what
        waited until now.
        """
        self._leave = leave
        self.retry()

    def put_off(self, index: int, *, recovered: bool) -> None:
        """Have a segment wait until `retry`, or the end."""
        self._waiting[index] = recovered

    def submit(self, index: int, *, recovered: bool) -> None:
        """Have a closed journal sealed, or a segment signed that was rewritten and not signed."""
        self._refusal = self._leave()
        if self._refusal:
            self.put_off(index, recovered=recovered)
            return
        self.busy()
        while len(self._under_way) >= _UNDER_WAY:
            self._outcome(self._under_way.pop(0))
        self._under_way.append(self._thread.submit(self._with_reserve, index, recovered))

    def beside(self, job: Callable[[], T]) -> Future[T]:
        """Have something else done that the chain's one writer must do."""
        done = self._thread.submit(job)
        self._beside = [one for one in (*self._beside, done) if not one.done()]
        return done

    def retry(self) -> bool:
        """There may be room again: seal what waited for it. Returns whether anything did."""
        waiting = sorted(self._waiting)
        for index in waiting:
            self.submit(index, recovered=self._waiting.pop(index))
        return bool(waiting)

    def busy(self) -> bool:
        """Whether anything is still being sealed."""
        under_way, self._under_way = self._under_way, []
        for future in under_way:
            if future.done():
                self._outcome(future)
            else:
                self._under_way.append(future)
        return bool(self._under_way) or not all(one.done() for one in self._beside)

    def add_heads(self, heads: Iterable[SealHead]) -> None:
        """Seals that were made beside: tombstones."""
        self._heads += heads

    def take_heads(self) -> list[SealHead]:
        """The seals that were made since this was last asked, in their order."""
        heads, self._heads = self._heads, []
        return heads

    def leave_open(self) -> None:
        """There is no room for what the record should end with: the drive stays open, to be recovered."""
        self._left_open = True

    def finish(self) -> None:
        """Once nothing is being sealed any more: sign that the drive ends here. Raises RecordError where the disk
        refuses for another reason than want of room.
        """
        if self.signer is None or self.error is not None or self._waiting or self._left_open:
            return
        try:
            head = self.signer.close()
        except OSError as error:
            if not is_no_room(error):
                raise refused(self._dir, error) from error
            again = self._reserve.size_bytes > 0
            self._reserve.release()
            self._unclosed = True
            if again:
                self.finish()
            return
        self._unclosed = False
        if head is not None:
            self._heads.append(head)

    def close(self) -> None:
        """Wait for the last seal and close the chain. Raises RecordError where a seal failed."""
        wait(self._under_way)
        self.retry()
        self._thread.shutdown(wait=True)
        self.busy()
        if self.error is not None:
            raise self.error
        self.finish()

    def _with_reserve(self, index: int, recovered: bool) -> SealHead | None:
        """On the thread. A second time with the reserve's room, where there is too little."""
        try:
            return self._seal(index, recovered=recovered)
        except OSError as error:
            if not is_no_room(error):
                raise
        self._reserve.release()
        try:
            return self._seal(index, recovered=recovered)
        except OSError as error:
            if not is_no_room(error):
                raise
        self._waiting[index] = recovered
        return None

    def _seal(self, index: int, *, recovered: bool) -> SealHead | None:
        late = not journal_path(self._dir, index).exists()  # rewritten before: in between nobody vouched for it
        if not late:
            seal(self._dir, index, recovered=recovered)
        if self.signer is None or not self.signer.unsealed([index]):
            return None
        try:
            return self.signer.seal_segment(index, recovered=recovered, late=late)
        except OSError as error:
            if is_no_room(error):
                raise
            raise SealError(f"segment {index} cannot be signed: {error.strerror}") from error

    def _outcome(self, future: Future[SealHead | None]) -> None:
        error = future.exception()
        if error is None:
            head = future.result()
            if head is not None:
                self._heads.append(head)
            return
        why = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, SealError):  # it is rewritten, and the next recorder signs it late
            self.error = RecordError(f"a segment of {self._dir} is written and not sealed: {why}")
            return
        self.error = RecordError(
            f"a segment of {self._dir} could not be sealed: {why}; its journal stays, and is readable as it is"
        )


def refused(drive_dir: Path, error: OSError) -> RecordError:
    """The error of a disk that does not take what is written, for another reason than want of room."""
    return RecordError(f"the drive {drive_dir} cannot be written: {error.strerror or error}; mend the disk")
